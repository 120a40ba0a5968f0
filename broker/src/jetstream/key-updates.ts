// Changes of concurrency keys, many at a time. Each is a small message changed by compare-and-set, two for every job that
// has a key; one after the other they would cost a read and an fsync each. So what gathers while others are under way is
// read in one request and written in one batch. A batch is all or nothing: where one of them was changed by another broker
// all are read again, and fewer go together, until the one that is fought for stands alone.

import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "nats";
import { header, line } from "./codec.js";
import type { Outgoing } from "./messages.js";
import { publishBatch } from "./publish-batch.js";
import { type JobReads, unavailable } from "./reads.js";
import type { SharedCodec } from "./shared-message.js";
import type { Verdict } from "./verdict.js";

/** Keys that are changed together: as many as one read takes. */
const mostAtOnce = 200;
/** Below this many plain publishes are faster than a batch. */
const plain = 12;
/** How often a change is begun anew because others were faster. */
const attempts = 20;

interface Entry<T> {
  subject: string;
  change(value: T): T;
  conflicts: number;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** What a round makes of an entry. */
interface Write<T> {
  entry: Entry<T>;
  message: Outgoing;
  next: T;
}

export class KeyUpdates<T> {
  #waiting: Entry<T>[] = [];
  #atOnce = mostAtOnce;
  #working = false;

  constructor(
    readonly nc: NatsConnection,
    readonly reads: Pick<JobReads, "last">,
    readonly shard: number,
    readonly codec: SharedCodec<T>,
    readonly nonce: () => string,
  ) {}

  /** A change to the very same value is none. `change` may be called several times, and what the last call made of it
   *  holds. @throws whatever `change` does; Refusal STORE_UNAVAILABLE */
  update(subject: string, change: (value: T) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ subject, change, conflicts: 0, resolve, reject });
      if (!this.#working) void this.#work();
    });
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    this.#working = true;
    // What comes in this round of IO goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const entries = this.#take();
      try {
        await this.#round(entries);
      } catch (error) {
        for (const entry of entries) entry.reject(error);
      }
    }
    this.#working = false;
  }

  /** Each key once. */
  #take(): Entry<T>[] {
    const taken = new Map<string, Entry<T>>();
    const left: Entry<T>[] = [];
    for (const entry of this.#waiting) {
      if (taken.size < this.#atOnce && !taken.has(entry.subject)) taken.set(entry.subject, entry);
      else left.push(entry);
    }
    this.#waiting = left;
    return [...taken.values()];
  }

  async #round(entries: readonly Entry<T>[]): Promise<void> {
    const read = await this.reads.last(
      this.shard,
      entries.map(({ subject }) => subject),
    );
    const found = new Map(read.map((message) => [message.subject, message]));
    const writes: Write<T>[] = [];
    for (const entry of entries) {
      const message = found.get(entry.subject);
      const current = this.codec.decode(message?.data);
      try {
        const next = entry.change(current);
        if (next === current) entry.resolve(next);
        else writes.push({ entry, next, message: this.#messageOf(entry.subject, next, message?.seq ?? 0) });
      } catch (error) {
        entry.reject(error);
      }
    }
    if (writes.length < plain) await Promise.all(writes.map((write) => this.#store([write])));
    else await this.#store(writes);
  }

  /** Never rejects. */
  async #store(writes: readonly Write<T>[]): Promise<void> {
    try {
      this.#judge(writes, await this.#publishInTime(writes));
    } catch (error) {
      for (const { entry } of writes) entry.reject(error);
    }
  }

  #messageOf(subject: string, value: T, expected: number): Outgoing {
    const keepFor = this.codec.keepFor?.(value) ?? 0;
    const head =
      line(header.expected, String(expected)) + (keepFor > 0 ? line(header.ttl, `${keepFor}s`) : "");
    return { subject, head, data: this.codec.encode(value) };
  }

  #judge(writes: readonly Write<T>[], verdict: Verdict): void {
    if (typeof verdict === "object" && "seq" in verdict) {
      if (writes.length > 1) this.#atOnce = Math.min(mostAtOnce, this.#atOnce * 2);
      for (const { entry, next } of writes) entry.resolve(next);
    } else if (verdict === "conflict") {
      if (writes.length > 1) this.#atOnce = Math.max(1, writes.length >> 1);
      for (const { entry } of writes) this.#again(entry, writes.length > 1);
    } else if (verdict === "again") {
      throw unavailable("it is busy with other writes");
    } else {
      throw unavailable("full" in verdict ? "the store has no room left" : verdict.failed);
    }
  }

  /** To be read and written anew. In a batch it may have been for another one's sake: that does not count. */
  #again(entry: Entry<T>, together: boolean): void {
    if (!together && ++entry.conflicts >= attempts)
      entry.reject(unavailable(`${entry.subject} is being changed by many at once`));
    else this.#waiting.push(entry);
  }

  async #publishInTime(writes: readonly Write<T>[]): Promise<Verdict> {
    for (let attempt = 1; ; attempt++) {
      const verdict = await publishBatch(
        this.nc,
        this.nonce(),
        writes.map(({ message }) => message),
      );
      if (verdict === "unanswered") throw unavailable("it does not answer");
      if (verdict !== "again" || attempt === attempts) return verdict;
      await pause(5 + Math.random() * 20);
    }
  }
}
