// Brokers, workers and a store, moved on one small step at a time: which one, the test decides.

import type { Change } from "../../../broker/src/app/ports.js";
import type { JobRef } from "../../../broker/src/core/job.js";
import { jobId } from "../../../broker/src/core/names.js";
import { ModelBroker } from "./broker.js";
import type { Fate, Shared } from "./ports.js";
import { ModelStore, type StoreRules, soundRules } from "./store.js";
import { JobWitness } from "./witness.js";
import { ModelWorker, success } from "./worker.js";

export interface WorldRules extends StoreRules {
  fenced: boolean;
  wary: boolean;
  /** By how much the brokers' clock is ahead of the store's, ms. */
  ahead: number;
}

export const soundWorld: WorldRules = { ...soundRules, fenced: true, wary: true, ahead: 0 };

export class World implements Shared {
  readonly store: ModelStore;
  readonly witness: JobWitness;
  readonly brokers: ModelBroker[];
  readonly workers: ModelWorker[];
  readonly fenced: boolean;
  readonly wary: boolean;
  readonly clock = { now: () => this.time + this.#ahead, reached: () => this.time + this.#ahead };
  time = Date.UTC(2026, 0, 1);
  readonly #ahead: number;
  #nonce = 0;
  #waiting: { broker: ModelBroker; go(fate: Fate): void }[] = [];

  constructor(rules: WorldRules) {
    this.fenced = rules.fenced;
    this.wary = rules.wary;
    this.#ahead = rules.ahead;
    this.store = new ModelStore(rules);
    this.witness = new JobWitness(this.store, () => this.time);
    this.brokers = ["x", "y"].map((name) => new ModelBroker(name, this));
    this.workers = ["v", "w"].map((instance) => new ModelWorker(instance, this.witness));
  }

  turn(broker: ModelBroker): Promise<Fate> {
    return new Promise((go) => {
      if (broker.alive) this.#waiting.push({ broker, go });
    });
  }

  committed(change: Change, seq: number): void {
    this.witness.committed(change, seq);
  }

  nonce(): string {
    return `n${++this.#nonce}`;
  }

  trusted(ref: JobRef, rev: number | undefined): void {
    this.witness.trusted(ref, rev);
  }

  broken(what: string): void {
    this.witness.broken.push(what);
  }

  /** Lets the n-th of those that wait have its turn. */
  go(n: number, fate: Fate): void {
    const [next] = this.#waiting.splice(n % Math.max(1, this.#waiting.length), 1);
    next?.go(fate);
  }

  /** Lets all that waits happen, in order, and what comes of it. */
  async goAll(): Promise<void> {
    await settled();
    for (let i = 0; i < 500 && this.#waiting.length > 0; i++) {
      this.go(0, "answered");
      await settled();
    }
  }

  /** A new process in the place of an old one. */
  replace(old: ModelBroker): void {
    old.die();
    this.#waiting = this.#waiting.filter(({ broker }) => broker !== old);
    const broker = new ModelBroker(`${old.name}'`, this);
    broker.trustAbove = this.store.last;
    this.brokers[this.brokers.indexOf(old)] = broker;
  }

  firePass(): void {
    for (this.store.startPass(this.time); this.store.pass.length > 0; this.store.startPass(this.time)) {
      while (this.store.pass.length > 0) this.store.fire();
    }
  }

  ringAll(broker: ModelBroker): void {
    const { alarms } = this.store;
    const rung = alarms.waiting();
    for (let next = alarms.next(broker); next !== undefined; next = alarms.next(broker))
      rung.push(next.message);
    if (rung.length > 0) broker.rang(rung);
  }

  /** All brokers die, and a new one with a worker that succeeds takes over: it must end every job. */
  async recover(): Promise<void> {
    for (const broker of this.brokers) broker.die();
    this.#waiting = [];
    const broker = new ModelBroker("z", this);
    broker.trustAbove = this.store.last;
    this.brokers.splice(0, this.brokers.length, broker);
    const worker = new ModelWorker("u", this.witness);
    worker.attach(broker, []);
    for (let minute = 0; minute < 60; minute++) {
      await this.goAll();
      if (this.witness.jobs().every(({ ended }) => ended !== "")) return;
      this.time += 60_000;
      this.firePass();
      this.#deliverAll(broker);
      this.ringAll(broker);
      await this.goAll();
      for (const lease of worker.leases.splice(0)) worker.report(lease, broker, success(lease.token));
    }
    for (const { ref, ended } of this.witness.jobs()) if (ended === "") this.broken(`${jobId(ref)} was lost`);
  }

  /** Stops the timers of all that is left. */
  close(): void {
    for (const broker of this.brokers) broker.die();
  }

  #deliverAll(broker: ModelBroker): void {
    const { tickets } = this.store;
    for (const _ of tickets.waiting()) {
      const delivery = tickets.again(broker, 0);
      if (delivery !== undefined) broker.delivered(delivery);
    }
    for (let next = tickets.next(broker); next !== undefined; next = tickets.next(broker))
      broker.delivered(next);
  }
}

/** Until all promises that can go on have. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
