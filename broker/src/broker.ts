// A broker's life: settings in, a running broker out, and how it comes down again.

import type { BrokerApi } from "./app/api.js";
import type { Holdings } from "./app/holdings.js";
import type { Line, Log, Telemetry } from "./app/telemetry.js";
import { assemble, type Parts } from "./assembly.js";
import type { Config } from "./config.js";
import { specOf } from "./core/job.js";
import { type RunTimes, times } from "./core/limits.js";
import { startGrpc } from "./grpc/server.js";
import { StartupError } from "./jetstream/startup-error.js";
import type { OwnServer } from "./jetstream/storage.js";
import { openStore, type Store } from "./jetstream/store.js";
import { startHttp } from "./ops/http.js";
import { createMetrics, type StorageLook } from "./ops/metrics.js";
import { JobTraces } from "./ops/traces.js";
import { storeOptions } from "./store-options.js";
import { version } from "./version.js";

/** What the last writes get when the broker stops, ms. */
const lastWrites = 5_000;

export interface RunningBroker {
  readonly name: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly api: BrokerApi;
  /** For tests and the curious: what the use cases are built from. */
  readonly parts: Parts;
  stop(): Promise<void>;
}

/** `own`: the supervisor's nats-server, of a broker that is one of several processes.
 *  @throws StartupError with one line that says what to do */
export async function startBroker(
  config: Config,
  log: Log,
  run: RunTimes = times,
  own?: OwnServer,
): Promise<RunningBroker> {
  let draining = false;
  const late: { parts?: Parts } = {};
  const readiness = () => {
    const problems = late.parts?.store.problems() ?? ["starting"];
    if (draining) problems.push("stopping");
    return { ready: problems.length === 0, problems };
  };
  const metrics = createMetrics({
    version,
    ready: () => readiness().ready,
    lanes: () => late.parts?.store.lanes.all() ?? [],
    oldest: () => late.parts?.oldest.ages() ?? [],
    running: () => (late.parts === undefined ? [] : leasesOf(late.parts.holdings)),
    freeSlots: () => late.parts?.sessions.freeSlots() ?? 0,
    counts: () => late.parts?.counts.all() ?? [],
    heldBack: () => late.parts?.dispatcher.heldBack() ?? [],
    limits: () => late.parts?.limitWatch.all() ?? [],
    storage: () => storageLook(late.parts?.store.storage),
  });
  const collector = await collectorOf(config, log);
  const traces = collector && new JobTraces(config.traceShare, collector.collect);
  const telemetry: Telemetry = { ...metrics.telemetry, traces };
  const store = await openStore({ ...storeOptions(config), ackWait: run.ackWait, own }, telemetry, log);
  try {
    const parts = await assemble(config, store, telemetry, log, run);
    late.parts = parts;
    const api = apiOf(config, parts, readiness);
    const http = await listening(
      "DROVER_HTTP",
      startHttp({ metrics, readiness, log }, { host: config.httpHost, port: config.httpPort }),
    );
    const serving = startGrpc(
      { api, clock: store.clock, telemetry, log },
      {
        host: config.grpcHost,
        port: config.grpcPort,
        namespace: config.namespace,
        tls:
          config.tlsCert === undefined || config.tlsKey === undefined
            ? undefined
            : { cert: config.tlsCert, key: config.tlsKey, ca: config.tlsCa },
      },
    );
    const grpc = await listening("DROVER_GRPC", serving);
    return {
      name: config.brokerName,
      grpcPort: grpc.port,
      httpPort: http.port,
      api,
      parts,
      stop: async () => {
        draining = true;
        parts.sessions.drain();
        parts.unary.drain();
        parts.dispatcher.stop();
        await grpc.stop(config.stopTimeout);
        parts.stop();
        await store.close(lastWrites);
        await http.stop();
        await collector?.stop();
      },
    };
  } catch (error) {
    late.parts?.stop();
    await store.close(0);
    throw error;
  }
}

/** @throws StartupError that names the settings when an address cannot be listened on */
async function listening<T>(settings: string, started: Promise<T>): Promise<T> {
  try {
    return await started;
  } catch (error) {
    const why = (error as Error).message;
    if (!/EADDR|EACCES|ENOTFOUND|No address added/.test(why)) throw error;
    throw new StartupError(`it cannot listen there (${why}): change ${settings}_HOST or ${settings}_PORT`);
  }
}

/** Its libraries are loaded by those who have somewhere to send traces to. */
async function collectorOf({ otlpEndpoint, brokerName, namespace }: Config, log: Log) {
  if (otlpEndpoint === undefined) return undefined;
  const { openCollector } = await import("./ops/otlp.js");
  return openCollector({ endpoint: otlpEndpoint, broker: brokerName, namespace, version, log });
}

/** The task and queue of each. */
function* leasesOf(holdings: Holdings): Generator<Line> {
  for (const { claim, stored } of holdings.all()) {
    yield { task: claim.ref.task, queue: specOf(stored.job).queue };
  }
}

function storageLook(storage: Store["storage"] | undefined): StorageLook | undefined {
  return storage?.view === undefined ? undefined : { ...storage.view, full: storage.full };
}

/** What the edges are given. */
function apiOf(config: Config, parts: Parts, readiness: BrokerApi["readiness"]): BrokerApi {
  const { store, reader, waiting, cancel, submit, unary, sessions, inspect, flows, flowReads } = parts;
  const startedAt = store.clock.now();
  return {
    jobs: {
      submit: (specs, onConflict) => submit.submit(specs, onConflict),
      status: (refs, includePayload) => reader.status(refs, includePayload),
      wait: (refs, mode, timeout, gone) => waiting.wait(refs, mode, timeout, gone),
      watch: (ref, gone) => waiting.watch(ref, gone),
      list: (query) => reader.list(query),
      cancel: (ref, reason) => cancel.cancel(ref, reason),
      redrive: (ref) => cancel.redrive(ref),
      move: (ref, to) => parts.move.move(ref, to),
      explain: (ref) => parts.explain.explain(ref),
    },
    workers: {
      lease: (request) => unary.lease(request),
      ack: (outcomes) => unary.ack(outcomes),
      extend: (leases) => unary.extend(leases),
      attach: (hello, sink) => sessions.attach(hello, sink),
    },
    queues: parts.queues,
    tasks: parts.tasks,
    routes: parts.routes,
    flows: {
      submit: (flow) => flows.submit(flow),
      get: (key) => flowReads.get(key),
      members: (key, from, count, options) => flowReads.members(key, from, count, options),
      list: (query) => flowReads.list(query),
      watch: (key, gone) => flowReads.watch(key, gone),
      cancel: (key, reason) => flows.cancel(key, reason),
      redrive: (key) => flows.redrive(key),
      inputs: (ref, from, count) => flowReads.inputs(ref, from, count),
    },
    schedules: parts.schedules,
    inspect: {
      workers: () => inspect.workers(),
      active: (limit) => inspect.active(limit),
      registered: () => inspect.registered(),
      server: async () => ({
        version,
        broker: store.peers.self,
        brokers: store.peers.all(),
        namespace: config.namespace,
        shards: store.subjects.shards,
        replicas: store.replicas,
        natsServerVersion: store.connection.serverVersion,
        startedAt,
        now: store.clock.now(),
        maxLanes: config.maxLanes,
      }),
    },
    readiness,
  };
}
