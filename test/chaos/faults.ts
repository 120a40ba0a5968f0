// Kills, and what they hit.

import type { Broker } from "../support/broker.js";
import type { Cluster } from "./cluster.js";
import { between, type Random } from "./job-mix.js";
import { pause, until } from "./waiting.js";
import type { WorkerProcess } from "./worker-process.js";

export type FaultKind =
  | "worker"
  | "broker"
  | "nats"
  /** A broker and the workers attached to it, at once. */
  | "host"
  /** Everything at once. */
  | "power";

const plannedKinds: Readonly<Record<FaultKind, number>> = {
  worker: 5,
  broker: 3,
  nats: 4,
  host: 2,
  power: 1,
};

/** What has to be counted before the faults have hit something, and the kill most likely to bring it about. */
const goals: readonly { counter: string; by: FaultKind }[] = [
  { counter: "drover_jobs_reissued_total", by: "host" },
  { counter: "drover_journal_conflicts_total", by: "nats" },
  { counter: "drover_journal_unknown_total", by: "nats" },
  { counter: "drover_leases_lost_total", by: "worker" },
];

/** Runs under way that a kill waits for. */
const worthIt = 5;

export class Faults {
  /** What was killed, and how many runs had begun and not ended in what the kill concerned. */
  readonly struck: { kind: FaultKind; inFlight: number }[] = [];
  readonly #returning = new Set<Promise<void>>();

  constructor(
    readonly cluster: Cluster,
    readonly random: Random,
    /** Submits a few more jobs, when there is nothing left that a kill could hit. */
    readonly feed: () => void,
  ) {}

  /** Each kind as often as planned, in an order of the seed's. */
  planned(): FaultKind[] {
    const kinds = Object.entries(plannedKinds).flatMap(([kind, times]) =>
      Array.from({ length: times }, () => kind as FaultKind),
    );
    for (let i = kinds.length - 1; i > 0; i--) {
      const j = between(this.random, 0, i);
      [kinds[i], kinds[j]] = [kinds[j] as FaultKind, kinds[i] as FaultKind];
    }
    return kinds;
  }

  /** Kinds of kills that may still bring about what has not been seen. */
  missing(): FaultKind[] {
    return goals.filter(({ counter }) => this.cluster.counters.sum(counter) === 0).map(({ by }) => by);
  }

  /** Kills while something runs there, and lets it come back after a while. Settles when it has. */
  async strike(kind: FaultKind): Promise<void> {
    await this.over();
    const { brokers, workers, nats } = this.cluster;
    const back: (() => Promise<unknown>)[] = [];
    const broker = brokers[between(this.random, 0, brokers.length - 1)];
    if (broker === undefined) throw new Error("no brokers");
    const living = workers.filter(({ running }) => running);
    switch (kind) {
      case "worker": {
        const worker = living[between(this.random, 0, living.length - 1)];
        if (worker === undefined) throw new Error("no worker lives");
        await this.#inFlight(kind, [worker], () => worker.kill());
        back.push(() => this.#workAgain(worker));
        break;
      }
      case "broker": {
        const target = await this.#withWorkers(broker);
        await this.cluster.counters.look(target);
        await this.#inFlight(kind, this.cluster.attachedTo(target), () => this.cluster.killBroker(target));
        back.push(() => target.restart());
        break;
      }
      case "nats":
        await this.#inFlight(kind, living, () => nats.kill());
        back.push(() => nats.restart());
        break;
      case "host": {
        const target = await this.#withWorkers(broker);
        const there = this.cluster.attachedTo(target);
        await this.cluster.counters.look(target);
        await this.#inFlight(kind, there, () =>
          Promise.all([this.cluster.killBroker(target), ...there.map((worker) => worker.kill())]),
        );
        back.push(() => target.restart(), ...there.map((worker) => () => this.#workAgain(worker)));
        break;
      }
      case "power":
        await this.look();
        await this.#inFlight(kind, living, () =>
          Promise.all([
            nats.kill(),
            ...brokers.map((each) => this.cluster.killBroker(each)),
            ...living.map((worker) => worker.kill()),
          ]),
        );
        back.push(
          () => nats.restart(),
          ...brokers.map((each) => () => each.restart()),
          ...living.map((worker) => () => this.#workAgain(worker)),
        );
    }
    const returned = Promise.all(
      back.map(async (comeBack) => {
        await pause(between(this.random, 50, 1_500));
        await comeBack();
      }),
    ).then(() => undefined);
    this.#returning.add(returned);
    await returned.finally(() => this.#returning.delete(returned));
  }

  /** Once everything is back. */
  async over(): Promise<void> {
    await Promise.all(this.#returning);
  }

  async look(): Promise<void> {
    for (const broker of this.cluster.brokers) await this.cluster.counters.look(broker);
  }

  /** This broker, or another one that workers are attached to. */
  async #withWorkers(first: Broker): Promise<Broker> {
    const candidates = [first, ...this.cluster.brokers];
    return until("a broker with workers", () =>
      candidates.find((broker) => this.cluster.attachedTo(broker).length > 0),
    );
  }

  /** Kills as soon as something runs in one of these workers; counts what was under way at that moment. */
  async #inFlight(
    kind: FaultKind,
    workers: readonly WorkerProcess[],
    kill: () => Promise<unknown>,
  ): Promise<void> {
    const pids = new Set(workers.map(({ pid }) => pid));
    const open = () => new Set(this.cluster.journal.read().open(pids));
    const feeding = setInterval(() => this.feed(), 1_000);
    try {
      await until(`something runs before ${kind} is killed`, () => open().size >= worthIt, { every: 5 });
    } finally {
      clearInterval(feeding);
    }
    const before = open();
    const killing = kill();
    const inFlight = [...open()].filter((run) => before.has(run)).length;
    await killing;
    this.struck.push({ kind, inFlight });
  }

  async #workAgain({ options }: WorkerProcess): Promise<void> {
    await this.cluster.worker(options);
  }
}
