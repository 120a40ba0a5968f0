// A stream as the rules rely on it, in memory: messages by subject with sequence and revision, compare-and-set over all
// messages of a job, schedules that fire from a copy taken earlier and purge their subject, consumers that forget, sweeps
// and retention. Every rule can be broken, to see what notices.

import type { Change } from "../../../broker/src/app/ports.js";
import type { Job, JobRef, Phase, ScheduledPhase, Snapshot, Stored } from "../../../broker/src/core/job.js";
import { jobId } from "../../../broker/src/core/names.js";
import { noJob, withMessage } from "../../../broker/src/core/snapshot.js";

export interface StoreRules {
  compareAndSet: boolean;
  stateBy: "revision" | "sequence";
  schedulesFireInto: "due" | "ready";
  /** Of each schedule its own, or one of each phase for all that come after one another. */
  scheduleSubject: "own" | "shared";
  /** Whether alarms are set at all for delays that a broker may end. */
  net: boolean;
  sweep: "acked" | "delivered";
  retention: "swept" | "anything";
}

export const soundRules: StoreRules = {
  compareAndSet: true,
  stateBy: "revision",
  schedulesFireInto: "due",
  scheduleSubject: "own",
  net: true,
  sweep: "acked",
  retention: "swept",
};

export interface Message {
  subject: string;
  ref: JobRef;
  phase: Phase;
  priority: number;
  seq: number;
  /** Undefined: a tombstone. */
  stored: Stored | undefined;
  fireAt: number;
  /** When the message goes by itself; 0 = never. */
  goesAt: number;
}

export const recordPhases: readonly Phase[] = ["succeeded", "failed", "cancelled"];

export class ModelStore {
  last = 0;
  /** What a pass over the schedules has copied and not published yet. */
  pass: Message[] = [];
  readonly tickets: ModelConsumer;
  readonly alarms: ModelConsumer;
  readonly #messages = new Map<string, Message>();

  constructor(readonly rules: StoreRules) {
    this.tickets = new ModelConsumer(this, "ready");
    this.alarms = new ModelConsumer(this, "due");
  }

  /** In the order of their sequences. */
  messages(phase?: Phase): Message[] {
    const all: Message[] = [];
    for (const m of this.#messages.values()) if (phase === undefined || m.phase === phase) all.push(m);
    return all.sort((a, b) => a.seq - b.seq);
  }

  of({ task, key }: JobRef): Message[] {
    const mine: Message[] = [];
    for (const m of this.#messages.values()) if (m.ref.key === key && m.ref.task === task) mine.push(m);
    return mine.sort((a, b) => a.seq - b.seq);
  }

  read(ref: JobRef): Snapshot {
    if (this.rules.stateBy === "sequence") {
      const messages = this.of(ref);
      const current = messages.filter((m) => m.stored !== undefined).at(-1)?.stored;
      return { current, last: messages.at(-1)?.seq ?? 0 };
    }
    return this.of(ref).reduce((snapshot, m) => withMessage(snapshot, m.seq, m.stored), noJob);
  }

  /** The sequence of the change's last job message, or undefined when the compare-and-set failed. */
  commit(change: Change, now: number): number | undefined {
    const { ref, nonce } = change;
    const highest = this.of(ref).at(-1)?.seq ?? 0;
    if (this.rules.compareAndSet && change.expected !== highest) return undefined;
    let seq = 0;
    for (const write of change.writes) {
      if (write.kind === "tombstone") {
        const goesAt = write.phase === "due" ? 0 : now + 5_000;
        const { phase, priority } = write;
        this.#put({ ref, phase, priority, stored: undefined, fireAt: 0, goesAt }, "");
      } else if (write.kind === "job") {
        const { phase, queue, priority, rev, keepFor, purges } = write;
        const fireAt = phase === "later" && !this.rules.net ? Number.MAX_VALUE : write.fireAt;
        const stored = { phase, queue, priority, rev, seq: 0, nonce, job: frozen(write.job) };
        const goesAt = keepFor > 0 ? now + keepFor : 0;
        seq = this.#put({ ref, phase, priority, stored, fireAt, goesAt }, fireAt > 0 ? nonce : "");
        if (purges !== undefined) this.#messages.delete(this.#subject({ ref, ...purges }, purges.nonce));
      }
    }
    return seq;
  }

  /** The nats-server picks all that is due, and publishes it one by one without looking at it again. */
  startPass(now: number): void {
    if (this.pass.length > 0) return;
    this.pass = this.messages().filter((m) => m.fireAt > 0 && m.fireAt <= now);
  }

  /** `killed`: between the two steps on disk, which ends the pass. */
  fire(killed = false): void {
    const copy = this.pass.shift();
    if (copy?.stored === undefined) return;
    const { ref, stored, priority } = copy;
    const phase = this.rules.schedulesFireInto;
    const alarm =
      phase === "due"
        ? { ...stored, phase, firedFrom: stored.phase as ScheduledPhase }
        : { ...stored, phase };
    this.#put({ ref, phase, priority, stored: alarm, fireAt: 0, goesAt: 0 }, "");
    if (killed) this.pass = [];
    else this.#messages.delete(copy.subject);
  }

  /** What the journal's answers cannot tell of: SIGKILL, and a consumer's state as it was on disk. */
  restart(): void {
    this.pass = [];
    this.tickets.restore();
    this.alarms.restore();
  }

  /** One purge of what is acked. */
  sweep(consumer: ModelConsumer): void {
    const floor = this.rules.sweep === "acked" ? consumer.floor() : consumer.cursor;
    for (const m of this.messages(consumer.phase)) if (m.seq <= floor) this.#messages.delete(m.subject);
    consumer.swept = Math.max(consumer.swept, floor);
  }

  /** Bulk retention of all records of these phases that it may take. */
  retire(phases = recordPhases): void {
    const floor = Math.min(this.#sweptFloor(this.tickets), this.#sweptFloor(this.alarms));
    const reach = this.rules.retention === "anything" ? this.last : floor;
    for (const m of this.messages()) {
      if (phases.includes(m.phase) && m.seq <= reach) this.#messages.delete(m.subject);
    }
  }

  /** What has a time of its own goes when that is over. */
  expire(now: number, records: boolean): void {
    for (const m of this.messages()) {
      const over = m.goesAt > 0 && m.goesAt <= now;
      if (over && (records || m.stored === undefined)) this.#messages.delete(m.subject);
    }
  }

  has(seq: number): boolean {
    for (const m of this.#messages.values()) if (m.seq === seq) return true;
    return false;
  }

  /** Up to where nothing older than a record can lie any more. */
  #sweptFloor(consumer: ModelConsumer): number {
    const idle = consumer.isIdle() && consumer.floor() <= consumer.swept;
    return idle ? this.last : Math.min(consumer.swept, consumer.floor());
  }

  #put(message: Omit<Message, "seq" | "subject">, nonce: string): number {
    const seq = ++this.last;
    const subject = this.#subject(message, nonce);
    const stored = message.stored === undefined ? undefined : { ...message.stored, seq };
    this.#messages.set(subject, { ...message, stored, subject, seq });
    return seq;
  }

  #subject({ ref, phase, priority }: Pick<Message, "ref" | "phase" | "priority">, nonce: string): string {
    return `${phase} ${jobId(ref)} ${priority} ${this.rules.scheduleSubject === "own" ? nonce : ""}`;
  }
}

/** A durable consumer of one phase with explicit acks. */
export class ModelConsumer {
  /** Delivered up to here at least once. */
  cursor = 0;
  swept = 0;
  /** Delivered and not acked: how often, to whom. */
  readonly #out = new Map<number, { deliveries: number; to: object }>();
  #onDisk = { cursor: 0, out: new Map<number, { deliveries: number; to: object }>() };

  constructor(
    readonly store: ModelStore,
    readonly phase: "ready" | "due",
  ) {}

  /** The next message that was never delivered. */
  next(to: object): { message: Message; deliveries: number } | undefined {
    const message = this.store.messages(this.phase).find((m) => m.seq > this.cursor);
    if (message === undefined) return undefined;
    this.cursor = message.seq;
    this.#out.set(message.seq, { deliveries: 1, to });
    return { message, deliveries: 1 };
  }

  /** The n-th of those that wait for an ack, once more: its time was over. */
  again(to: object, n: number): { message: Message; deliveries: number } | undefined {
    const waiting = this.waiting();
    const message = waiting[n % waiting.length];
    if (message === undefined) return undefined;
    const deliveries = (this.#out.get(message.seq)?.deliveries ?? 0) + 1;
    this.#out.set(message.seq, { deliveries, to });
    return { message, deliveries };
  }

  /** Delivered, not acked, and still there. */
  waiting(): Message[] {
    return this.store.messages(this.phase).filter((m) => this.#out.has(m.seq));
  }

  /** Whether this message of it will be delivered, for the first time or once more. */
  comes(seq: number): boolean {
    return seq > this.cursor || this.#out.has(seq);
  }

  ack(seq: number): void {
    this.#out.delete(seq);
  }

  isIdle(): boolean {
    return this.waiting().length === 0 && !this.store.messages(this.phase).some((m) => m.seq > this.cursor);
  }

  floor(): number {
    return (this.waiting()[0]?.seq ?? this.cursor + 1) - 1;
  }

  flush(): void {
    this.#onDisk = { cursor: this.cursor, out: new Map(this.#out) };
  }

  restore(): void {
    this.cursor = this.#onDisk.cursor;
    this.#out.clear();
    for (const [seq, delivery] of this.#onDisk.out) this.#out.set(seq, delivery);
  }
}

/** Nobody changes a job in place: what a broker holds and what is stored must not be one. */
function frozen(job: Job): Job {
  Object.freeze(job.history);
  return Object.freeze(job);
}
