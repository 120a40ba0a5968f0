// The journal of one stream: what gathers, what goes out together, and what becomes of it when the answer is a refusal
// or never comes. The rules that it keeps stand at the top of journal.ts.

import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "nats";
import { type Change, Conflict, type Jobs } from "../app/ports.js";
import type { Telemetry } from "../app/telemetry.js";
import { Refusal } from "../core/errors.js";
import type { Snapshot } from "../core/job.js";
import { isMadeKey, jobId } from "../core/names.js";
import { bears } from "../core/snapshot.js";
import { type Group, groupOf, memberHead } from "./messages.js";
import { unavailable } from "./reads.js";
import { type Replies, Unanswered } from "./replies.js";
import { type Staging, stagingRules } from "./staging.js";
import type { Subjects } from "./subjects.js";
import { type Verdict, verdictOf } from "./verdict.js";
import type { Wire } from "./wire.js";

export const journalLimits = {
  /** Messages in an atomic batch; the server's own limit. */
  batch: 1_000,
  batchBytes: 4 * 1024 * 1024,
  inFlight: 2,
  /** While a batch is in flight a second one starts only when this many messages wait. */
  second: 128,
  /** Below this many messages plain publishes beat a batch, which costs about 2.4 ms whatever its size; */
  plain: 12,
  /** where it is staged in memory, it costs as much as so many. */
  plainBesideMemory: 4,
  /** A refused batch of this many changes or more is sorted out by reading its jobs. */
  sortedOut: 16,
  /** Changes that may wait; submits are refused earlier, so that outcomes still find room. */
  waiting: 64_000,
  waitingSubmits: 16_000,
  /** How long a change is tried for, ms. */
  patience: 30_000,
  answer: 10_000,
} as const;

interface Entry {
  /** Of this journal's writes. */
  number: number;
  change: Change;
  id: string;
  /** A unique key that it takes or frees: two changes of one must not be in one batch either. */
  claim: string | undefined;
  group: Group;
  /** A key that people choose: it may be known already, and would have its whole batch refused. */
  chosen: boolean;
  /** A write of it went unanswered: it may have been stored. */
  unknown: boolean;
  deadline: number;
  resolve(seq: number): void;
  reject(error: Error): void;
}

/** Hears what the writes tell of the store. */
export interface StoreHealth {
  /** A write was refused for want of room, by this error of the server. */
  refused(errCode: number): void;
  /** A write was not answered although there is a connection. */
  suspect(): void;
}

export class ShardJournal {
  #queue: Entry[] = [];
  #inFlight = 0;
  #sending = 0;
  /** Jobs and unique keys with a change under way, and which it is: the next one waits, it could only be a guess at the
   *  sequence. Numbers, since a Map may keep what was in it. [slot-map.ts] */
  readonly #busy = new Map<string, number>();
  #written = 0;
  readonly #plain: number;
  #up = true;
  #closed = false;
  #scheduled = false;

  constructor(
    readonly nc: NatsConnection,
    readonly wire: Wire,
    readonly replies: Replies,
    readonly subjects: Subjects,
    readonly jobs: Pick<Jobs, "read">,
    readonly telemetry: Telemetry,
    readonly store: StoreHealth,
    readonly nonce: () => string,
    readonly patience: number,
    /** Where the server's batches can be staged in memory, by this broker. */
    readonly staging: Staging | undefined,
  ) {
    this.#plain = staging === undefined ? journalLimits.plain : journalLimits.plainBesideMemory;
  }

  get depth(): number {
    return this.#queue.length + this.#sending;
  }

  write(change: Change, stored: (seq: number) => void, failed: (error: Error) => void): void {
    // What is taken after the end would be published on a closed connection.
    if (this.#closed) return failed(unavailable("the broker is stopping"));
    const bound = change.expected === 0 ? journalLimits.waitingSubmits : journalLimits.waiting;
    if (this.#queue.length >= bound) {
      return failed(new Refusal("QUEUE_FULL", `${bound} writes wait already`, { retryAfter: 500 }));
    }
    const claim = claimOf(change);
    let group: Group;
    try {
      group = groupOf(change, this.subjects);
    } catch (error) {
      return failed(error as Error);
    }
    this.#queue.push({
      number: ++this.#written,
      change,
      id: jobId(change.ref),
      group,
      claim,
      chosen: change.expected === 0 && (claim !== undefined || !isMadeKey(change.ref.key)),
      unknown: false,
      deadline: Date.now() + this.patience,
      resolve: stored,
      reject: failed,
    });
    this.#schedule();
  }

  connected(up: boolean): void {
    this.#up = up;
    if (up) this.#schedule();
  }

  close(): void {
    this.#closed = true;
    for (const entry of this.#queue.splice(0)) entry.reject(unavailable("the broker is stopping"));
  }

  /** After the current round of IO, so that what came in together goes out together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (!this.#up) {
      this.#giveUpLate();
      return;
    }
    while (this.#inFlight < journalLimits.inFlight && this.#queue.length > 0) {
      if (this.#inFlight > 0 && this.#queue.length < journalLimits.second) return;
      const entries = this.#take();
      if (entries.length === 0) return;
      this.#inFlight++;
      this.#sending += entries.length;
      this.telemetry.journalQueue(this.#queue.length);
      void this.#send(entries).finally(() => {
        this.#inFlight--;
        this.#sending -= entries.length;
        for (const entry of entries) {
          this.#busy.delete(entry.id);
          if (entry.claim !== undefined) this.#busy.delete(entry.claim);
        }
        this.#schedule();
      });
    }
  }

  /** The next batch: at most one change of a job, and keys that may repeat apart from those that cannot. */
  #take(): Entry[] {
    const taken: Entry[] = [];
    const left: Entry[] = [];
    let messages = 0;
    let bytes = 0;
    let i = 0;
    for (; i < this.#queue.length; i++) {
      const entry = this.#queue[i] as Entry;
      const first = taken[0];
      const full =
        messages + entry.group.messages.length > journalLimits.batch ||
        (bytes + entry.group.bytes > journalLimits.batchBytes && taken.length > 0);
      if (full) break;
      const claimed = entry.claim !== undefined && this.#busy.has(entry.claim);
      if (this.#busy.has(entry.id) || claimed || (first !== undefined && entry.chosen !== first.chosen)) {
        left.push(entry);
        continue;
      }
      this.#busy.set(entry.id, entry.number);
      if (entry.claim !== undefined) this.#busy.set(entry.claim, entry.number);
      taken.push(entry);
      messages += entry.group.messages.length;
      bytes += entry.group.bytes;
    }
    this.#queue = left.length === 0 ? this.#queue.slice(i) : left.concat(this.#queue.slice(i));
    return taken;
  }

  /** Settles every entry, whatever happens; never rejects. */
  async #send(entries: Entry[]): Promise<void> {
    const small = entries.length < this.#plain;
    const alone = small ? entries.filter((entry) => !entry.group.atomic) : [];
    const together = small ? entries.filter((entry) => entry.group.atomic) : entries;
    await Promise.all([
      ...alone.map((entry) => this.#attempt([entry], () => this.#publish(entry))),
      together.length > 0 ? this.#attempt(together, () => this.#publishBatch(together)) : undefined,
    ]);
  }

  async #attempt(entries: Entry[], write: () => Promise<Verdict>): Promise<void> {
    const started = performance.now();
    let verdict: Verdict;
    try {
      verdict = await write();
    } catch (error) {
      if (error instanceof Unanswered) return this.#lookUp(entries, error);
      for (const entry of entries) entry.reject(error as Error);
      return;
    }
    this.telemetry.journalBatch(entries.length, (performance.now() - started) / 1000);
    if (typeof verdict === "object" && "seq" in verdict) return this.#stored(entries, verdict.seq);
    if (verdict === "again") return this.#again(entries, 5 + Math.random() * 20);
    if (typeof verdict === "object" && "full" in verdict) {
      this.store.refused(verdict.full);
      const refusal = new Refusal("STORAGE_FULL", "the store has no room left", { retryAfter: 5_000 });
      for (const entry of entries) entry.reject(refusal);
      return;
    }
    if (entries.length > 1) {
      if (verdict === "conflict" && (await this.#sortOut(entries))) return;
      const half = Math.ceil(entries.length / 2);
      await this.#send(entries.slice(0, half));
      return this.#send(entries.slice(half));
    }
    const [entry] = entries;
    if (entry === undefined) return;
    if (verdict !== "conflict") return entry.reject(unavailable(verdict.failed));
    if (entry.unknown) return this.#lookUp([entry], undefined);
    this.telemetry.journalConflict();
    entry.reject(new Conflict(entry.change.ref));
  }

  #publish(entry: Entry): Promise<Verdict> {
    const [message] = entry.group.messages;
    if (message === undefined) throw new Error("an empty group");
    const { reply, answer } = this.replies.expect();
    this.wire.publish(message.subject, reply, message.head, message.data);
    return answer.then(verdictOf);
  }

  #publishBatch(entries: readonly Entry[]): Promise<Verdict> {
    const batch = this.nonce();
    let left = 0;
    let bytes = 0;
    let tearable = true;
    for (const { number, id, group } of entries) {
      if (this.#busy.get(id) !== number) throw new Error(`two changes of ${id} in one batch`);
      left += group.messages.length;
      bytes += group.bytes;
      tearable &&= !group.atomic;
    }
    if (tearable) {
      this.staging?.inMemory(this.#stream(entries), batch, bytes + left * stagingRules.perMessage);
    }
    const { reply, answer } = this.replies.expect();
    let sequence = 0;
    for (const entry of entries) {
      for (const message of entry.group.messages) {
        const last = --left === 0;
        const head = memberHead(message, batch, ++sequence, last);
        this.wire.publish(message.subject, last ? reply : "", head, message.data);
      }
    }
    this.wire.flush();
    return answer.then(verdictOf);
  }

  #stream([first]: readonly Entry[]): string {
    if (first === undefined) throw new Error("an empty batch");
    return this.subjects.stream(this.subjects.shard(first.change.ref.task));
  }

  /** Members of a batch have sequences in a row; the answer names the last. */
  #stored(entries: readonly Entry[], last: number): void {
    let next = last + 1;
    for (const entry of entries) next -= entry.group.messages.length;
    for (const entry of entries) {
      entry.resolve(next + entry.group.jobMessage);
      next += entry.group.messages.length;
    }
  }

  /** Finds out by one read which changes of a refused batch are in conflict, and sends the others again. Halving alone
   *  needs a write for each guilty change: 500 cancels among 1,000 promotions took 14 s. False: no change stands out,
   *  or nothing could be read. */
  async #sortOut(entries: readonly Entry[]): Promise<boolean> {
    if (entries.length < journalLimits.sortedOut || this.#closed || !this.#up) return false;
    try {
      const snapshots = await this.jobs.read(entries.map(({ change }) => change.ref));
      if (entries.every(({ change }, i) => snapshots[i]?.last === change.expected)) return false;
      await this.#recognise(entries, snapshots);
      return true;
    } catch (error) {
      if (error instanceof Refusal) return false;
      throw error;
    }
  }

  /** Nothing was stored: try again, until each change's time is over. */
  async #again(entries: Entry[], wait: number): Promise<void> {
    await pause(wait);
    const now = Date.now();
    const late = entries.filter((entry) => entry.deadline <= now);
    for (const entry of late) entry.reject(unavailable("it did not take the write in time"));
    const rest = entries.filter((entry) => entry.deadline > now);
    if (this.#closed) {
      for (const entry of rest) entry.reject(unavailable("the broker is stopping"));
    } else if (!this.#up) {
      return this.#again(rest, 50);
    } else if (rest.length > 0) {
      return this.#send(rest);
    }
  }

  /** It is not known whether the changes were stored. Read the jobs: what bears our nonce was, the others go again. */
  async #lookUp(entries: Entry[], unanswered: Unanswered | undefined): Promise<void> {
    if (unanswered !== undefined) this.telemetry.journalUnknown(entries.length);
    // A server that takes writes and answers none may have a full disk.
    if (unanswered?.why === "timeout" && this.#up) this.store.suspect();
    for (const entry of entries) entry.unknown = true;
    for (;;) {
      if (this.#closed || entries.every((entry) => entry.deadline <= Date.now())) {
        for (const entry of entries) entry.reject(unavailable("whether it stored the write is not known"));
        return;
      }
      try {
        if (!this.#up) throw unavailable("disconnected");
        return await this.#recognise(entries, await this.jobs.read(entries.map((e) => e.change.ref)));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        await pause(50);
      }
    }
  }

  async #recognise(entries: readonly Entry[], snapshots: readonly Snapshot[]): Promise<void> {
    const missing: Entry[] = [];
    const ours = entries.filter(({ change }, i) => isOurs(change, snapshots[i]));
    await Promise.all(ours.map(({ change }) => this.#disarm(change)));
    for (const [i, entry] of entries.entries()) {
      const snapshot = snapshots[i];
      if (snapshot !== undefined && isOurs(entry.change, snapshot)) {
        entry.resolve(snapshot.current?.seq ?? snapshot.last);
      } else if (snapshot !== undefined && snapshot.last !== entry.change.expected) {
        this.telemetry.journalConflict();
        entry.reject(new Conflict(entry.change.ref));
      } else {
        missing.push(entry);
      }
    }
    if (missing.length > 0) await this.#again(missing, 1);
  }

  /** A crash may have come between the write and the purge that goes with it: the schedule would fire for a job that has
   *  moved on. That changes nothing, but is looked into for nothing. Best effort. */
  async #disarm({ ref, expected, writes }: Change): Promise<void> {
    for (const write of writes) {
      if (write.kind !== "job" || write.purges === undefined) continue;
      const { phase, queue, priority, nonce } = write.purges;
      const filter = this.subjects.schedule(phase, ref, queue, priority, nonce);
      const stream = this.subjects.stream(this.subjects.shard(ref.task));
      // The schedule lies no higher than what the change was made from. 0 and 1 would mean "everything".
      const seq = Math.max(2, expected + 1);
      try {
        await this.nc.request(`$JS.API.STREAM.PURGE.${stream}`, JSON.stringify({ filter, seq }));
      } catch {
        // Away again: it fires, and is found to be for nothing.
      }
    }
  }

  /** While the store is away, changes wait for as long as they may. */
  #giveUpLate(): void {
    const now = Date.now();
    const kept: Entry[] = [];
    for (const entry of this.#queue) {
      if (entry.deadline > now) kept.push(entry);
      else entry.reject(unavailable("it did not come back in time"));
    }
    this.#queue = kept;
    if (kept.length > 0 && !this.#closed) setTimeout(() => this.#schedule(), 250).unref();
  }
}

/** Apart from every job's id: a blank is in no name. */
function claimOf({ ref, writes }: Change): string | undefined {
  if (writes.length === 1) return undefined;
  for (const write of writes) if (write.kind === "claim") return `unique ${ref.task} ${write.key}`;
  return undefined;
}

/** Whether the job bears the change's own commit. */
function isOurs(change: Change, snapshot: Snapshot | undefined): boolean {
  return snapshot !== undefined && bears(snapshot, change.nonce);
}
