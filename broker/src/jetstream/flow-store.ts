// Flows in the store: a record each, changed by compare-and-set; their members in parts that never change; and how each
// member ended, which is written with the job's own record and delivered here.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { FlowEnd, FlowEntry, FlowRecord, Flows, FlowTicket } from "../app/flow-ports.js";
import { times } from "../core/limits.js";
import { at, header, line } from "./codec.js";
import { Feed } from "./feed.js";
import type { Outgoing } from "./messages.js";
import { publishBatch } from "./publish-batch.js";
import type { Delivery, PullInbox } from "./puller.js";
import { purgeBelow } from "./purge.js";
import { type JobReads, unavailable } from "./reads.js";
import { storage } from "./storage-proto.js";
import { parseFlowEnd, type Subjects } from "./subjects.js";

const partBytes = 256 * 1024;
const readAtOnce = 200;
const tries = 20;
export const flowConsumer = "flows";
/** Ends that wait to be looked into together: what comes while one pass is under way makes the next. */
const atOnce = 1_000;

export interface FlowStoreParts {
  nc: NatsConnection;
  jsm: JetStreamManager;
  inbox: PullInbox;
  subjects: Subjects;
  reads: Pick<JobReads, "last">;
  nonce: () => string;
}

export class FlowStore implements Flows {
  readonly #feed: Feed<FlowTicket>;
  #batches = 0;

  constructor(
    readonly parts: FlowStoreParts,
    /** ms. */
    ackWait: number = times.ackWait,
  ) {
    this.#feed = new Feed(parts.jsm, parts.inbox, { name: flowConsumer, atOnce, ackWait, read: ticketsIn });
  }

  /** Delivers tickets, many at a time, one call after the other. `look` must not reject. */
  start(look: (tickets: readonly FlowTicket[]) => Promise<void>): Promise<void> {
    const filterOf = (shard: number) => this.parts.subjects.flowEnds(shard);
    return this.#feed.start(this.parts.subjects.inEachShard(filterOf), look);
  }

  stop(): void {
    this.#feed.stop();
  }

  async read(key: string): Promise<{ record: FlowRecord; seq: number } | undefined> {
    const subject = this.parts.subjects.flow("record", key);
    const [found] = await this.parts.reads.last(this.parts.subjects.shard(key), [subject]);
    return found === undefined || found.data.length === 0
      ? undefined
      : { record: recordOf(found.data), seq: found.seq };
  }

  async write(record: FlowRecord, expected: number, ticket: boolean): Promise<number | undefined> {
    const next = { ...record, nonce: this.parts.nonce() };
    const { key } = record;
    const shard = this.parts.subjects.shard(key);
    const subject = this.parts.subjects.flow("record", key);
    const messages: Outgoing[] = [
      { subject, head: line(header.expected, String(expected)), data: storage.Flow.encode(next).finish() },
    ];
    if (ticket) {
      messages.push({ subject: this.parts.subjects.flowEnd(shard, key, "flow"), head: "", data: nothing });
      if (record.deadline > 0) {
        const target = this.parts.subjects.flowEnd(shard, key, "deadline");
        const head = line(header.schedule, at(record.deadline)) + line(header.target, target);
        messages.push({ subject: this.parts.subjects.flow("alarm", key), head, data: nothing });
      }
    }
    for (let attempt = 0; attempt < tries; attempt++) {
      const verdict = await this.#publish(messages);
      if (verdict === "unanswered") {
        const now = await this.read(key);
        if (now?.record.nonce === next.nonce) return now.seq;
        if ((now?.seq ?? 0) !== expected) return undefined;
      } else if (verdict === "conflict") {
        const now = await this.read(key);
        return now?.record.nonce === next.nonce ? now.seq : undefined;
      } else if (typeof verdict === "object" && "seq" in verdict) {
        // A batch answers with its last sequence; they are in a row.
        return verdict.seq - (messages.length - 1);
      } else if (verdict !== "again") {
        throw unavailable("failed" in verdict ? verdict.failed : "the store has no room left");
      }
      await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 40));
    }
    throw unavailable(`the flow ${key} could not be written in time`);
  }

  async writeMembers(key: string, members: readonly FlowEntry[]): Promise<number> {
    let part: FlowEntry[] = [];
    let bytes = 0;
    let parts = 0;
    const flush = async () => {
      const subject = this.parts.subjects.flowPart(key, parts++);
      const data = storage.FlowPart.encode({ members: part }).finish();
      const verdict = await this.#publish([{ subject, head: "", data }]);
      if (typeof verdict !== "object" || !("seq" in verdict))
        throw unavailable("a flow's members were not stored");
      part = [];
      bytes = 0;
    };
    for (const entry of members) {
      part.push(entry);
      bytes += entry.task.length + entry.key.length + entry.name.length * 3 + entry.dependsOn.length * 2 + 16;
      if (bytes >= partBytes) await flush();
    }
    if (part.length > 0) await flush();
    return parts;
  }

  async members(key: string, parts: number): Promise<FlowEntry[]> {
    const subjects = Array.from({ length: parts }, (_, n) => this.parts.subjects.flowPart(key, n));
    const found = await this.parts.reads.last(this.parts.subjects.shard(key), subjects);
    const bySubject = new Map(found.map((message) => [message.subject, message.data]));
    return subjects.flatMap((subject) => storage.FlowPart.decode(bySubject.get(subject) ?? nothing).members);
  }

  async ends(key: string, members: readonly number[]): Promise<Map<number, FlowEnd>> {
    const found = new Map<number, FlowEnd>();
    for (let i = 0; i < members.length; i += readAtOnce) {
      const some = members.slice(i, i + readAtOnce);
      // Each lies in the shard of its task.
      for (let shard = 0; shard < this.parts.subjects.shards; shard++) {
        const subjects = some.map((member) => this.parts.subjects.flowEnd(shard, key, String(member)));
        for (const { subject, data } of await this.parts.reads.last(shard, subjects)) {
          const what = parseFlowEnd(subject)?.what;
          if (what !== undefined && data.length > 0) found.set(Number(what), storage.FlowEnd.decode(data));
        }
      }
    }
    return found;
  }

  async list(): Promise<FlowRecord[]> {
    const records: FlowRecord[] = [];
    for (let shard = 0; shard < this.parts.subjects.shards; shard++) {
      const { state } = await this.#asked(() =>
        this.parts.jsm.streams.info(this.parts.subjects.stream(shard), {
          subjects_filter: this.parts.subjects.flowRecords(shard),
        }),
      );
      const subjects = Object.keys(state.subjects ?? {});
      for (let i = 0; i < subjects.length; i += readAtOnce) {
        for (const { data } of await this.parts.reads.last(shard, subjects.slice(i, i + readAtOnce))) {
          if (data.length > 0) records.push(recordOf(data));
        }
      }
    }
    return records;
  }

  async remove(key: string): Promise<void> {
    const home = this.parts.subjects.shard(key);
    const purge = (shard: number, filter: string) =>
      this.#asked(async () => {
        const stream = this.parts.subjects.stream(shard);
        const { state } = await this.parts.jsm.streams.info(stream);
        await purgeBelow(this.parts.jsm, stream, filter, state.last_seq + 1);
      });
    for (let shard = 0; shard < this.parts.subjects.shards; shard++)
      await purge(shard, this.parts.subjects.flowEnd(shard, key, "*"));
    await purge(home, this.parts.subjects.flow("alarm", key));
    await purge(home, this.parts.subjects.flowPart(key, "*"));
    // Last: as long as it is there, what a crash left is found.
    await purge(home, this.parts.subjects.flow("record", key));
  }

  watch(key: string, hint: () => void): () => void {
    const subscription = this.parts.nc.subscribe(this.parts.subjects.flow("record", key), {
      callback: () => hint(),
    });
    return () => subscription.unsubscribe();
  }

  #publish(messages: readonly Outgoing[]) {
    return publishBatch(this.parts.nc, `${this.parts.nonce()}f${this.#batches++}`, messages);
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw unavailable((error as Error).message);
    }
  }
}

const nothing = new Uint8Array(0);

function recordOf(data: Uint8Array): FlowRecord {
  return storage.Flow.decode(data);
}

function ticketsIn({ subject, data }: Delivery, ack: () => void): FlowTicket[] {
  const parsed = parseFlowEnd(subject);
  if (parsed === undefined) return [];
  const { flow, what } = parsed;
  const member = /^\d+$/.test(what) ? Number(what) : undefined;
  const end = member === undefined ? undefined : storage.FlowEnd.decode(data);
  return [{ flow, member, end, deadline: what === "deadline", ack }];
}
