// Everything that a chaos test kills: a nats-server that fsyncs each write, two brokers on it, workers, and a client.

import { Client } from "@drover/client";
import { Broker } from "../support/broker.js";
import { NatsServer } from "../support/nats.js";
import { Counters } from "./counters.js";
import { RunJournal } from "./run-journal.js";
import { type WorkerOptions, WorkerProcess } from "./worker-process.js";

export interface ClusterOptions {
  brokers?: number;
  /** More settings of the brokers: `DROVER_…`. */
  env?: Readonly<Record<string, string>>;
}

export class Cluster {
  readonly journal = new RunJournal();
  readonly counters = new Counters();
  readonly workers: WorkerProcess[] = [];
  /** Of all workers there ever were. */
  readonly pids = new Set<number>();
  readonly #clients: Client[] = [];

  private constructor(
    readonly nats: NatsServer,
    readonly brokers: Broker[],
  ) {}

  static async start({ brokers = 2, env = {} }: ClusterOptions = {}): Promise<Cluster> {
    const nats = await NatsServer.start();
    const cluster = new Cluster(nats, []);
    try {
      for (let n = 0; n < brokers; n++) {
        cluster.brokers.push(await Broker.start({ natsUrl: nats.url, env }));
      }
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get addresses(): string[] {
    return this.brokers.map(({ address }) => address);
  }

  broker(n: number): Broker {
    const broker = this.brokers[n];
    if (broker === undefined) throw new Error(`there is no broker ${n}`);
    return broker;
  }

  /** Closed by `stop`. */
  client(addresses: readonly string[] = this.addresses): Client {
    const client = new Client({ addresses });
    this.#clients.push(client);
    return client;
  }

  /** Of all brokers unless told otherwise. Settles when it is attached. */
  async worker(options: Partial<WorkerOptions> = {}): Promise<WorkerProcess> {
    const worker = this.spawnWorker(options);
    await worker.attached(1);
    return worker;
  }

  spawnWorker(options: Partial<WorkerOptions> = {}): WorkerProcess {
    const worker = WorkerProcess.spawn({
      addresses: this.addresses,
      journal: this.journal.file,
      ...options,
    });
    this.workers.push(worker);
    this.pids.add(worker.pid);
    return worker;
  }

  /** Workers that attached to this broker last and live. */
  attachedTo(broker: Broker): WorkerProcess[] {
    return this.workers.filter(
      ({ running, attachedTo }) => running && attachedTo?.address === broker.address,
    );
  }

  /** What it had counted when it was last looked at stays counted. */
  async killBroker(broker: Broker): Promise<void> {
    await broker.kill();
    this.counters.ended(broker);
  }

  /** Ends every process, however it stands, and removes what they stored. */
  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all(this.workers.map((worker) => worker.kill()));
    // Killed, so that a broker which a test left without nats-server is gone at once.
    await Promise.all(
      this.brokers.map(async (broker) => {
        await broker.kill();
        await broker.stop();
      }),
    );
    await this.nats.stop();
    this.journal.remove();
  }
}
