// Queues in the store: their settings, one message each; their lanes; and what lies in them.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { LaneKey } from "../app/ports.js";
import type { QueueScope, QueueSettings, Queues } from "../app/queue-ports.js";
import type { Phase } from "../core/job.js";
import type { StreamLanes } from "./lanes.js";
import { purgeBelow } from "./purge.js";
import { asked, type SharedCodec, SharedMessage } from "./shared-message.js";
import { storage } from "./storage-proto.js";
import type { Subjects } from "./subjects.js";

const countFresh = 15_000;

const codec: SharedCodec<QueueSettings> = {
  decode: (data) => storage.Queue.decode(data ?? new Uint8Array(0)),
  encode: (settings) => storage.Queue.encode(settings).finish(),
};

export class QueueStore implements Queues {
  readonly #counts = new Map<string, { at: number; count: Promise<number> }>();

  constructor(
    readonly nc: NatsConnection,
    readonly jsm: JetStreamManager,
    readonly subjects: Subjects,
    readonly streamLanes: StreamLanes,
  ) {}

  async settings(): Promise<QueueSettings[]> {
    const stream = this.subjects.stream(0);
    const { state } = await asked(() =>
      this.jsm.streams.info(stream, { subjects_filter: this.subjects.queues() }),
    );
    const subjects = Object.keys(state.subjects ?? {});
    const read = await Promise.all(subjects.map((subject) => this.#message(subject).read()));
    return read.filter((settings) => settings !== undefined);
  }

  async update(queue: string, change: (settings: QueueSettings) => QueueSettings): Promise<QueueSettings> {
    return this.#message(this.subjects.queue(queue)).update((found) => change({ ...found, name: queue }));
  }

  async lanes(): Promise<{ key: LaneKey; ready: number; delivered: number }[]> {
    // A purge relies on it: what is old here could take a ticket from under a running job.
    const lanes = await asked(() => this.streamLanes.listNow());
    return lanes.map(({ key, info }) => ({
      key,
      ready: info?.num_pending ?? 0,
      delivered: info?.num_ack_pending ?? 0,
    }));
  }

  from(lane: LaneKey, seq: number): Promise<number> {
    const stream = this.subjects.stream(this.subjects.shard(lane.task));
    return asked(() => countMessages(this.jsm, stream, this.subjects.lane(lane), seq));
  }

  async count(phase: Phase, scope: QueueScope): Promise<number> {
    const name = `${phase} ${scope.queue} ${scope.task ?? ""}`;
    const known = this.#counts.get(name);
    if (known !== undefined && Date.now() - known.at < countFresh) return known.count;
    if (this.#counts.size > 10_000) this.#counts.clear();
    const count = this.#countNow(phase, scope);
    this.#counts.set(name, { at: Date.now(), count });
    count.catch(() => this.#counts.delete(name));
    return count;
  }

  async purgeReady({ queue, task }: QueueScope): Promise<number> {
    let purged = 0;
    for (const lane of this.streamLanes.all()) {
      if (lane.key.queue !== queue || (task !== undefined && lane.key.task !== task)) continue;
      const stream = this.subjects.stream(lane.shard);
      const { ack_floor: floor } = await this.jsm.consumers.info(stream, lane.name);
      const { state } = await this.jsm.streams.info(stream);
      await purgeBelow(this.jsm, stream, lane.filter, floor.stream_seq + 1);
      purged += await purgeBelow(this.jsm, stream, lane.filter, state.last_seq + 1);
      lane.pending = 0;
    }
    return purged;
  }

  async purgeScheduled({ queue, task }: QueueScope): Promise<number> {
    let purged = 0;
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      const stream = this.subjects.stream(shard);
      const { state } = await this.jsm.streams.info(stream);
      const filter = this.subjects.phase(shard, "later", task, queue);
      purged += await purgeBelow(this.jsm, stream, filter, state.last_seq + 1);
    }
    this.#counts.clear();
    return purged;
  }

  /** A consumer is made for the question and deleted again: one that stayed would be counted anew at each sweep. */
  async #countNow(phase: Phase, { queue, task }: QueueScope): Promise<number> {
    let count = 0;
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      const stream = this.subjects.stream(shard);
      const filter = this.subjects.phase(shard, phase, task, queue);
      count += await asked(() => countMessages(this.jsm, stream, filter));
    }
    return count;
  }

  #message(subject: string): SharedMessage<QueueSettings> {
    return new SharedMessage(this.nc, this.jsm, this.subjects.stream(0), subject, codec);
  }
}

/** How many messages a filter matches, from a sequence on. */
export async function countMessages(
  jsm: JetStreamManager,
  stream: string,
  filter: string,
  from?: number,
): Promise<number> {
  const info = await jsm.consumers.add(stream, {
    filter_subject: filter,
    ack_policy: "none",
    mem_storage: true,
    inactive_threshold: 5_000_000_000,
    ...(from === undefined
      ? { deliver_policy: "all" }
      : { deliver_policy: "by_start_sequence", opt_start_seq: from }),
  });
  await jsm.consumers.delete(stream, info.name);
  return info.num_pending;
}
