// Queues in the store: their settings, one message each; their lanes; and what lies in them.

import type { JetStreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "nats";
import type { LaneKey, QueueScope, QueueSettings, Queues } from "../app/ports.js";
import type { Phase } from "../core/job.js";
import { header } from "./codec.js";
import type { StreamLanes } from "./lanes.js";
import { purgeBelow } from "./purge.js";
import { unavailable } from "./reads.js";
import { storage } from "./storage-proto.js";
import type { Subjects } from "./subjects.js";

const countFresh = 15_000;
const attempts = 10;

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
    const { state } = await this.#asked(() =>
      this.jsm.streams.info(stream, { subjects_filter: this.subjects.queues() }),
    );
    const subjects = Object.keys(state.subjects ?? {});
    const read = await Promise.all(subjects.map((subject) => this.#read(subject)));
    return read.flatMap((found) => (found === undefined ? [] : [found.settings]));
  }

  async update(queue: string, change: (settings: QueueSettings) => QueueSettings): Promise<QueueSettings> {
    const subject = this.subjects.queue(queue);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = await this.#read(subject);
      const next = change(found?.settings ?? storage.Queue.fromPartial({ name: queue }));
      const hdrs = headers();
      hdrs.set(header.expected, String(found?.seq ?? 0));
      const answer = await this.#asked(() =>
        this.nc.request(subject, storage.Queue.encode(next).finish(), { headers: hdrs, timeout: 5_000 }),
      );
      const { error } = answer.json<{ error?: { err_code: number; description: string } }>();
      if (error === undefined) return next;
      if (error.err_code !== 10071) throw unavailable(error.description);
    }
    throw unavailable(`the settings of ${queue} are being changed by many at once`);
  }

  async lanes(): Promise<{ key: LaneKey; ready: number; delivered: number }[]> {
    // A purge relies on it: what is old here could take a ticket from under a running job.
    const lanes = await this.#asked(() => this.streamLanes.listNow());
    return lanes.map(({ key, info }) => ({
      key,
      ready: info?.num_pending ?? 0,
      delivered: info?.num_ack_pending ?? 0,
    }));
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
      count += await this.#asked(() => countMessages(this.jsm, stream, filter));
    }
    return count;
  }

  async #read(subject: string): Promise<{ settings: QueueSettings; seq: number } | undefined> {
    const found = await this.#asked(() =>
      this.jsm.streams.getMessage(this.subjects.stream(0), { last_by_subj: subject }),
    );
    if (found === null) return undefined;
    return { settings: storage.Queue.decode(found.data), seq: found.seq };
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw unavailable((error as Error).message);
    }
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
