// Everything that JetStream does for a broker, put together: a connection (to a server of its own where none is named),
// the namespace's streams, and the ports of app/ on top of them.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { createInbox, type NatsConnection } from "nats";
import type { Log, Telemetry } from "../app/telemetry.js";
import { JsApi } from "./api.js";
import { ClaimStore } from "./claim-store.js";
import { ServerClock } from "./clock.js";
import { Connection } from "./connect.js";
import { EmbeddedServer } from "./embedded.js";
import { FlowStore } from "./flow-store.js";
import { StreamJournal } from "./journal.js";
import { StreamKeys } from "./key-store.js";
import { StreamLanes } from "./lanes.js";
import { StreamLimits } from "./limit-store.js";
import { measured } from "./measured.js";
import type { NatsTarget } from "./nats-target.js";
import { NatsPeers } from "./peers.js";
import { provision } from "./provision.js";
import { PullInbox } from "./puller.js";
import { QueueStore } from "./queue-store.js";
import { JobReads } from "./reads.js";
import { RouteStore } from "./route-store.js";
import { ScheduleStore } from "./schedule-store.js";
import { clearStaging, openStaging } from "./staging.js";
import { type OwnServer, StorageMonitor } from "./storage.js";
import { Subjects } from "./subjects.js";
import { Wire } from "./wire.js";

export interface StoreOptions {
  /** Undefined: a server of its own. */
  target: NatsTarget | undefined;
  /** `sync`: `always`, or how often it fsyncs, as `10000ms`. `binary` undefined: found or fetched. */
  embedded: { dataDir: string; sync: string; binary: string | undefined };
  /** The server at `target`, if somebody near keeps it for this broker. */
  own?: OwnServer | undefined;
  namespace: string;
  /** 1 to 64; that of a namespace that is there. */
  shards: number;
  replicas: 1 | 3;
  /** Of the namespace. */
  maxLanes: number;
  /** Share of the storage above which submits are refused, 0 to 1. */
  highWater: number;
  /** The broker's name. */
  name: string;
  /** How long the journal waits for an answer, ms; tests shorten it. */
  answerWithin?: number | undefined;
  /** After how long a ticket that nobody acked is delivered again, ms; tests shorten it. */
  ackWait?: number | undefined;
}

/** The most that may be unexplained between the server's clock and what we make of it, ms. */
const mostDrift = 5_000;

/** Everything of it is in use until it is closed. */
export type Store = Awaited<ReturnType<typeof openStore>>;

/** @throws StartupError */
export async function openStore(options: StoreOptions, telemetry: Telemetry, log: Log) {
  const reached = await reach(options, log);
  try {
    return await storeAt(reached, options, telemetry, log);
  } catch (error) {
    await reached.connection.close();
    await reached.embedded?.close();
    throw error;
  }
}

async function storeAt(
  { connection, embedded }: Reached,
  options: StoreOptions,
  telemetry: Telemetry,
  log: Log,
) {
  const nc = measured(connection.nc, (operation, outcome, seconds) =>
    telemetry.jetstream(operation, outcome, seconds),
  );
  const clock = new ServerClock();
  const api = new JsApi(nc, (sample) => clock.observe(sample));
  const { namespace, highWater } = options;
  const wanted = { namespace, shards: options.shards, replicas: options.replicas };
  const made = await provision({ ...wanted, connection, api, log });
  const { replicas } = made;
  const subjects = new Subjects(namespace, made.shards);
  const self = options.name.replaceAll(/[^A-Za-z0-9_-]/g, "-");
  const peers = new NatsPeers({ connection, namespace, self, log });
  const own = options.own ?? embedded;
  const shards = made.streams.map((stream, shard) => ({ stream, prefix: `drover.${namespace}.${shard}` }));
  const storage = new StorageMonitor({ api, log, shards, replicas, own, highWater });
  const jobs = new JobReads(nc, subjects, replicas, (outcome, seconds) =>
    telemetry.jetstream("DIRECT.GET", outcome, seconds),
  );
  const staging = own === undefined || replicas > 1 ? undefined : openStaging(own.storeDir);
  const wire = new Wire(nc);
  const journal = new StreamJournal(nc, wire, subjects, jobs, telemetry, storage, {
    inbox: createInbox(),
    staging,
    boot: `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}-`,
    ...(options.answerWithin === undefined ? {} : { answerWithin: options.answerWithin }),
  });
  const jsm = await managerOf(nc);
  const inbox = new PullInbox(nc, wire, createInbox());
  const notDone = (error: unknown, during: string) => log.warn({ error: String(error) }, `${during} failed`);
  const lanes = new StreamLanes(jsm, inbox, subjects, peers, options.maxLanes, notDone, options.ackWait);
  const stream = { nc, jsm, inbox, subjects, reads: jobs, nonce: () => journal.nonce() };
  const flows = new FlowStore(stream, options.ackWait);
  heed(connection, journal, lanes, log);
  await storage.start();
  await peers.start();
  return {
    nc,
    jsm,
    inbox,
    subjects,
    clock,
    peers,
    storage,
    jobs,
    journal,
    lanes,
    flows,
    queues: new QueueStore(nc, jsm, subjects, lanes),
    routes: new RouteStore(nc, jsm, subjects),
    limits: new StreamLimits(stream),
    claims: new ClaimStore(subjects, jobs),
    keys: new StreamKeys(stream),
    schedules: new ScheduleStore(stream),
    connection,
    replicas,
    tokenKey: made.tokenKey,

    /** Why the store cannot be relied on right now, a line each. */
    problems(): string[] {
      const problems: string[] = [];
      if (!connection.connected) problems.push("no connection to NATS");
      if (storage.problem !== undefined) problems.push(storage.problem);
      const { drift } = clock;
      if (Math.abs(drift) > mostDrift)
        problems.push(`the clocks of broker and nats-server differ by ${drift} ms`);
      return problems;
    },

    /** What is still to be written is, within `patience` ms; then everything is closed. */
    async close(patience: number): Promise<void> {
      await journal.drain(patience);
      journal.close();
      inbox.close();
      await peers.close();
      await storage.close();
      await connection.close();
      staging?.close();
      await embedded?.close();
    },
  };
}

/** What a connection that was lost meant to be true holds no more. */
function heed(connection: Connection, journal: StreamJournal, lanes: StreamLanes, log: Log): void {
  connection.onDisconnected(() => {
    journal.disconnected();
    lanes.disconnected();
  });
  connection.onConnected(() => {
    journal.reconnected();
    lanes.reconnected().catch((error: unknown) => {
      log.warn({ error: String(error) }, "the lanes could not be read again yet");
    });
  });
}

/** A nats-server of one's own. @throws StartupError */
export async function startEmbedded(
  { dataDir, sync, binary }: StoreOptions["embedded"],
  log: Log,
): Promise<EmbeddedServer> {
  const search = binary === undefined ? {} : { binary: { named: binary } };
  const server = await EmbeddedServer.start({ dataDir, sync, log, ...search });
  clearStaging(server.storeDir);
  return server;
}

export interface Reached {
  connection: Connection;
  embedded: EmbeddedServer | undefined;
}

/** A connection to the nats-server that is to be used, or to one that is started for it. @throws StartupError */
export async function reach(options: StoreOptions, log: Log): Promise<Reached> {
  const embedded = options.target === undefined ? await startEmbedded(options.embedded, log) : undefined;
  try {
    const target = options.target ?? embedded?.target;
    if (target === undefined) throw new Error("no server and none embedded");
    return { connection: await Connection.open({ target, name: `drover ${options.name}`, log }), embedded };
  } catch (error) {
    await embedded?.close();
    throw error;
  }
}

function managerOf(nc: NatsConnection): Promise<JetStreamManager> {
  return jetstreamManager(nc, { timeout: 5_000, checkAPI: false });
}
