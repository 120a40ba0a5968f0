// Concurrency keys in the store: who has the places of each, one message changed by compare-and-set, and a small message
// for each job that is parked, which the journal writes and removes in one step with the job. Both lie with the jobs of
// their task.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { ConcurrencyKey, KeyStore, ParkedJob } from "../app/key-ports.js";
import { type KeyUse, unusedKey } from "../core/key-use.js";
import { KeyUpdates } from "./key-updates.js";
import { countMessages } from "./queue-store.js";
import type { JobReads, Raw } from "./reads.js";
import { asked, type SharedCodec } from "./shared-message.js";
import { storage } from "./storage-proto.js";
import { keyUseIn, parkedIn, type Subjects } from "./subjects.js";

const chunk = 200;
/** So many times as many parked jobs as are asked for are read at once, in the hope that those are all. */
const fewTimes = 4;
/** A key that nobody uses is forgotten after this, s. */
const unusedFor = 60;

const codec: SharedCodec<KeyUse> = {
  decode: (data) => (data === undefined ? unusedKey : storage.KeyUse.decode(data)),
  encode: (use) => storage.KeyUse.encode(use).finish(),
  keepFor: ({ taken, parkedAt }) => (taken.length === 0 && parkedAt === 0 ? unusedFor : 0),
};

export interface StreamKeysParts {
  nc: NatsConnection;
  jsm: JetStreamManager;
  subjects: Subjects;
  reads: Pick<JobReads, "last" | "first">;
  nonce: () => string;
}

export class StreamKeys implements KeyStore {
  readonly #updates: readonly KeyUpdates<KeyUse>[];

  constructor(readonly parts: StreamKeysParts) {
    const { nc, reads, nonce, subjects } = parts;
    const updatesOf = (_: unknown, shard: number) => new KeyUpdates(nc, reads, shard, codec, nonce);
    this.#updates = Array.from({ length: subjects.shards }, updatesOf);
  }

  async read(key: ConcurrencyKey): Promise<KeyUse> {
    const [message] = await this.parts.reads.last(this.parts.subjects.shard(key.task), [
      this.parts.subjects.keyUse(key),
    ]);
    return message === undefined ? unusedKey : storage.KeyUse.decode(message.data);
  }

  update(key: ConcurrencyKey, change: (use: KeyUse) => KeyUse): Promise<KeyUse> {
    const updates = this.#updates[this.parts.subjects.shard(key.task)];
    if (updates === undefined) throw new Error("a shard beyond the namespace's");
    return updates.update(this.parts.subjects.keyUse(key), change);
  }

  async hasWaiting(key: ConcurrencyKey): Promise<boolean> {
    const shard = this.parts.subjects.shard(key.task);
    return (await this.parts.reads.first(shard, this.parts.subjects.parkedOf(key), 1)).length > 0;
  }

  async waiting(key: ConcurrencyKey, most: number): Promise<ParkedJob[]> {
    const shard = this.parts.subjects.shard(key.task);
    const few = fewTimes * most;
    const all = await this.parts.reads.first(shard, this.parts.subjects.parkedOf(key), few);
    // In the order of their parkings; the highest priority comes first.
    if (all.length < few) {
      return jobsOf(all.toSorted((a, b) => priorityIn(b.subject) - priorityIn(a.subject))).slice(0, most);
    }
    const found = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        this.parts.reads.first(shard, this.parts.subjects.parkedOf(key, 9 - i), most),
      ),
    );
    return jobsOf(found.flat().slice(0, most));
  }

  async waitingBefore(key: ConcurrencyKey, priority: number, seq: number | undefined): Promise<number> {
    const stream = this.parts.subjects.stream(this.parts.subjects.shard(key.task));
    const counted = (at: number, from?: number) =>
      asked(() => countMessages(this.parts.jsm, stream, this.parts.subjects.parkedOf(key, at), from));
    const higher = Array.from({ length: 9 - priority }, (_, i) => counted(9 - i));
    const same = counted(priority);
    // Its own is stored right behind the job.
    const later = seq === undefined ? 0 : await counted(priority, seq);
    const counts = await Promise.all([same, ...higher]);
    return Math.max(0, counts.reduce((sum, count) => sum + count, 0) - later);
  }

  async waitedFor(): Promise<ConcurrencyKey[]> {
    const found: ConcurrencyKey[] = [];
    for (let shard = 0; shard < this.parts.subjects.shards; shard++) {
      const { state } = await asked(() =>
        this.parts.jsm.streams.info(this.parts.subjects.stream(shard), {
          subjects_filter: this.parts.subjects.keyUses(shard),
        }),
      );
      const subjects = Object.keys(state.subjects ?? {});
      for (let i = 0; i < subjects.length; i += chunk) {
        for (const { subject, data } of await this.parts.reads.last(shard, subjects.slice(i, i + chunk))) {
          const key = keyUseIn(subject);
          if (key !== undefined && storage.KeyUse.decode(data).parkedAt > 0) found.push(key);
        }
      }
    }
    return found;
  }
}

function jobsOf(parked: readonly Raw[]): ParkedJob[] {
  return parked.flatMap(({ subject, data }) => {
    const key = parkedIn(subject)?.key;
    return key === undefined ? [] : [{ key, queue: storage.Parked.decode(data).queue }];
  });
}

function priorityIn(subject: string): number {
  return parkedIn(subject)?.priority ?? 0;
}
