// Lanes: one durable pull consumer for each (task, queue, priority) in use. The list of consumers is the truth about
// which lanes there are; it is read again every 5 s, and what brokers tell one another in between only saves time.
//
// The trust line: after a SIGKILL of nats-server a consumer has forgotten its last 100 ms or so, and finished tickets
// come again as if new. A ticket above the stream's last sequence as of our latest connect cannot be one of those; a
// ticket below has to be read before it runs.

import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import type { LaneEvents, LaneKey, Lanes, LaneView, Peers, Ticket } from "../app/ports.js";
import { Refusal } from "../core/errors.js";
import { times } from "../core/limits.js";
import { KnownJob } from "../core/names.js";
import { decodeAt } from "./codec.js";
import { isMarked, StreamLane } from "./lane.js";
import { LaneConsumers, laneKeyOf } from "./lane-consumers.js";
import type { Delivery, Puller, PullInbox } from "./puller.js";
import { firstFrom } from "./seq-at.js";
import { lanesOfTickets } from "./stranded.js";
import { keyIn, type Subjects } from "./subjects.js";

const listEvery = 5_000;
/** What was listed longer ago than this (a broker that was frozen) is listed again before it is relied on. */
const listStale = 10_000;
/** For how long tickets are looked for in a lane that is no more: longer than a broker may act on an old list. */
const goneWatched = 30_000;

export class StreamLanes implements Lanes {
  /** By shard: the stream's last sequence just before its lanes were listed. */
  readonly listedAt = new Map<number, number>();
  readonly #lanes = new Map<string, StreamLane>();
  readonly #consumers: LaneConsumers;
  readonly #making = new Map<string, Promise<void>>();
  /** Lanes that were there until lately, by filter. */
  readonly #gone = new Map<string, { key: LaneKey; shard: number; until: number }>();
  #paused = new Set<string>();
  #listed = 0;
  #timer: NodeJS.Timeout | undefined;
  #listing: Promise<void> | undefined;
  /** Counts connections: an answer from before the latest one draws no line. */
  #epoch = 0;
  #events: LaneEvents | undefined;
  #asked: { key: LaneKey; filter: string } = { key: { task: "", queue: "", priority: 0 }, filter: "" };

  constructor(
    readonly jsm: JetStreamManager,
    readonly inbox: PullInbox,
    readonly subjects: Subjects,
    readonly peers: Peers,
    readonly maxLanes: number,
    readonly problem: (error: unknown, during: string) => void,
    /** ms. */
    ackWait: number = times.ackWait,
  ) {
    this.#consumers = new LaneConsumers(jsm, peers, ackWait);
  }

  async start(events: LaneEvents): Promise<void> {
    this.#events = events;
    this.peers.hear("lane", (body) => {
      if (!this.has(body as LaneKey)) void this.refresh();
    });
    this.peers.hear("lane-remade", (filter) => {
      const lane = this.#lanes.get(filter as string);
      if (lane === undefined) return;
      lane.trustAbove = Number.POSITIVE_INFINITY;
      void this.refresh();
    });
    await this.#list();
    await this.#adoptStranded();
    await this.#drawLine();
    this.#timer = setInterval(() => void this.refresh(), listEvery);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const lane of this.#lanes.values()) lane.puller.keepOpen(0);
  }

  /** Nothing delivered so far is trusted until the new line is drawn. */
  disconnected(): void {
    this.#epoch++;
    for (const lane of this.#lanes.values()) lane.trustAbove = Number.POSITIVE_INFINITY;
  }

  async reconnected(): Promise<void> {
    this.disconnected();
    this.inbox.reconnected();
    await this.#drawLine();
    await this.refresh();
  }

  all(): readonly StreamLane[] {
    return [...this.#lanes.values()];
  }

  has(key: LaneKey): boolean {
    const lane = this.#of(key);
    return lane !== undefined && !isMarked(lane) && Date.now() - this.#listed < listStale;
  }

  filled(key: LaneKey): void {
    const lane = this.#of(key);
    if (lane === undefined || lane.probing || lane.pulling > 0) return;
    lane.pending = Math.max(1, lane.pending);
    lane.filled = Date.now();
  }

  /** Jobs come by the thousand into one lane: its filter is put together once. */
  #of(key: LaneKey): StreamLane | undefined {
    const { key: last } = this.#asked;
    if (last.task !== key.task || last.queue !== key.queue || last.priority !== key.priority) {
      this.#asked = { key, filter: this.subjects.lane(key) };
    }
    return this.#lanes.get(this.#asked.filter);
  }

  async ensure(key: LaneKey): Promise<void> {
    if (this.has(key)) return;
    const filter = this.subjects.lane(key);
    let making = this.#making.get(filter);
    if (making === undefined) {
      making = this.#ensure(key, filter).finally(() => this.#making.delete(filter));
      this.#making.set(filter, making);
    }
    return making;
  }

  pull(lane: LaneView, n: number): void {
    (lane as StreamLane).puller.pull(n);
  }

  probe(lane: LaneView, open: boolean): void {
    (lane as StreamLane).puller.keepOpen(open ? 1 : 0);
  }

  /** Which queues rest: their lanes are paused on the server too, those to come included. */
  async setPaused(paused: ReadonlySet<string>): Promise<void> {
    this.#paused = new Set(paused);
    await Promise.all(this.all().map((lane) => this.#matchPause(lane)));
  }

  refresh(): Promise<void> {
    this.#listing ??= this.#list()
      .catch((error: unknown) => this.problem(error, "listing the lanes"))
      .finally(() => {
        this.#listing = undefined;
      });
    return this.#listing;
  }

  /** The lanes as they are from now on: a listing under way may have looked at one before what matters happened there.
   *  @throws Error when the store does not answer */
  async listNow(): Promise<readonly StreamLane[]> {
    await this.#listing;
    await this.#list();
    return this.all();
  }

  /** Takes a lane out of use whose consumer is gone. */
  forget(lane: StreamLane): void {
    lane.puller.keepOpen(0);
    this.inbox.drop(lane.puller);
    this.#lanes.delete(lane.filter);
    this.#gone.set(lane.filter, { key: lane.key, shard: lane.shard, until: Date.now() + goneWatched });
  }

  /** A shard with tickets and without any lane was restored from a backup. */
  async #adoptStranded(): Promise<void> {
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      if (this.all().some((lane) => lane.shard === shard)) continue;
      for (const key of await lanesOfTickets(this.jsm, this.subjects, shard)) await this.ensure(key);
    }
  }

  /** Somebody who relied on a lane may have stored a ticket while, or just after, it was removed. */
  async #reviveGone(): Promise<void> {
    for (const [filter, { key, shard, until }] of this.#gone) {
      if (this.#lanes.has(filter) || Date.now() > until) this.#gone.delete(filter);
      else if ((await firstFrom(this.inbox.nc, this.subjects.stream(shard), filter, 1)) !== undefined) {
        await this.ensure(key);
      }
    }
  }

  async #ensure(key: LaneKey, filter: string): Promise<void> {
    if (Date.now() - this.#listed >= listStale) await this.#list().catch(notMade);
    const known = this.#lanes.get(filter);
    if (known !== undefined && !isMarked(known)) return;
    if (known === undefined && this.#lanes.size >= this.maxLanes) {
      throw new Refusal(
        "TOO_MANY_LANES",
        `the namespace has ${this.maxLanes} lanes (task, queue, priority), which is its limit: use fewer queues or priorities, or raise DROVER_MAX_LANES`,
        { retryAfter: 60_000 },
      );
    }
    const shard = this.subjects.shard(key.task);
    const asked = Date.now();
    try {
      const paused = this.#paused.has(key.queue);
      const info = await this.#consumers.make(this.subjects.stream(shard), key, filter, paused);
      this.#adopt(key, shard, info, asked);
    } catch (error) {
      notMade(error);
    }
    await this.#drawLine(shard).catch(notMade);
    // Workers that wait for this lane's jobs are here already: they are not to wait for the next listing.
    const made = this.#lanes.get(filter);
    if (made !== undefined) this.#events?.moved(made);
    this.peers.tell("lane", key);
  }

  async #list(): Promise<void> {
    const started = Date.now();
    const seen = new Set<string>();
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      // Before the consumers: what these have behind them at this sequence they had when they were looked at.
      const { state } = await this.jsm.streams.info(this.subjects.stream(shard));
      for await (const info of this.jsm.consumers.list(this.subjects.stream(shard))) {
        const key = laneKeyOf(info);
        if (key === undefined) continue;
        seen.add(this.#adopt(key, shard, info, started).filter);
      }
      // Only now: what was listed the time before says nothing about this moment.
      this.listedAt.set(shard, state.last_seq);
    }
    for (const lane of this.all()) {
      if (!seen.has(lane.filter) && lane.adopted < started) this.forget(lane);
    }
    this.#listed = Date.now();
    const unmarked = this.all().filter((lane) => lane.trustAbove === Number.POSITIVE_INFINITY);
    for (const shard of new Set(unmarked.map((lane) => lane.shard))) await this.#drawLine(shard);
    await Promise.all(this.all().map((lane) => this.#matchPause(lane)));
    for (const lane of this.all()) this.#events?.moved(lane);
    await this.#reviveGone();
  }

  /** `asOf`: a moment before which `info` was not looked at. */
  #adopt(key: LaneKey, shard: number, info: ConsumerInfo, asOf: number): StreamLane {
    const filter = this.subjects.lane(key);
    let lane = this.#lanes.get(filter);
    if (lane === undefined) {
      lane = new StreamLane(key, shard, info.name, filter, info.created);
      this.#lanes.set(filter, lane);
      lane.puller = this.#open(lane);
    } else if (lane.created !== info.created) {
      // Deleted and made again: it delivers everything from the start, acked tickets included.
      lane.created = info.created;
      lane.reached = 0;
      lane.trustAbove = Number.POSITIVE_INFINITY;
      lane.swept = 0;
      lane.sweptDeliveries = undefined;
    }
    lane.info = info;
    // Redeliveries are not counted as pending, but may be waiting.
    lane.pending = lane.filled < asOf ? info.num_pending : Math.max(1, info.num_pending);
    lane.reached = Math.max(lane.reached, info.delivered.stream_seq);
    return lane;
  }

  #open(lane: StreamLane): Puller {
    const stream = this.subjects.stream(lane.shard);
    return this.inbox.open(
      { stream, name: lane.name },
      {
        delivered: (delivery) => {
          lane.pending = delivery.pending;
          if (delivery.seq > lane.reached) lane.reached = delivery.seq;
          this.#events?.delivered(this.#ticket(lane, delivery));
        },
        over: (empty) => {
          if (empty) lane.pending = 0;
          this.#events?.moved(lane);
        },
        distrust: () => {
          lane.trustAbove = Number.POSITIVE_INFINITY;
          void this.refresh();
        },
      },
    );
  }

  #ticket(lane: StreamLane, delivery: Delivery): Ticket {
    const { task, queue, priority } = lane.key;
    const key = keyIn(delivery.subject);
    // The lane's filter lets no other subject through.
    const place = { phase: "ready" as const, task, queue, priority, key };
    const decoded = decodeAt(place, delivery.seq, delivery.headers, delivery.data);
    const stored = decoded.kind === "tombstone" ? undefined : decoded.stored;
    return {
      lane: lane.key,
      ref: new KnownJob(task, key),
      seq: delivery.seq,
      deliveries: delivery.deliveries,
      trusted: delivery.deliveries === 1 && delivery.seq > lane.trustAbove,
      stored,
      corrupt: decoded.kind === "corrupt" ? decoded.bytes : undefined,
      ack: () => {
        lane.acked++;
        this.inbox.ack(delivery);
      },
    };
  }

  async #drawLine(only?: number): Promise<void> {
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      if (only !== undefined && shard !== only) continue;
      const epoch = this.#epoch;
      const { state } = await this.jsm.streams.info(this.subjects.stream(shard));
      if (epoch !== this.#epoch) return;
      for (const lane of this.all()) {
        if (lane.shard === shard && lane.trustAbove === Number.POSITIVE_INFINITY)
          lane.trustAbove = state.last_seq;
      }
    }
  }

  async #matchPause(lane: StreamLane): Promise<void> {
    const wanted = this.#paused.has(lane.key.queue);
    if ((lane.info?.paused ?? false) === wanted) return;
    const stream = this.subjects.stream(lane.shard);
    if (wanted) await this.jsm.consumers.pause(stream, lane.name, new Date(times.never));
    else await this.jsm.consumers.resume(stream, lane.name);
    if (lane.info !== undefined) lane.info.paused = wanted;
  }
}

function notMade(error: unknown): never {
  throw new Refusal("STORE_UNAVAILABLE", `a lane could not be made: ${(error as Error).message}`, {
    retryAfter: 1_000,
  });
}
