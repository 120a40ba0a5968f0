// A nats-server with a namespace of brokers in this process, and a look behind their backs at what is stored.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type MsgHdrs, type NatsConnection, headers as noHeaders } from "nats";
import { type RunningBroker, startBroker } from "../../broker/src/broker.js";
import { readConfig } from "../../broker/src/config.js";
import type { JobRef, Phase, Stored } from "../../broker/src/core/job.js";
import { type RunTimes, times } from "../../broker/src/core/limits.js";
import { decode } from "../../broker/src/jetstream/codec.js";
import { laneName } from "../../broker/src/jetstream/lane-consumers.js";
import { parseJobSubject, Subjects } from "../../broker/src/jetstream/subjects.js";
import { NatsServer, type NatsServerOptions } from "./nats.js";
import { QuietLog } from "./quiet-log.js";
import { until } from "./until.js";

export interface SceneOptions {
  shards?: number;
  replicas?: 1 | 3;
  nats?: NatsServerOptions;
  /** A server of somebody else's, or several. */
  url?: string;
}

/** One message of a job as the store has it. */
export interface Lying {
  subject: string;
  phase: Phase;
  seq: number;
  rev: number;
  headers: MsgHdrs;
  data: Uint8Array;
  /** Undefined for a tombstone. */
  stored: Stored | undefined;
}

let tasks = 0;

/** A task nobody else uses: tests that share a server keep out of each other's way. */
export function freshTask(name = "task"): string {
  tasks += 1;
  return `${name}-${tasks}`;
}

function lyingOf(subject: string, seq: number, headers: MsgHdrs, data: Uint8Array): Lying {
  const decoded = decode(subject, seq, headers, data);
  const stored = decoded === undefined || decoded.kind === "tombstone" ? undefined : decoded.stored;
  const phase = parseJobSubject(subject)?.phase ?? "ready";
  return { subject, phase, seq, rev: stored?.rev ?? 0, headers, data, stored };
}

export class Scene {
  readonly log = new QuietLog();
  readonly subjects: Subjects;
  readonly #brokers = new Set<RunningBroker>();

  private constructor(
    readonly server: NatsServer | undefined,
    readonly url: string,
    readonly options: SceneOptions,
    /** Of the test, not of a broker. */
    readonly nc: NatsConnection,
    readonly jsm: JetStreamManager,
  ) {
    this.subjects = new Subjects("default", options.shards ?? 1);
  }

  static async open(options: SceneOptions = {}): Promise<Scene> {
    const server = options.url === undefined ? await NatsServer.start(options.nats) : undefined;
    const url = options.url ?? server?.url ?? "";
    const nc = await connect({ servers: url.split(","), maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    return new Scene(server, url, options, nc, await jetstreamManager(nc, { checkAPI: false }));
  }

  /** The nats-server, where it is the scene's own. */
  get nats(): NatsServer {
    if (this.server === undefined) throw new Error("this scene has no nats-server of its own");
    return this.server;
  }

  async broker(run: Partial<RunTimes> = {}, env: Record<string, string> = {}): Promise<RunningBroker> {
    const config = readConfig({
      DROVER_GRPC_PORT: "0",
      DROVER_HTTP_PORT: "0",
      DROVER_NATS_URL: this.url,
      DROVER_LOG_LEVEL: "silent",
      DROVER_SHARDS: String(this.options.shards ?? 1),
      DROVER_REPLICAS: String(this.options.replicas ?? 1),
      DROVER_STOP_TIMEOUT: "0s",
      ...env,
    });
    const broker = await startBroker(config, this.log, { ...times, ...run });
    this.#brokers.add(broker);
    return broker;
  }

  /** Two brokers alike that know each other. */
  async pair(
    run: Partial<RunTimes> = {},
    env: Record<string, string> = {},
  ): Promise<[RunningBroker, RunningBroker]> {
    const [first, second] = await this.brokers(2, run, env);
    return [first as RunningBroker, second as RunningBroker];
  }

  /** So many brokers alike, who know one another. */
  async brokers(
    count: number,
    run: Partial<RunTimes> = {},
    env: Record<string, string> = {},
  ): Promise<RunningBroker[]> {
    const brokers: RunningBroker[] = [];
    while (brokers.length < count) brokers.push(await this.broker(run, env));
    await this.acquainted();
    return brokers;
  }

  /** Settles when every broker has heard of every other. */
  async acquainted(): Promise<void> {
    const brokers = [...this.#brokers];
    await until("the brokers to know each other", () =>
      brokers.every(({ parts }) => parts.store.peers.all().length === brokers.length),
    );
  }

  /** SIGKILL of the nats-server, and a new one on its data. Settles when everybody is connected again. */
  async crash(): Promise<void> {
    await this.nats.kill();
    await this.nats.restart();
    await this.reconnected();
  }

  async reconnected(): Promise<void> {
    const asked = () => this.nc.request("$JS.API.INFO", "", { timeout: 500 });
    await until("the test to be connected", () =>
      asked().then(
        () => true,
        () => false,
      ),
    );
    await until("the brokers to be connected", () =>
      [...this.#brokers].every(({ parts }) => parts.store.connection.connected),
    );
  }

  async stop(broker: RunningBroker): Promise<void> {
    if (this.#brokers.delete(broker)) await broker.stop();
  }

  /** Every message of a job, the one of the highest revision last. */
  async lying(ref: JobRef): Promise<Lying[]> {
    const stream = this.subjects.stream(this.subjects.shard(ref.task));
    const { state } = await this.jsm.streams.info(stream, { subjects_filter: this.subjects.ofJob(ref) });
    const found: Lying[] = [];
    for (const subject of Object.keys(state.subjects ?? {})) {
      const message = await this.jsm.streams.getMessage(stream, { last_by_subj: subject });
      if (message === null) continue;
      found.push(lyingOf(subject, message.seq, message.header, message.data));
    }
    return found.sort((a, b) => a.rev - b.rev || a.seq - b.seq);
  }

  /** Hears what is written of a job from now on: in the store each message takes the place of the one before. What it
   *  returns finds the first of a phase. */
  async overhear(ref: JobRef): Promise<(phase: Phase) => Promise<Lying>> {
    const heard: Lying[] = [];
    this.nc.subscribe(this.subjects.ofJob(ref), {
      callback: (_, { subject, headers = noHeaders(), data }) => {
        heard.push(lyingOf(subject, 0, headers, data));
      },
    });
    await this.nc.flush();
    return (phase) => until(`a message ${phase}`, () => heard.find((message) => message.phase === phase));
  }

  /** The message that is a job's state. */
  async current(ref: JobRef): Promise<Lying> {
    const last = (await this.lying(ref)).at(-1);
    if (last === undefined) throw new Error(`nothing is stored of ${ref.task}~${ref.key}`);
    return last;
  }

  /** Bytes of the payload that lies beside a job. */
  async body(ref: JobRef): Promise<number | undefined> {
    const stream = this.subjects.stream(this.subjects.shard(ref.task));
    const message = await this.jsm.streams.getMessage(stream, { last_by_subj: this.subjects.body(ref) });
    return message?.data.length;
  }

  /** Stream and consumer of a lane. */
  lane(task: string, queue = "default", priority = 5): { stream: string; name: string; filter: string } {
    const filter = this.subjects.lane({ task, queue, priority });
    return { stream: this.subjects.stream(this.subjects.shard(task)), name: laneName(filter), filter };
  }

  /** After how long a lane delivers a ticket again that nobody acked, ms. */
  async ackWait(task: string, ms: number): Promise<void> {
    const { stream, name } = this.lane(task);
    const { config } = await this.jsm.consumers.info(stream, name);
    await this.jsm.consumers.update(stream, name, { ...config, ack_wait: ms * 1_000_000 });
  }

  /** Messages of a filter in the shard of a task. */
  async count(task: string, filter: string): Promise<number> {
    const stream = this.subjects.stream(this.subjects.shard(task));
    const { state } = await this.jsm.streams.info(stream, { subjects_filter: filter });
    return Object.values(state.subjects ?? {}).reduce((sum, n) => sum + n, 0);
  }

  async close(): Promise<void> {
    const brokers = [...this.#brokers];
    this.#brokers.clear();
    await Promise.all(brokers.map((broker) => broker.stop()));
    await this.nc.close();
    await this.server?.stop();
  }
}
