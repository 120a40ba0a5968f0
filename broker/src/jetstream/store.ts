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
import { clearStaging, openStaging, type Staging } from "./staging.js";
import { type OwnServer, StorageMonitor } from "./storage.js";
import { Subjects } from "./subjects.js";

export interface StoreOptions {
  /** Undefined: a server of its own. */
  target: NatsTarget | undefined;
  embedded: { dataDir: string; sync: string; binary: string | undefined };
  /** The server at `target`, if somebody near keeps it for this broker. */
  own?: OwnServer | undefined;
  namespace: string;
  shards: number;
  replicas: 1 | 3;
  maxLanes: number;
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

export class Store {
  private constructor(
    readonly options: StoreOptions,
    readonly embedded: EmbeddedServer | undefined,
    readonly connection: Connection,
    readonly jsm: JetStreamManager,
    readonly clock: ServerClock,
    readonly peers: NatsPeers,
    readonly storage: StorageMonitor,
    readonly subjects: Subjects,
    readonly jobs: JobReads,
    readonly journal: StreamJournal,
    readonly staging: Staging | undefined,
    readonly inbox: PullInbox,
    readonly lanes: StreamLanes,
    readonly queues: QueueStore,
    readonly routes: RouteStore,
    readonly limits: StreamLimits,
    readonly claims: ClaimStore,
    readonly keys: StreamKeys,
    readonly flows: FlowStore,
    readonly schedules: ScheduleStore,
    readonly tokenKey: Buffer,
    readonly replicas: number,
    readonly telemetry: Telemetry,
    readonly log: Log,
  ) {}

  /** @throws StartupError */
  static async open(options: StoreOptions, telemetry: Telemetry, log: Log): Promise<Store> {
    const { connection, embedded } = await reach(options, log);
    try {
      return await Store.#build(options, embedded, connection, telemetry, log);
    } catch (error) {
      await connection.close();
      await embedded?.close();
      throw error;
    }
  }

  static async #build(
    options: StoreOptions,
    embedded: EmbeddedServer | undefined,
    connection: Connection,
    telemetry: Telemetry,
    log: Log,
  ): Promise<Store> {
    const nc = measured(connection.nc, (operation, outcome, seconds) =>
      telemetry.jetstream(operation, outcome, seconds),
    );
    const clock = new ServerClock();
    const api = new JsApi(nc, (sample) => clock.observe(sample));
    const { namespace, shards, replicas } = options;
    const made = await provision({ connection, api, log, namespace, shards, replicas });
    const subjects = new Subjects(namespace, made.shards);
    const self = options.name.replaceAll(/[^A-Za-z0-9_-]/g, "-");
    const peers = new NatsPeers({ connection, namespace, self, log });
    const own = options.own ?? embedded;
    const storage = new StorageMonitor({
      api,
      log,
      shards: made.streams.map((stream, shard) => ({ stream, prefix: `drover.${namespace}.${shard}` })),
      replicas: made.replicas,
      own,
      highWater: options.highWater,
    });
    const jobs = new JobReads(nc, subjects, made.replicas, (outcome, seconds) =>
      telemetry.jetstream("DIRECT.GET", outcome, seconds),
    );
    const staging = own === undefined || made.replicas > 1 ? undefined : openStaging(own.storeDir);
    const journal = new StreamJournal(nc, subjects, jobs, telemetry, storage, {
      inbox: createInbox(),
      staging,
      boot: `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}-`,
      ...(options.answerWithin === undefined ? {} : { answerWithin: options.answerWithin }),
    });
    const jsm = await managerOf(nc);
    const inbox = new PullInbox(nc, createInbox());
    const notDone = (error: unknown, during: string) =>
      log.warn({ error: String(error) }, `${during} failed`);
    const lanes = new StreamLanes(jsm, inbox, subjects, peers, options.maxLanes, notDone, options.ackWait);
    const queues = new QueueStore(nc, jsm, subjects, lanes);
    const flows = new FlowStore(nc, jsm, inbox, subjects, jobs, () => journal.nonce(), options.ackWait);
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
    await storage.start();
    await peers.start();
    return new Store(
      options,
      embedded,
      connection,
      jsm,
      clock,
      peers,
      storage,
      subjects,
      jobs,
      journal,
      staging,
      inbox,
      lanes,
      queues,
      new RouteStore(nc, jsm, subjects),
      new StreamLimits(nc, jsm, subjects, jobs, () => journal.nonce()),
      new ClaimStore(subjects, jobs),
      new StreamKeys(nc, jsm, subjects, jobs, () => journal.nonce()),
      flows,
      new ScheduleStore(nc, jsm, inbox, subjects, jobs, () => journal.nonce()),
      made.tokenKey,
      made.replicas,
      telemetry,
      log,
    );
  }

  get nc(): NatsConnection {
    return this.connection.nc;
  }

  /** Why the store cannot be relied on right now, a line each. */
  problems(): string[] {
    const problems: string[] = [];
    if (!this.connection.connected) problems.push("no connection to NATS");
    if (this.storage.problem !== undefined) problems.push(this.storage.problem);
    const { drift } = this.clock;
    if (Math.abs(drift) > mostDrift)
      problems.push(`the clocks of broker and nats-server differ by ${drift} ms`);
    return problems;
  }

  /** What is still to be written is, within `patience` ms; then everything is closed. */
  async close(patience: number): Promise<void> {
    await this.journal.drain(patience);
    this.journal.close();
    this.inbox.close();
    await this.peers.close();
    await this.storage.close();
    await this.connection.close();
    this.staging?.close();
    await this.embedded?.close();
  }
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

/** A connection to the nats-server that is to be used, or to one that is started for it. @throws StartupError */
export async function reach(
  options: StoreOptions,
  log: Log,
): Promise<{ connection: Connection; embedded: EmbeddedServer | undefined }> {
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
