// Schedules in a stream of their own: a record each, changed by compare-and-set, and beside it the alarm for its next
// planned time, which the server fires. Both are written in one batch, so a schedule that is to come has its alarm. The
// stream is apart from the jobs' since a server works a stream's schedules off one after the other: a thousand leases
// that end hold no cron back. Alarms are `@at` rather than the server's own cron: the walk from one time to the next is
// then ours alone, so that a preview cannot disagree with it, and a firing that nobody took is never replaced by the next.
// The server fires one message after the other, each with an fsync, so schedules that are written together for the same
// time share an alarm, which names them.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { FiringTicket, KnownSchedule, Schedules } from "../app/schedule-ports.js";
import { at, header, line } from "./codec.js";
import { Feed } from "./feed.js";
import type { Outgoing } from "./messages.js";
import { publishBatch } from "./publish-batch.js";
import type { Delivery, PullInbox } from "./puller.js";
import { purgeBelow } from "./purge.js";
import { type JobReads, unavailable } from "./reads.js";
import { storage } from "./storage-proto.js";
import { cronStreamName } from "./stream-config.js";
import { type Subjects, scheduleIn } from "./subjects.js";
import type { Verdict } from "./verdict.js";

const tries = 20;
const readAtOnce = 250;
const sweepEvery = 10_000;
/** A removed record is forgotten after this. */
const tombstoneSeconds = 5;
const atOnce = 400;
/** A firing that a dead broker took comes again after this, ms: until then its schedule stands still. One that takes longer
 *  to deal with is dealt with twice, which gives the same job. */
const firingWait = 5_000;
const nothing = new Uint8Array(0);
/** Begins what stands for the name of an alarm of several schedules: none of them has it in its own. */
const shared = "~";
export const firingConsumer = "fire";

type ScheduleChange = Parameters<Schedules["write"]>[0][number];

export interface ScheduleStoreParts {
  nc: NatsConnection;
  jsm: JetStreamManager;
  inbox: PullInbox;
  subjects: Subjects;
  reads: Pick<JobReads, "lastIn">;
  nonce: () => string;
}

export class ScheduleStore implements Schedules {
  readonly #stream: string;
  readonly #feed: Feed<FiringTicket>;
  #acked = false;
  #timer: NodeJS.Timeout | undefined;
  #batches = 0;

  constructor(readonly parts: ScheduleStoreParts) {
    this.#stream = cronStreamName(parts.subjects.namespace);
    this.#feed = new Feed(parts.jsm, parts.inbox, {
      name: firingConsumer,
      atOnce,
      ackWait: firingWait,
      read: (delivery, ack) => this.#firingsIn(delivery, ack),
    });
  }

  /** Delivers firings, many at a time, one call after the other. `look` must not reject. */
  async start(look: (firings: readonly FiringTicket[]) => Promise<void>): Promise<void> {
    await this.#feed.start([{ stream: this.#stream, filter: this.parts.subjects.firing("*") }], look);
    this.#timer = setInterval(() => {
      // What stays is swept with what comes next.
      this.#sweep().catch(() => undefined);
    }, sweepEvery);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#feed.stop();
  }

  async read(names: readonly string[]): Promise<KnownSchedule[]> {
    const found = new Map<string, KnownSchedule>();
    for (let i = 0; i < names.length; i += readAtOnce) {
      const subjects = names
        .slice(i, i + readAtOnce)
        .map((name) => this.parts.subjects.schedules("record", name));
      for (const { subject, seq, data } of await this.parts.reads.lastIn(this.#stream, subjects)) {
        const record = data.length === 0 ? undefined : storage.Schedule.decode(data);
        found.set(scheduleIn(subject), { record, seq });
      }
    }
    return names.map((name) => found.get(name) ?? { record: undefined, seq: 0 });
  }

  async names(): Promise<string[]> {
    const filter = this.parts.subjects.schedules("record", "*");
    try {
      const { state } = await this.parts.jsm.streams.info(this.#stream, { subjects_filter: filter });
      return Object.keys(state.subjects ?? {})
        .map(scheduleIn)
        .sort();
    } catch (error) {
      throw unavailable((error as Error).message);
    }
  }

  async write(changes: readonly ScheduleChange[]): Promise<boolean> {
    const nonce = this.parts.nonce();
    const messages = [
      ...changes.map((change) => this.#recordOf(change, nonce)),
      ...this.#alarmsOf(changes, nonce),
    ];
    const [probe] = changes;
    if (probe === undefined) return true;
    for (let attempt = 0; attempt < tries; attempt++) {
      const verdict = await this.#publish(messages);
      if (typeof verdict === "object" && "seq" in verdict) {
        await this.#disarm(changes.filter(({ record }) => record === undefined).map(({ name }) => name));
        return true;
      }
      if (verdict === "unanswered" || verdict === "conflict") {
        // A batch is stored whole or not at all: one of its records tells of them all.
        const [now] = await this.read([probe.name]);
        const ours = probe.record === undefined ? now?.record === undefined : now?.record?.nonce === nonce;
        if (ours) return true;
        if (verdict === "conflict" || now?.seq !== probe.seq) return false;
      } else if (verdict !== "again") {
        throw unavailable("failed" in verdict ? verdict.failed : "the store has no room left");
      }
      await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 40));
    }
    throw unavailable("schedules could not be written in time");
  }

  #recordOf({ name, record, seq }: ScheduleChange, nonce: string): Outgoing {
    const subject = this.parts.subjects.schedules("record", name);
    const head = line(header.expected, String(seq)) + line(header.rollup, "sub");
    return record === undefined
      ? { subject, head: head + line(header.ttl, `${tombstoneSeconds}s`), data: nothing }
      : { subject, head, data: storage.Schedule.encode({ ...record, nonce }).finish() };
  }

  /** One for each time that comes. What was set for these schedules before goes off for nothing, or is replaced. */
  #alarmsOf(changes: readonly ScheduleChange[], nonce: string): Outgoing[] {
    const byTime = new Map<number, string[]>();
    for (const { name, record } of changes) {
      if (record === undefined || record.nextAt === 0) continue;
      const names = byTime.get(record.nextAt);
      if (names === undefined) byTime.set(record.nextAt, [name]);
      else names.push(name);
    }
    return [...byTime].map(([time, names]) => {
      const [name = ""] = names;
      const alone = names.length === 1;
      const target = this.parts.subjects.firing(alone ? name : shared);
      return {
        subject: this.parts.subjects.schedules("alarm", alone ? name : `${shared}${nonce}-${time}`),
        head: line(header.schedule, at(time)) + line(header.target, target),
        data: Buffer.from([time, ...(alone ? [] : names)].join("\n")),
      };
    });
  }

  /** Best effort: the alarm of a schedule that is gone goes off for nothing. */
  async #disarm(names: readonly string[]): Promise<void> {
    try {
      for (const name of names) {
        const { state } = await this.parts.jsm.streams.info(this.#stream);
        await purgeBelow(
          this.parts.jsm,
          this.#stream,
          this.parts.subjects.schedules("alarm", name),
          state.last_seq + 1,
        );
      }
    } catch {
      // As said.
    }
  }

  #publish(messages: readonly Outgoing[]): Promise<Verdict | "unanswered"> {
    return publishBatch(this.parts.nc, `${this.parts.nonce()}s${this.#batches++}`, messages);
  }

  #firingsIn({ subject, data }: Delivery, ack: () => void): FiringTicket[] {
    const [time = "", ...names] = Buffer.from(data).toString().split("\n");
    const plannedAt = Number(time);
    if (!Number.isSafeInteger(plannedAt)) {
      this.#acked = true;
      return [];
    }
    if (names.length === 0) names.push(scheduleIn(subject));
    // Acked when all of them have been dealt with.
    let left = names.length;
    const done = () => {
      if (--left > 0) return;
      this.#acked = true;
      ack();
    };
    return names.map((name) => ({ name, plannedAt, ack: once(done) }));
  }

  /** Firings that were dealt with. */
  async #sweep(): Promise<void> {
    if (!this.#acked) return;
    this.#acked = false;
    const { ack_floor } = await this.parts.jsm.consumers.info(this.#stream, firingConsumer);
    await purgeBelow(this.parts.jsm, this.#stream, this.parts.subjects.firing("*"), ack_floor.stream_seq + 1);
  }
}

function once(call: () => void): () => void {
  let called = false;
  return () => {
    if (called) return;
    called = true;
    call();
  };
}
