// A lane that nobody uses any more costs the nats-server a consumer: after a day it goes, behind a mark that brokers see
// before it does, unless jobs will come back to it.

import { type ConsumerInfo, JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { Log } from "../app/telemetry.js";
import type { Phase } from "../core/job.js";
import type { StreamLane } from "./lane.js";
import { isIdle, type LaneSweeps } from "./lane-sweeps.js";
import type { StreamLanes } from "./lanes.js";
import { type Retention, recordPhases } from "./retention.js";
import { firstFrom } from "./seq-at.js";
import type { Subjects } from "./subjects.js";

export interface LaneRemovalRules {
  /** A lane that was not used for this long is removed, ms. */
  laneIdle: number;
  /** Between marking a lane and removing it, ms: longer than any broker may act on an old list. */
  laneMarked: number;
}

/** Whose jobs will need their lane again. */
const comingBack = ["held-a", "held-b", "later", "blocked", "due"] as const;

export interface LaneRemovalParts {
  nc: NatsConnection;
  jsm: JetStreamManager;
  subjects: Subjects;
  lanes: StreamLanes;
  sweeps: Pick<LaneSweeps, "sweepLane">;
  retention: Pick<Retention, "ownAge">;
  log: Log;
}

export class LaneRemoval {
  constructor(
    readonly parts: LaneRemovalParts,
    readonly rules: LaneRemovalRules,
  ) {}

  /** Marks the lanes that nothing was in for long enough, and removes those whose mark is old enough. */
  async removeIdleLanes(): Promise<void> {
    const now = Date.now();
    for (const lane of this.parts.lanes.all()) {
      try {
        await this.#removeIfIdle(lane, now);
      } catch (error) {
        // Its files are gone, or it went itself just now: the others are not to stay for that.
        if (!(error instanceof JetStreamApiError)) throw error;
        this.parts.log.warn({ ...lane.key, error: error.message }, "an idle lane could not be removed yet");
      }
    }
  }

  async #removeIfIdle(lane: StreamLane, now: number): Promise<void> {
    const { info } = lane;
    if (info === undefined || !isIdle(info)) return;
    const active = Date.parse(String(info.delivered.last_active ?? info.created));
    const marked = Number(info.config.metadata?.["drover-removing"] ?? 0);
    if (marked > 0 && now - marked >= this.rules.laneMarked) await this.#removeLane(lane);
    else if (marked === 0 && now - active >= this.rules.laneIdle && !(await this.#isNeeded(lane))) {
      await this.#markLane(lane, info, now);
    }
  }

  /** Whether jobs of its queue and task will come back to the lane, or records there are retained by its floor. */
  async #isNeeded({ key, shard }: StreamLane): Promise<boolean> {
    const own = recordPhases.filter((phase) => this.parts.retention.ownAge(key.queue, phase) !== undefined);
    for (const phase of new Set<Phase>([...comingBack, "failed", ...own])) {
      const filter = this.parts.subjects.phase(shard, phase, key.task, key.queue);
      if ((await firstFrom(this.parts.nc, this.parts.subjects.stream(shard), filter, 1)) !== undefined)
        return true;
    }
    return false;
  }

  async #markLane(lane: StreamLane, info: ConsumerInfo, now: number): Promise<void> {
    await this.parts.jsm.consumers.update(this.parts.subjects.stream(lane.shard), lane.name, {
      metadata: { ...info.config.metadata, "drover-removing": String(now) },
    });
  }

  async #removeLane(lane: StreamLane): Promise<void> {
    const stream = this.parts.subjects.stream(lane.shard);
    const info = await this.parts.jsm.consumers.info(stream, lane.name);
    // Somebody who needed it has taken the mark away, or it has a ticket after all.
    if (info.config.metadata?.["drover-removing"] === undefined || !isIdle(info)) return;
    if (await this.#isNeeded(lane)) return;
    await this.parts.sweeps.sweepLane(lane);
    await this.parts.jsm.consumers.delete(stream, lane.name);
    this.parts.lanes.forget(lane);
    this.parts.log.info({ ...lane.key }, "an idle lane was removed");
  }
}
