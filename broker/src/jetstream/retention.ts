// Records go by age and by number, in bulk, but never beyond the first ticket that still lies in a lane of their queue and
// task: while an older ticket of a job lies somewhere, its record is what says that the ticket means nothing. One lane
// that nobody serves holds back its own task's records only, not those of the whole queue.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { Clock } from "../app/ports.js";
import type { QueueSettings } from "../app/queue-ports.js";
import type { Telemetry } from "../app/telemetry.js";
import { counts, times } from "../core/limits.js";
import type { Floors } from "./lane-sweeps.js";
import { purgeBelow } from "./purge.js";
import { countMessages } from "./queue-store.js";
import { firstFrom, seqAt } from "./seq-at.js";
import type { Subjects } from "./subjects.js";
import { endOfSurplus } from "./surplus.js";

/** What bulk retention applies to. */
export const recordPhases = ["succeeded", "failed", "cancelled"] as const;
type RecordPhase = (typeof recordPhases)[number];

export interface RetentionParts {
  nc: NatsConnection;
  jsm: JetStreamManager;
  subjects: Subjects;
  settingsOf: (queue: string) => QueueSettings | undefined;
  clock: Clock;
  telemetry: Pick<Telemetry, "sweep">;
}

export class Retention {
  constructor(readonly parts: RetentionParts) {}

  /** Removes a shard's records that are over their queue's age or number, as far as the floors let it. */
  async retain(shard: number, floors: Floors): Promise<void> {
    for (const phase of recordPhases) await this.#retainPhase(shard, phase, floors);
  }

  /** A queue's own age for records, ms. */
  ownAge(queue: string, phase: RecordPhase): number | undefined {
    const settings = this.parts.settingsOf(queue);
    const own =
      phase === "succeeded"
        ? settings?.keepSucceeded
        : phase === "failed"
          ? settings?.keepFailed
          : settings?.keepCancelled;
    return own === undefined || own === 0 ? undefined : Math.max(own, times.idempotencyWindow);
  }

  async #retainPhase(shard: number, phase: RecordPhase, floors: Floors): Promise<void> {
    const stream = this.parts.subjects.stream(shard);
    const seqOf = (age: number) =>
      seqAt(this.parts.nc, stream, this.parts.subjects.all(shard), this.parts.clock.now() - age);
    const plain = await seqOf(defaultAge(phase));
    const special = [...floors.queues].some(
      ([queue, tasks]) => this.ownAge(queue, phase) !== undefined || Math.min(...tasks.values()) < plain - 1,
    );
    if (!special) {
      const below = Math.min(plain, floors.due + 1);
      this.parts.telemetry.sweep(
        phase,
        await purgeBelow(this.parts.jsm, stream, this.parts.subjects.phase(shard, phase), below),
      );
    } else {
      for (const [queue, tasks] of floors.queues) {
        const own = this.ownAge(queue, phase);
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
    const stream = this.parts.subjects.stream(shard);
    const purge = async (task: string | undefined, below: number) => {
      const filter = this.parts.subjects.phase(shard, phase, task, queue);
      this.parts.telemetry.sweep(phase, await purgeBelow(this.parts.jsm, stream, filter, below));
    };
    const lowest = Math.min(...tasks.values());
    await purge(undefined, Math.min(seq, lowest + 1));
    for (const [task, floor] of tasks) {
      if (floor > lowest && lowest + 1 < seq) await purge(task, Math.min(seq, floor + 1));
    }
  }

  /** Too many records: the oldest of them go. */
  async #retainCount(shard: number, floors: Floors): Promise<void> {
    const stream = this.parts.subjects.stream(shard);
    const { state } = await this.parts.jsm.streams.info(stream);
    for (const [queue, tasks] of floors.queues) {
      const most = this.parts.settingsOf(queue)?.keepSucceededCount || counts.keepSucceeded;
      const filter = this.parts.subjects.phase(shard, "succeeded", undefined, queue);
      // Counting costs a consumer and a walk over the records: only where there may be too many.
      const total = state.messages <= most ? 0 : await countMessages(this.parts.jsm, stream, filter);
      const first = total <= most ? undefined : await firstFrom(this.parts.nc, stream, filter, 1);
      if (first === undefined) continue;
      const countFrom = (seq: number) => countMessages(this.parts.jsm, stream, filter, seq);
      const end = await endOfSurplus({ first, last: state.last_seq, total, countFrom }, most);
      await this.#purgeRecords(shard, "succeeded", queue, tasks, end);
    }
  }
}

function defaultAge(phase: RecordPhase): number {
  return phase === "failed"
    ? times.keepFailed
    : phase === "succeeded"
      ? times.keepSucceeded
      : times.keepCancelled;
}
