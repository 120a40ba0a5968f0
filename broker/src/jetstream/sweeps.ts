// Space, always in bulk. Acked tickets are leftovers: a lane is swept now and then by one purge up to its ack floor, and
// so are the alarms. Records go by age and by number, but never beyond the first ticket that still lies in a lane of
// their queue and task: while an older ticket of a job lies somewhere, its record is what says that the ticket means
// nothing. One lane that nobody serves holds back its own task's records only, not those of the whole queue.

import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { Clock, QueueSettings } from "../app/ports.js";
import type { Log, Telemetry } from "../app/telemetry.js";
import type { Phase } from "../core/job.js";
import { counts, times } from "../core/limits.js";
import { dueConsumer } from "./due.js";
import type { StreamLane, StreamLanes } from "./lanes.js";
import { purgeBelow } from "./purge.js";
import { countMessages } from "./queue-store.js";
import { firstFrom, seqAt } from "./seq-at.js";
import type { Subjects } from "./subjects.js";
import { endOfSurplus } from "./surplus.js";

export interface SweepRules {
  every: number;
  /** Acks after which a lane is swept at once. */
  acks: number;
  /** Of what still waits in a lane, the share that has to be acked before it is swept: a purge looks at all that the
   *  lane holds, three times over, so that with a million waiting each sweep holds the stream up for a second. */
  share: number;
  retentionEvery: number;
  /** A lane that was not used for this long is removed. */
  laneIdle: number;
  /** Between marking a lane and removing it: longer than any broker may act on an old list. */
  laneMarked: number;
}

export const sweepRules: SweepRules = {
  every: 1_000,
  acks: 5_000,
  share: 0.25,
  retentionEvery: 15_000,
  laneIdle: 24 * 60 * 60 * 1_000,
  laneMarked: 60_000,
};

/** What bulk retention applies to. */
const recordPhases = ["succeeded", "failed", "cancelled"] as const;
type RecordPhase = (typeof recordPhases)[number];

/** Whose jobs will need their lane again. */
const comingBack = ["held-a", "held-b", "later", "blocked", "due"] as const;

/** Up to which sequences tickets and alarms of a shard are gone. */
interface Floors {
  due: number;
  /** Queue -> task -> the lowest of its lanes. */
  queues: Map<string, Map<string, number>>;
}

export class Sweeps {
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #busy = new Set<string>();
  /** Floor of `due` up to which it is swept, by shard. */
  readonly #dueSwept = new Map<number, number>();
  readonly #dueFloor = new Map<number, number>();
  #stopped = false;

  constructor(
    readonly nc: NatsConnection,
    readonly jsm: JetStreamManager,
    readonly subjects: Subjects,
    readonly lanes: StreamLanes,
    readonly settingsOf: (queue: string) => QueueSettings | undefined,
    readonly clock: Clock,
    readonly telemetry: Telemetry,
    readonly log: Log,
    readonly rules: SweepRules = sweepRules,
  ) {}

  start(): void {
    const each = (ms: number, name: string, work: () => Promise<void>) => {
      this.#timers.push(setInterval(() => void this.#once(name, work), ms));
    };
    each(this.rules.every, "lanes", () => this.sweepBusyLanes());
    each(this.rules.every * 5, "floors", () =>
      this.sweepAll((lane) => this.#isLaden(lane) || this.#isInUse(lane)),
    );
    each(this.rules.retentionEvery, "retention", () => this.retain());
    each(60_000, "idle lanes", () => this.removeIdleLanes());
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Lanes with many acked tickets in them. */
  async sweepBusyLanes(): Promise<void> {
    for (const lane of this.lanes.all()) if (this.#isFull(lane)) await this.sweepLane(lane);
  }

  #isFull(lane: StreamLane): boolean {
    return lane.acked >= this.rules.acks && !this.#isLaden(lane);
  }

  /** Too much waits in the lane for what a purge would bring. */
  #isLaden({ acked, pending }: StreamLane): boolean {
    return pending > this.rules.acks && acked < pending * this.rules.share;
  }

  /** Something was acked since the round before: there will be more. One purge walks every block that its lane has a
   *  message in, and lanes that are drained side by side share their blocks. */
  #isInUse(lane: StreamLane): boolean {
    const before = lane.ackedBefore;
    lane.ackedBefore = lane.acked;
    return lane.acked !== before;
  }

  /** Every lane whose floor has moved, but for those that may wait, and the alarms. */
  async sweepAll(mayWait: (lane: StreamLane) => boolean = () => false): Promise<void> {
    for (const lane of this.lanes.all()) {
      // The ack floor of an idle lane moves on with the stream: only deliveries leave something to sweep.
      const { info } = lane;
      const moved = info !== undefined && info.ack_floor.stream_seq > lane.swept;
      const used = info?.delivered.consumer_seq !== lane.sweptDeliveries;
      if (!(moved && used) && lane.acked === 0) continue;
      if (!mayWait(lane)) await this.sweepLane(lane);
    }
    for (let shard = 0; shard < this.subjects.shards; shard++) await this.#sweepDue(shard);
  }

  /** One purge up to the lane's floor. */
  async sweepLane(lane: StreamLane): Promise<void> {
    const stream = this.subjects.stream(lane.shard);
    const acked = lane.acked;
    const info = await this.jsm.consumers.info(stream, lane.name);
    const floor = info.ack_floor.stream_seq;
    lane.acked -= acked;
    lane.ackedBefore = lane.acked;
    lane.sweptDeliveries = undefined;
    if (floor <= lane.swept) return;
    const purged = await purgeBelow(this.jsm, stream, lane.filter, floor + 1);
    lane.swept = floor;
    if (info.num_ack_pending === 0) lane.sweptDeliveries = info.delivered.consumer_seq;
    this.telemetry.sweep("lane", purged);
  }

  /** Removes records that are over their queue's age or number. */
  async retain(): Promise<void> {
    await this.lanes.refresh();
    await this.sweepAll((lane) => this.#isLaden(lane));
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      const floors = await this.#floors(shard);
      for (const phase of recordPhases) await this.#retainPhase(shard, phase, floors);
    }
  }

  /** A lane that nothing was in for a day goes, behind a mark that brokers see before it does. */
  async removeIdleLanes(): Promise<void> {
    const now = Date.now();
    for (const lane of this.lanes.all()) {
      const info = lane.info;
      if (info === undefined || !isIdle(info)) continue;
      const active = Date.parse(String(info.delivered.last_active ?? info.created));
      const marked = Number(info.config.metadata?.["drover-removing"] ?? 0);
      if (marked > 0 && now - marked >= this.rules.laneMarked) await this.#removeLane(lane);
      else if (marked === 0 && now - active >= this.rules.laneIdle && !(await this.#isNeeded(lane))) {
        await this.#markLane(lane, info, now);
      }
    }
  }

  /** Whether jobs of its queue and task will come back to the lane, or records there are retained by its floor. */
  async #isNeeded({ key, shard }: StreamLane): Promise<boolean> {
    const own = recordPhases.filter((phase) => this.#keeps(key.queue, phase) !== undefined);
    for (const phase of new Set<Phase>([...comingBack, "failed", ...own])) {
      const filter = this.subjects.phase(shard, phase, key.task, key.queue);
      if ((await firstFrom(this.nc, this.subjects.stream(shard), filter, 1)) !== undefined) return true;
    }
    return false;
  }

  async #markLane(lane: StreamLane, info: ConsumerInfo, now: number): Promise<void> {
    await this.jsm.consumers.update(this.subjects.stream(lane.shard), lane.name, {
      metadata: { ...info.config.metadata, "drover-removing": String(now) },
    });
  }

  async #removeLane(lane: StreamLane): Promise<void> {
    const stream = this.subjects.stream(lane.shard);
    const info = await this.jsm.consumers.info(stream, lane.name);
    // Somebody who needed it has taken the mark away, or it has a ticket after all.
    if (info.config.metadata?.["drover-removing"] === undefined || !isIdle(info)) return;
    if (await this.#isNeeded(lane)) return;
    await this.sweepLane(lane);
    await this.jsm.consumers.delete(stream, lane.name);
    this.lanes.forget(lane);
    this.log.info({ ...lane.key }, "an idle lane was removed");
  }

  async #sweepDue(shard: number): Promise<void> {
    const stream = this.subjects.stream(shard);
    const { state } = await this.jsm.streams.info(stream);
    const info = await this.jsm.consumers.info(stream, dueConsumer);
    const floor = info.ack_floor.stream_seq;
    if (floor > (this.#dueSwept.get(shard) ?? 0)) {
      const purged = await purgeBelow(this.jsm, stream, this.subjects.phase(shard, "due"), floor + 1);
      this.#dueSwept.set(shard, floor);
      this.telemetry.sweep("due", purged);
    }
    this.#dueFloor.set(shard, isIdle(info) ? state.last_seq : floor);
  }

  async #floors(shard: number): Promise<Floors> {
    const due = this.#dueFloor.get(shard) ?? 0;
    const queues: Floors["queues"] = new Map();
    for (const lane of this.lanes.all()) {
      if (lane.shard !== shard) continue;
      const { task, queue } = lane.key;
      const tasks = queues.get(queue) ?? new Map<string, number>();
      queues.set(queue, tasks);
      tasks.set(task, Math.min(tasks.get(task) ?? due, await this.#floorOf(lane)));
    }
    return { due, queues };
  }

  async #floorOf(lane: StreamLane): Promise<number> {
    const listed = this.lanes.listedAt.get(lane.shard) ?? 0;
    const acked = lane.info?.ack_floor.stream_seq ?? 0;
    // Nothing waited and nothing was out when the lanes were listed: every ticket up to the sequence of that moment is
    // acked, and gone if the lane was swept that far.
    if (lane.info !== undefined && isIdle(lane.info) && acked <= lane.swept) return listed;
    const first = await firstFrom(
      this.nc,
      this.subjects.stream(lane.shard),
      lane.filter,
      Math.min(lane.swept, acked) + 1,
    );
    return first === undefined ? listed : Math.min(listed, first - 1);
  }

  async #retainPhase(shard: number, phase: RecordPhase, floors: Floors): Promise<void> {
    const stream = this.subjects.stream(shard);
    const seqOf = (age: number) => seqAt(this.nc, stream, this.subjects.all(shard), this.clock.now() - age);
    const plain = await seqOf(defaultAge(phase));
    const special = [...floors.queues].some(
      ([queue, tasks]) => this.#keeps(queue, phase) !== undefined || Math.min(...tasks.values()) < plain - 1,
    );
    if (!special) {
      const below = Math.min(plain, floors.due + 1);
      this.telemetry.sweep(
        phase,
        await purgeBelow(this.jsm, stream, this.subjects.phase(shard, phase), below),
      );
    } else {
      for (const [queue, tasks] of floors.queues) {
        const own = this.#keeps(queue, phase);
        await this.#purgeRecords(shard, phase, queue, tasks, own === undefined ? plain : await seqOf(own));
      }
    }
    if (phase === "succeeded") await this.#retainCount(shard, floors);
  }

  /** Records of a queue below `seq`: of each task as far as its tickets are gone. */
  async #purgeRecords(
    shard: number,
    phase: RecordPhase,
    queue: string,
    tasks: ReadonlyMap<string, number>,
    seq: number,
  ): Promise<void> {
    const stream = this.subjects.stream(shard);
    const purge = async (task: string | undefined, below: number) => {
      const filter = this.subjects.phase(shard, phase, task, queue);
      this.telemetry.sweep(phase, await purgeBelow(this.jsm, stream, filter, below));
    };
    const lowest = Math.min(...tasks.values());
    await purge(undefined, Math.min(seq, lowest + 1));
    for (const [task, floor] of tasks) {
      if (floor > lowest && lowest + 1 < seq) await purge(task, Math.min(seq, floor + 1));
    }
  }

  /** Too many records: the oldest of them go. */
  async #retainCount(shard: number, floors: Floors): Promise<void> {
    const stream = this.subjects.stream(shard);
    const { state } = await this.jsm.streams.info(stream);
    for (const [queue, tasks] of floors.queues) {
      const most = this.settingsOf(queue)?.keepSucceededCount || counts.keepSucceeded;
      const filter = this.subjects.phase(shard, "succeeded", undefined, queue);
      // Counting costs a consumer and a walk over the records: only where there may be too many.
      const total = state.messages <= most ? 0 : await countMessages(this.jsm, stream, filter);
      const first = total <= most ? undefined : await firstFrom(this.nc, stream, filter, 1);
      if (first === undefined) continue;
      const countFrom = (seq: number) => countMessages(this.jsm, stream, filter, seq);
      const end = await endOfSurplus({ first, last: state.last_seq, total, countFrom }, most);
      await this.#purgeRecords(shard, "succeeded", queue, tasks, end);
    }
  }

  /** A queue's own age for records, ms. */
  #keeps(queue: string, phase: RecordPhase): number | undefined {
    const settings = this.settingsOf(queue);
    const own =
      phase === "succeeded"
        ? settings?.keepSucceeded
        : phase === "failed"
          ? settings?.keepFailed
          : settings?.keepCancelled;
    return own === undefined || own === 0 ? undefined : Math.max(own, times.idempotencyWindow);
  }

  /** One at a time of each kind; a failure is told and the next round tries again. */
  async #once(name: string, work: () => Promise<void>): Promise<void> {
    if (this.#busy.has(name) || this.#stopped) return;
    this.#busy.add(name);
    try {
      await work();
    } catch (error) {
      if (!this.#stopped) this.log.warn({ error: String(error) }, `sweeping ${name} failed`);
    } finally {
      this.#busy.delete(name);
    }
  }
}

function isIdle(info: ConsumerInfo): boolean {
  return info.num_pending === 0 && info.num_ack_pending === 0 && info.num_redelivered === 0;
}

function defaultAge(phase: Phase): number {
  return phase === "failed"
    ? times.keepFailed
    : phase === "succeeded"
      ? times.keepSucceeded
      : times.keepCancelled;
}
