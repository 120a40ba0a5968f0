// What is left behind where jobs have been, removed in bulk. Acked tickets are leftovers: a lane is swept now and then by
// one purge up to its ack floor, and so are the alarms. Up to where everything is gone is what retention goes by.

import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { Telemetry } from "../app/telemetry.js";
import { dueConsumer } from "./due.js";
import type { StreamLane } from "./lane.js";
import type { StreamLanes } from "./lanes.js";
import { purgeBelow } from "./purge.js";
import { firstFrom } from "./seq-at.js";
import type { Subjects } from "./subjects.js";

/** Up to which sequences tickets and alarms of a shard are gone. */
export interface Floors {
  due: number;
  /** Queue -> task -> the lowest of its lanes. */
  queues: Map<string, Map<string, number>>;
}

export interface LaneSweepRules {
  /** Acks after which a lane is swept at once. */
  acks: number;
  /** Acks that are worth a purge where few lanes have them: a purge holds the stream up for some 2 us of each message, and
   *  10 ms at a time are felt by the jobs that come meanwhile. */
  worthwhile: number;
  /** Lanes swept in one look for that reason. */
  lanesAtOnce: number;
  /** Lanes swept in one round over all of them. For each purge the server counts anew what waits for each consumer of the
   *  stream: with 300 lanes that was a quarter of all it did. */
  lanesPerRound: number;
  /** Of what still waits in a lane, the share that has to be acked before it is swept: a purge looks at all that the
   *  lane holds, three times over, so that with a million waiting each sweep holds the stream up for a second. */
  share: number;
}

export interface LaneSweepsParts {
  nc: NatsConnection;
  jsm: JetStreamManager;
  subjects: Subjects;
  lanes: StreamLanes;
  telemetry: Pick<Telemetry, "sweep">;
}

export class LaneSweeps {
  /** Floor of `due` up to which it is swept, by shard. */
  readonly #dueSwept = new Map<number, number>();
  readonly #dueFloor = new Map<number, number>();

  constructor(
    readonly parts: LaneSweepsParts,
    readonly rules: LaneSweepRules,
  ) {}

  /** Lanes with many acked tickets in them. */
  async sweepBusyLanes(): Promise<void> {
    for (const lane of lanesToSweep(this.parts.lanes.all(), this.rules)) await this.sweepLane(lane);
  }

  /** Too much waits in the lane for what a purge would bring. */
  isLaden(lane: StreamLane): boolean {
    return isLaden(lane, this.rules);
  }

  /** Something was acked since the round before: there will be more. One purge walks every block that its lane has a
   *  message in, and lanes that are drained side by side share their blocks. */
  isInUse(lane: StreamLane): boolean {
    const before = lane.ackedBefore;
    lane.ackedBefore = lane.acked;
    return lane.acked !== before;
  }

  /** Every lane whose floor has moved, and the alarms. */
  sweepAll(): Promise<void> {
    return this.sweepRound(() => false, Number.POSITIVE_INFINITY);
  }

  /** The same, but for lanes that may wait, and for more than `most`: those that were swept lately have their turn later. */
  async sweepRound(mayWait: (lane: StreamLane) => boolean, most = this.rules.lanesPerRound): Promise<void> {
    const lanes = this.parts.lanes.all().filter((lane) => isToSweep(lane) && !mayWait(lane));
    lanes.sort((a, b) => a.sweptAt - b.sweptAt);
    for (const lane of lanes.slice(0, most)) await this.sweepLane(lane);
    for (let shard = 0; shard < this.parts.subjects.shards; shard++) await this.#sweepDue(shard);
  }

  /** One purge up to the lane's floor. */
  async sweepLane(lane: StreamLane): Promise<void> {
    const stream = this.parts.subjects.stream(lane.shard);
    const acked = lane.acked;
    lane.sweptAt = Date.now();
    const info = await this.parts.jsm.consumers.info(stream, lane.name);
    const floor = info.ack_floor.stream_seq;
    lane.acked -= acked;
    lane.ackedBefore = lane.acked;
    lane.sweptDeliveries = undefined;
    if (floor <= lane.swept) return;
    const purged = await purgeBelow(this.parts.jsm, stream, lane.filter, floor + 1);
    lane.swept = floor;
    if (info.num_ack_pending === 0) lane.sweptDeliveries = info.delivered.consumer_seq;
    this.parts.telemetry.sweep("lane", purged);
  }

  async #sweepDue(shard: number): Promise<void> {
    const stream = this.parts.subjects.stream(shard);
    const { state } = await this.parts.jsm.streams.info(stream);
    const info = await this.parts.jsm.consumers.info(stream, dueConsumer);
    const floor = info.ack_floor.stream_seq;
    if (floor > (this.#dueSwept.get(shard) ?? 0)) {
      const purged = await purgeBelow(
        this.parts.jsm,
        stream,
        this.parts.subjects.phase(shard, "due"),
        floor + 1,
      );
      this.#dueSwept.set(shard, floor);
      this.parts.telemetry.sweep("due", purged);
    }
    this.#dueFloor.set(shard, isIdle(info) ? state.last_seq : floor);
  }

  async floors(shard: number): Promise<Floors> {
    const due = this.#dueFloor.get(shard) ?? 0;
    const queues: Floors["queues"] = new Map();
    for (const lane of this.parts.lanes.all()) {
      if (lane.shard !== shard) continue;
      const { task, queue } = lane.key;
      const tasks = queues.get(queue) ?? new Map<string, number>();
      queues.set(queue, tasks);
      tasks.set(task, Math.min(tasks.get(task) ?? due, await this.#floorOf(lane)));
    }
    return { due, queues };
  }

  async #floorOf(lane: StreamLane): Promise<number> {
    const listed = this.parts.lanes.listedAt.get(lane.shard) ?? 0;
    const acked = lane.info?.ack_floor.stream_seq ?? 0;
    // Nothing waited and nothing was out when the lanes were listed: every ticket up to the sequence of that moment is
    // acked, and gone if the lane was swept that far, or since the last of its deliveries.
    const isGone = acked <= lane.swept || isSwept(lane);
    if (lane.info !== undefined && isIdle(lane.info) && isGone) return listed;
    const first = await firstFrom(
      this.parts.nc,
      this.parts.subjects.stream(lane.shard),
      lane.filter,
      Math.min(lane.swept, acked) + 1,
    );
    return first === undefined ? listed : Math.min(listed, first - 1);
  }
}

type Filled = Pick<StreamLane, "acked" | "pending">;

/** The fullest first. */
export function lanesToSweep<L extends Filled>(lanes: readonly L[], rules: LaneSweepRules): L[] {
  return lanes
    .filter((lane) => lane.acked >= rules.worthwhile && !isLaden(lane, rules))
    .sort((a, b) => b.acked - a.acked)
    .filter((lane, i) => lane.acked >= rules.acks || i < rules.lanesAtOnce);
}

function isLaden({ acked, pending }: Filled, rules: LaneSweepRules): boolean {
  return pending > rules.acks && acked < pending * rules.share;
}

export function isIdle(info: ConsumerInfo): boolean {
  return info.num_pending === 0 && info.num_ack_pending === 0 && info.num_redelivered === 0;
}

function isToSweep(lane: StreamLane): boolean {
  const moved = lane.info !== undefined && lane.info.ack_floor.stream_seq > lane.swept;
  return lane.acked > 0 || (moved && !isSwept(lane));
}

/** Nothing was delivered since it was swept with nothing out. Its ack floor says nothing of that: where a lane is idle it
 *  moves on with the stream. */
function isSwept({ info, sweptDeliveries }: StreamLane): boolean {
  return info?.delivered.consumer_seq === sweptDeliveries;
}
