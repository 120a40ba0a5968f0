// Brokers, workers and a store, moved on one small step at a time: which one, the test decides.

import type { Grant, Report, Session, SessionSink } from "../../broker/src/app/api.js";
import type { Change } from "../../broker/src/app/ports.js";
import { FailureReason, type JobRef, type Spec, specOf } from "../../broker/src/core/job.js";
import { jobId } from "../../broker/src/core/names.js";
import { JobWitness } from "./job-witness.js";
import { type Fate, ModelBroker, plainTokens, type Shared, theLane } from "./model-broker.js";
import { ModelStore, type StoreRules, soundRules } from "./model-store.js";
import { retrying } from "./stored-jobs.js";

export interface WorldRules extends StoreRules {
  fenced: boolean;
}

export const soundWorld: WorldRules = { ...soundRules, fenced: true };

/** What a step is about: numbers pick among what there is. */
export type Step = readonly [name: StepName, a: number, b: number];

interface Parked {
  broker: ModelBroker;
  go(fate: Fate): void;
}

/** A worker's process. It may report on anything it ever was given, however late. */
interface Worker {
  readonly instance: string;
  session: Session | undefined;
  broker: ModelBroker | undefined;
  readonly leases: { token: string; leaseId: number; broker: ModelBroker; session: Session | undefined }[];
}

const start = Date.UTC(2026, 0, 1);
const hour = 3_600_000;
const keys = ["a", "b"];

export class World implements Shared {
  readonly store: ModelStore;
  readonly witness: JobWitness;
  readonly brokers: ModelBroker[] = [];
  readonly fenced: boolean;
  readonly clock = { now: () => this.#now };
  #now = start;
  #nonce = 0;
  #parked: Parked[] = [];
  readonly #workers: Worker[] = [];

  constructor(readonly rules: WorldRules) {
    this.fenced = rules.fenced;
    this.store = new ModelStore(rules);
    this.witness = new JobWitness(this.store, () => this.#now);
    for (const name of ["x", "y"]) this.brokers.push(new ModelBroker(name, this));
    for (const instance of ["v", "w"]) {
      this.#workers.push({ instance, session: undefined, broker: undefined, leases: [] });
    }
  }

  turn(broker: ModelBroker): Promise<Fate> {
    return new Promise((go) => {
      if (broker.alive) this.#parked.push({ broker, go });
    });
  }

  committed(change: Change, seq: number): void {
    this.witness.committed(change, seq);
  }

  nonce(): string {
    return `n${++this.#nonce}`;
  }

  broken(what: string): void {
    this.witness.broken.push(what);
  }

  /** Takes a step and waits until everybody waits for the next. */
  async step([name, a, b]: Step): Promise<void> {
    await steps[name].call(this, a, b);
    await settled();
    this.witness.look();
  }

  /** Everything breaks down, and one new broker with a worker that succeeds takes over: it must end every job. */
  async recover(): Promise<void> {
    for (const broker of this.brokers) broker.die();
    this.#parked = [];
    const broker = new ModelBroker("z", this);
    broker.trustAbove = this.store.last;
    this.brokers.splice(0, this.brokers.length, broker);
    const worker: Worker = { instance: "u", session: undefined, broker: undefined, leases: [] };
    this.#workers.splice(0, this.#workers.length, worker);
    await this.#attach(worker, broker, []);
    for (let round = 0; round < 60; round++) {
      await this.#drain();
      if (this.witness.jobs().every(({ ended }) => ended !== "")) return;
      this.#now += 60_000;
      this.#firePass();
      this.#deliverAll(broker);
      await this.#drain();
      for (const lease of worker.leases.splice(0))
        this.#report(lease, broker, { type: "success", result: of(lease.token) });
    }
    for (const { ref, ended } of this.witness.jobs()) if (ended === "") this.broken(`${jobId(ref)} was lost`);
  }

  /** Stops the timers of all that is left. */
  close(): void {
    for (const broker of this.brokers) broker.die();
  }

  // What steps do, by name.

  submit(a: number, b: number): void {
    const broker = this.#broker(a);
    const spec = this.#spec(keys[b % keys.length] ?? "", a >> 1);
    void broker.ledger.create(spec).catch(() => undefined);
  }

  async attach(a: number, b: number): Promise<void> {
    const worker = this.#worker(a);
    const broker = this.#broker(b);
    const tokens = worker.leases.map(({ token }) => token).slice(-4);
    await this.#attach(worker, broker, a & 2 ? [...new Set(tokens)] : []);
  }

  deliver(a: number, b: number): void {
    const broker = this.#broker(a);
    const { tickets } = this.store;
    const delivery = b % 4 === 0 ? tickets.again(broker, b >> 2) : tickets.next(broker);
    if (delivery !== undefined) broker.delivered(delivery);
  }

  ring(a: number, b: number): void {
    const broker = this.#broker(a);
    const { alarms } = this.store;
    const first = b % 4 === 0 ? alarms.again(broker, b >> 2) : alarms.next(broker);
    const second = b % 4 === 1 ? alarms.next(broker) : undefined;
    const rung = [first, second].flatMap((delivery) => (delivery === undefined ? [] : [delivery.message]));
    if (rung.length > 0) broker.rang(rung);
  }

  go(a: number, b: number): void {
    const [parked] = this.#parked.splice(a % Math.max(1, this.#parked.length), 1);
    parked?.go(b === 0 ? "answer-lost" : b === 1 ? "request-lost" : "answered");
  }

  /** A lease of a single call, of 5 or 60 s. */
  async call(a: number, b: number): Promise<void> {
    const broker = this.#broker(a);
    const worker = this.#worker(a >> 1);
    const ticket = keys.map((key) => broker.buffered(jobId({ ...ref, key }))).find((t) => t !== undefined);
    if (ticket === undefined) return;
    const holder = {
      worker: worker.instance,
      unary: true,
      cancelled: () => undefined,
      released: () => undefined,
    };
    const granted = broker.granting.grant(ticket, holder, 0, b & 1 ? 60_000 : 5_000);
    const keep = (grant: Grant | undefined) => {
      if (grant !== undefined) this.#given(worker, broker, undefined, [grant]);
    };
    if (granted instanceof Promise) void granted.then((later) => keep(later?.grant));
    else keep(granted.grant);
  }

  report(a: number, b: number): void {
    const worker = this.#worker(a);
    const lease = worker.leases[(worker.leases.length - 1 - (a >> 1)) % Math.max(1, worker.leases.length)];
    if (lease !== undefined) this.#report(lease, this.#broker(b), reportOf(lease.token, b >> 1));
  }

  extend(a: number, b: number): void {
    const worker = this.#worker(a);
    const lease = worker.leases[(a >> 1) % Math.max(1, worker.leases.length)];
    if (lease === undefined) return;
    void this.#broker(b).unary.extend([{ token: lease.token, duration: 30_000, progress: undefined }]);
  }

  renew(a: number, b: number): void {
    const broker = this.#broker(a);
    const holding = [...broker.holdings.all()][b % Math.max(1, broker.holdings.size)];
    if (holding !== undefined && !holding.renewing && !holding.settling) void broker.keeper.renew(holding);
  }

  /** The clock ends a run, or its session has been away for too long. */
  end(a: number, b: number): void {
    const broker = this.#broker(a);
    const holding = [...broker.holdings.all()][(b >> 1) % Math.max(1, broker.holdings.size)];
    if (holding === undefined) return;
    if (holding.cancelRequested && b & 1) void broker.settling.end(holding, "cancelled");
    else if (holding.holder.unary && holding.ticket === undefined) broker.settling.letGo(holding);
    else void broker.settling.end(holding, b & 1 ? "time-limit" : "lose");
  }

  cancel(a: number, b: number): void {
    void this.#broker(a)
      .cancel.cancel({ ...ref, key: keys[b % keys.length] ?? "" }, "")
      .catch(() => undefined);
  }

  redrive(a: number, b: number): void {
    void this.#broker(a)
      .cancel.redrive({ ...ref, key: keys[b % keys.length] ?? "" })
      .catch(() => undefined);
  }

  wait(a: number, b: number): void {
    this.#now += a * 1_000 * (b + 1);
    for (const broker of this.brokers) if (b & 1) broker.dispatcher.expire();
  }

  pass(): void {
    this.store.startPass(this.#now);
  }

  fire(): void {
    this.store.fire();
  }

  sweep(a: number): void {
    this.store.sweep(a & 1 ? this.store.tickets : this.store.alarms);
  }

  flush(): void {
    this.store.tickets.flush();
    this.store.alarms.flush();
  }

  cut(a: number): void {
    const broker = this.#broker(a);
    broker.cutOff = !broker.cutOff;
  }

  killBroker(a: number): void {
    const old = this.#broker(a);
    old.die();
    this.#parked = this.#parked.filter(({ broker }) => broker !== old);
    const next = new ModelBroker(`${old.name}'`, this);
    next.trustAbove = this.store.last;
    this.brokers[this.brokers.indexOf(old)] = next;
    for (const worker of this.#workers) if (worker.broker === old) worker.session = undefined;
  }

  /** SIGKILL, perhaps in the middle of a firing. Everybody reconnects and draws a new trust line. */
  killStore(a: number): void {
    if (a & 1) this.store.fire(true);
    this.store.restart();
    for (const broker of this.brokers) broker.trustAbove = this.store.last;
  }

  /** An hour: what is under way is over, schedules fire, records age. Bulk retention is the brokers' work, so there is
   *  none while all of them are away; what has a time of its own goes all the same. (That they all go away within the
   *  seconds between a ghost and its sweep, and stay away for as long as a record is kept, is left out: it would bring a
   *  job back.) */
  async age(a: number): Promise<void> {
    await this.#drain();
    this.#firePass();
    const away = (a & 1) === 1 && !this.#isHaunted();
    if (!away) {
      this.#ringAll(this.#broker(a >> 1));
      await this.#drain();
    }
    this.#now += hour;
    this.#firePass();
    this.store.expire(this.#now);
    if (away) return;
    this.store.sweep(this.store.tickets);
    this.store.sweep(this.store.alarms);
    this.store.retire();
  }

  #broker(n: number): ModelBroker {
    return this.brokers[n % this.brokers.length] as ModelBroker;
  }

  #worker(n: number): Worker {
    return this.#workers[n % this.#workers.length] as Worker;
  }

  #spec(key: string, kind: number): Spec {
    const retry = { maxAttempts: 2, maxCrashes: kind & 1 ? 0 : 1, initialDelay: 10_000 };
    const retention = kind & 2 ? { retention: 600_000 } : {};
    const runAt = kind & 4 ? this.#now + 20_000 : 0;
    return retrying(retry, { ...ref, key, queue: theLane.queue, runAt, ...retention });
  }

  async #attach(worker: Worker, broker: ModelBroker, held: readonly string[]): Promise<void> {
    let session: Session | undefined;
    const sink: SessionSink = {
      attached: (hello) => {
        for (const { token, leaseId } of hello.held) worker.leases.push({ token, leaseId, broker, session });
      },
      leases: (grants) => this.#given(worker, broker, session, grants),
      settled: () => undefined,
      cancel: () => undefined,
      ping: () => undefined,
      drain: () => undefined,
      close: () => undefined,
    };
    const hello = {
      worker: worker.instance,
      instance: worker.instance,
      sdk: "",
      peer: "",
      tasks: [{ task: theLane.task, concurrency: 0 }],
      queues: [{ queue: theLane.queue, weight: 1 }],
      credit: { jobs: 2, bytes: 1e9 },
      held,
    };
    void broker.sessions.attach(hello, sink).then((attached) => {
      session = attached;
      worker.session = attached;
      worker.broker = broker;
      for (const lease of worker.leases) if (lease.broker === broker) lease.session ??= attached;
    });
  }

  #given(worker: Worker, broker: ModelBroker, session: Session | undefined, grants: readonly Grant[]): void {
    for (const { token, leaseId, spec, attempt } of grants) {
      worker.leases.push({ token, leaseId, broker, session });
      const origin = plainTokens.verify(token)?.origin ?? 0;
      this.witness.granted(spec, origin, attempt, spec.retry?.maxCrashes === 0);
    }
  }

  /** On the session it came on while that is there, else by its token at any broker. */
  #report(lease: Worker["leases"][number], broker: ModelBroker, report: Report): void {
    const { token, leaseId, session } = lease;
    if (session !== undefined && lease.broker.alive && leaseId > 0) {
      session.outcomes([{ leaseId, token: "", report }]);
      return;
    }
    void broker.unary.ack([{ leaseId: 0, token, report }]).then(([answer]) => {
      const recorded = typeof answer === "string" && (report.type === "success" || report.type === "failure");
      if (recorded) this.witness.told(token);
    });
  }

  #firePass(): void {
    for (let i = 0; i < 20; i++) {
      this.store.startPass(this.#now);
      if (this.store.pass.length === 0) return;
      while (this.store.pass.length > 0) this.store.fire();
    }
  }

  #deliverAll(broker: ModelBroker): void {
    const { tickets } = this.store;
    for (const _ of tickets.waiting()) {
      const delivery = tickets.again(broker, 0);
      if (delivery !== undefined) broker.delivered(delivery);
    }
    for (let d = tickets.next(broker); d !== undefined; d = tickets.next(broker)) broker.delivered(d);
    this.#ringAll(broker);
  }

  #ringAll(broker: ModelBroker): void {
    const { alarms } = this.store;
    const rung = alarms.waiting();
    for (let d = alarms.next(broker); d !== undefined; d = alarms.next(broker)) rung.push(d.message);
    if (rung.length > 0) broker.rang(rung);
  }

  /** Whether an alarm lies about of a schedule that had been ended before it fired. */
  #isHaunted(): boolean {
    return this.store
      .messages("due")
      .some(({ ref, stored }) => stored !== undefined && stored.rev !== this.store.read(ref).current?.rev);
  }

  /** Lets all that waits happen, in order, and what comes of it. */
  async #drain(): Promise<void> {
    await settled();
    for (let i = 0; i < 500 && this.#parked.length > 0; i++) {
      this.#parked.shift()?.go("answered");
      await settled();
    }
  }
}

const ref: JobRef = { task: theLane.task, key: "" };

const steps = {
  submit: World.prototype.submit,
  attach: World.prototype.attach,
  deliver: World.prototype.deliver,
  ring: World.prototype.ring,
  go: World.prototype.go,
  call: World.prototype.call,
  report: World.prototype.report,
  extend: World.prototype.extend,
  renew: World.prototype.renew,
  end: World.prototype.end,
  cancel: World.prototype.cancel,
  redrive: World.prototype.redrive,
  wait: World.prototype.wait,
  pass: World.prototype.pass,
  fire: World.prototype.fire,
  sweep: World.prototype.sweep,
  flush: World.prototype.flush,
  cut: World.prototype.cut,
  killBroker: World.prototype.killBroker,
  killStore: World.prototype.killStore,
  age: World.prototype.age,
} satisfies Record<string, (this: World, a: number, b: number) => void | Promise<void>>;
export type StepName = keyof typeof steps;

function of(token: string) {
  return { data: new TextEncoder().encode(token), type: "", externalSize: 0 };
}

function reportOf(token: string, kind: number): Report {
  const failure = { reason: FailureReason.ERROR as number, type: "", message: token, stack: "" };
  switch (kind % 6) {
    case 0:
    case 1:
      return { type: "success", result: of(token) };
    case 2:
      return { type: "failure", failure, retryAfter: undefined };
    case 3:
      return {
        type: "failure",
        failure: { ...failure, reason: FailureReason.PERMANENT },
        retryAfter: undefined,
      };
    case 4:
      return kind & 8 ? { type: "cancelled" } : { type: "release" };
    default:
      return { type: "snooze", delay: 15_000 };
  }
}

/** Until all promises that can go on have. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

void specOf;

export { soundRules };
