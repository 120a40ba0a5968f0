// The composition root: settings in, a running broker out. Everything is built here and nowhere else, in the order in
// which it depends on one another, and taken down in the reverse.

import { createHash } from "node:crypto";
import { Agenda } from "./app/agenda.js";
import { Alarms } from "./app/alarms.js";
import type { BrokerApi } from "./app/api.js";
import { Cancel } from "./app/cancel.js";
import { Deliveries } from "./app/deliveries.js";
import { Dispatcher } from "./app/dispatcher.js";
import { Explain } from "./app/explain.js";
import { Firings } from "./app/firings.js";
import { FlowGraphs } from "./app/flow-graphs.js";
import { FlowSteps } from "./app/flow-steps.js";
import { FlowControl } from "./app/flows.js";
import { Granting } from "./app/granting.js";
import { Hints } from "./app/hints.js";
import { Holdings } from "./app/holdings.js";
import { Inspect } from "./app/inspect.js";
import { Keeper } from "./app/keeper.js";
import { KeyPlaces } from "./app/key-places.js";
import { Ledger } from "./app/ledger.js";
import { LimitWatch } from "./app/limit-watch.js";
import { LimitControl } from "./app/limits.js";
import { Move } from "./app/move.js";
import { Overdue } from "./app/overdue.js";
import { Promoter } from "./app/promoter.js";
import { QueueControl } from "./app/queues.js";
import { Reader } from "./app/reader.js";
import { RouteControl } from "./app/routes.js";
import { ScheduleControl } from "./app/schedules.js";
import { Sessions } from "./app/sessions.js";
import { Settling } from "./app/settling.js";
import { Submit } from "./app/submit.js";
import { TaskControl } from "./app/tasks.js";
import type { Line, Log, Telemetry } from "./app/telemetry.js";
import { Traffic } from "./app/traffic.js";
import { UnaryWorkers } from "./app/unary.js";
import { UniqueJobs } from "./app/unique.js";
import { Waiting } from "./app/waiting.js";
import type { Config } from "./config.js";
import { specOf } from "./core/job.js";
import { type RunTimes, times } from "./core/limits.js";
import { readSchedule } from "./grpc/schedule-service.js";
import { startGrpc } from "./grpc/server.js";
import { Bodies } from "./jetstream/bodies.js";
import { DueFeed } from "./jetstream/due.js";
import { OldestReady } from "./jetstream/oldest-ready.js";
import { PhaseCounts } from "./jetstream/phase-counts.js";
import { StartupError } from "./jetstream/startup-error.js";
import type { OwnServer } from "./jetstream/storage.js";
import { Store } from "./jetstream/store.js";
import { Sweeps } from "./jetstream/sweeps.js";
import { startHttp } from "./ops/http.js";
import { createMetrics, type StorageLook } from "./ops/metrics.js";
import { JobTraces } from "./ops/traces.js";
import { randomPool } from "./random-pool.js";
import { SignedTokens } from "./tokens.js";
import { version } from "./version.js";

const pingEvery = 5_000;
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

type Parts = Awaited<ReturnType<typeof assemble>>;

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
  const traffic = new Traffic(() => performance.now());
  const telemetry = traffic.seen({ ...metrics.telemetry, traces });
  const store = await Store.open({ ...storeOptions(config), ackWait: run.ackWait, own }, telemetry, log);
  try {
    const parts = await assemble(config, store, telemetry, traffic, log, run);
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

/** SHA-256. */
function digest(content: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of content) hash.update(part);
  return hash.digest();
}

export function storeOptions(config: Config) {
  const url = config.natsUrl.join(",");
  const tls =
    config.natsTlsCa === undefined && config.natsTlsCert === undefined
      ? undefined
      : { ca: config.natsTlsCa, cert: config.natsTlsCert, key: config.natsTlsKey };
  return {
    target:
      url === ""
        ? undefined
        : {
            url,
            creds: config.natsCreds,
            user: config.natsUser,
            password: config.natsPassword,
            token: config.natsToken,
            tls,
          },
    embedded: {
      dataDir: config.dataDir,
      sync: config.sync === "always" ? "always" : `${config.sync}ms`,
      binary: config.natsServer,
    },
    namespace: config.namespace,
    shards: config.shards,
    replicas: config.replicas,
    maxLanes: config.maxLanes,
    highWater: config.storageHighWater,
    name: config.brokerName,
  };
}

/** The use cases on top of a store, running. */
async function assemble(
  config: Config,
  store: Store,
  telemetry: Telemetry,
  traffic: Traffic,
  log: Log,
  run: RunTimes,
) {
  const { jobs, journal, lanes, peers, clock } = store;
  const broker = peers.self;
  const tokens = new SignedTokens(store.tokenKey);
  const hints = new Hints(jobs, peers);
  const agenda = new Agenda();
  const ledger = new Ledger(journal, jobs, lanes, clock, hints, agenda);
  const promoter = new Promoter(agenda, ledger, jobs, clock, telemetry, log);
  const holdings = new Holdings();
  const settling = new Settling(ledger, holdings, jobs, clock, telemetry, log, broker, run);
  const granting = new Granting(
    ledger,
    settling,
    holdings,
    jobs,
    tokens,
    hints,
    clock,
    telemetry,
    log,
    (spec) => flows.inlineInputs(spec),
    (ref, known, origin) => keys.enter(ref, known, origin),
  );
  const deliveries: Deliveries = new Deliveries(
    ledger,
    jobs,
    peers,
    holdings,
    telemetry,
    log,
    (ticket) => dispatcher.accept(ticket),
    (id) => dispatcher.isBuffered(id),
  );
  const dispatcher: Dispatcher = new Dispatcher(
    lanes,
    (ticket) => deliveries.giveBack(ticket),
    (ticket) => deliveries.examine(ticket),
    run,
  );
  const sessions = new Sessions(
    broker,
    {
      // A worker that has nothing to say is heard by its pongs: there must be some in every timeout.
      pingEvery: Math.min(pingEvery, config.sessionTimeout / 3),
      timeout: config.sessionTimeout,
      grace: config.sessionGrace,
    },
    { settling, granting, tokens, hints, clock },
    ledger,
    jobs,
    holdings,
    dispatcher,
    telemetry,
  );
  const unary = new UnaryWorkers(
    ledger,
    settling,
    granting,
    holdings,
    dispatcher,
    tokens,
    clock,
    broker,
    peers,
  );
  const keeper = new Keeper(holdings, settling, clock, log);
  const reader = new Reader(jobs, peers, holdings);
  const waiting = new Waiting(reader, hints);
  const unique = new UniqueJobs(store.claims, ledger, jobs, clock);
  const cancel = new Cancel(
    ledger,
    jobs,
    reader,
    peers,
    holdings,
    settling,
    dispatcher,
    clock,
    telemetry,
    log,
    unique,
  );
  const graphs = new FlowGraphs(store.flows);
  const flowSteps = new FlowSteps(store.flows, graphs, jobs, ledger, cancel, clock, log);
  const flows: FlowControl = new FlowControl(
    store.flows,
    graphs,
    flowSteps,
    ledger,
    jobs,
    store.storage,
    clock,
    telemetry,
    log,
    randomPool(),
    digest,
  );
  const submit = new Submit(ledger, jobs, store.storage, clock, telemetry, randomPool(), unique);
  const limits = new LimitControl(store.limits, dispatcher, holdings, peers, clock, log);
  const keys = new KeyPlaces(
    store.keys,
    ledger,
    jobs,
    (task, queue) => limits.perKey(task, queue),
    peers,
    clock,
    log,
  );
  ledger.keyed = (changed) => keys.changed(changed);
  const oldest = new OldestReady({
    nc: store.nc,
    lanes,
    stream: (shard) => store.subjects.stream(shard),
    now: () => clock.now(),
    problem: (error) => log.debug({ err: error }, "the oldest ready jobs could not be looked up"),
  });
  const queues = new QueueControl(
    store.queues,
    lanes,
    dispatcher,
    holdings,
    peers,
    clock,
    log,
    limits,
    traffic,
    oldest,
    run,
  );
  const routes = new RouteControl(store.routes, peers, clock, log);
  const random = randomPool();
  const firings = new Firings(
    store.schedules,
    jobs,
    submit,
    cancel,
    peers,
    clock,
    routes,
    readSchedule,
    random,
    log,
    run,
    telemetry,
  );
  const schedules = new ScheduleControl(store.schedules, firings, clock, routes, readSchedule);
  const inspect = new Inspect(peers, holdings, sessions, dispatcher, keeper);
  const move = new Move(ledger, jobs, lanes, reader, peers, holdings, settling, dispatcher);
  const explain = new Explain(
    reader,
    queues,
    store.queues,
    limits,
    store.flows,
    graphs,
    keys,
    dispatcher,
    peers,
    clock,
  );
  const tasks = new TaskControl(store.queues, limits, inspect);
  const overdue = new Overdue(jobs, journal, clock, store.storage, log);
  const alarms = new Alarms(ledger, jobs, peers, clock, telemetry, log);
  const due = new DueFeed(store.jsm, store.inbox, store.subjects, (found) => alarms.look(found));
  const sweeps = new Sweeps(
    store.nc,
    store.jsm,
    store.subjects,
    lanes,
    (queue) => queues.settingsOf(queue),
    clock,
    telemetry,
    log,
  );
  const bodies = new Bodies(store.jsm, store.subjects, jobs, telemetry, log);
  const counts = new PhaseCounts({
    nc: store.nc,
    subjects: store.subjects,
    lanes,
    problem: (error) => log.debug({ err: error }, "jobs could not be counted"),
  });
  const limitWatch = new LimitWatch(limits, log);
  await due.start();
  await store.flows.start((tickets) => flowSteps.look(tickets));
  flows.start();
  await lanes.start(dispatcher);
  await queues.start();
  await routes.start();
  await store.schedules.start((tickets) => firings.look(tickets));
  firings.start();
  promoter.start();
  keys.start();
  overdue.start();
  sweeps.start();
  bodies.start();
  oldest.start();
  counts.start();
  limitWatch.start();
  const stop = () => {
    limitWatch.stop();
    counts.stop();
    oldest.stop();
    bodies.stop();
    sweeps.stop();
    routes.stop();
    queues.stop();
    limits.stop();
    lanes.stop();
    due.stop();
    flows.stop();
    store.flows.stop();
    store.schedules.stop();
    firings.stop();
    promoter.stop();
    keys.stop();
    overdue.stop();
    keeper.stop();
    sessions.stop();
    hints.close();
  };
  return {
    store,
    agenda,
    holdings,
    dispatcher,
    sessions,
    unary,
    reader,
    waiting,
    cancel,
    move,
    explain,
    submit,
    flows,
    schedules,
    firings,
    queues,
    tasks,
    limits,
    keys,
    routes,
    inspect,
    sweeps,
    bodies,
    oldest,
    counts,
    limitWatch,
    stop,
  };
}

function apiOf(config: Config, parts: Parts, readiness: BrokerApi["readiness"]): BrokerApi {
  const { store, reader, waiting, cancel, submit, unary, sessions, inspect } = parts;
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
    flows: parts.flows,
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
