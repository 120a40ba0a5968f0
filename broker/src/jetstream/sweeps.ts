// Space, always in bulk: what is swept, retained and removed, and how often. One failed round is told of, and the next
// tries again.

import type { Log } from "../app/telemetry.js";
import { LaneRemoval, type LaneRemovalRules } from "./lane-removal.js";
import { type LaneSweepRules, LaneSweeps, type LaneSweepsParts } from "./lane-sweeps.js";
import { Retention, type RetentionParts } from "./retention.js";

export interface SweepRules extends LaneSweepRules, LaneRemovalRules {
  /** ms between two looks for lanes with many acked tickets; the others have their turn at every fifth. */
  every: number;
  /** ms between two looks for records that are over their queue's age or number. */
  retentionEvery: number;
}

export const sweepRules: SweepRules = {
  every: 1_000,
  acks: 5_000,
  worthwhile: 1_000,
  lanesAtOnce: 2,
  lanesPerRound: 8,
  share: 0.25,
  retentionEvery: 15_000,
  laneIdle: 24 * 60 * 60 * 1_000,
  laneMarked: 60_000,
};

const idleLanesEvery = 60_000;

export interface SweepsParts extends LaneSweepsParts, RetentionParts {
  log: Log;
}

export class Sweeps {
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #busy = new Set<string>();
  readonly #laneSweeps: LaneSweeps;
  readonly #retention: Retention;
  readonly #removal: LaneRemoval;
  #stopped = false;

  constructor(
    readonly parts: SweepsParts,
    readonly rules: SweepRules = sweepRules,
  ) {
    const sweeps = new LaneSweeps(parts, rules);
    const retention = new Retention(parts);
    this.#laneSweeps = sweeps;
    this.#retention = retention;
    this.#removal = new LaneRemoval({ ...parts, sweeps, retention }, rules);
  }

  start(): void {
    const each = (ms: number, name: string, work: () => Promise<void>) => {
      this.#timers.push(setInterval(() => void this.#once(name, work), ms));
    };
    const lanes = this.#laneSweeps;
    each(this.rules.every, "lanes", () => lanes.sweepBusyLanes());
    each(this.rules.every * 5, "floors", () =>
      lanes.sweepRound((lane) => lanes.isLaden(lane) || lanes.isInUse(lane)),
    );
    each(this.rules.retentionEvery, "retention", () => this.retain());
    each(idleLanesEvery, "idle lanes", () => this.removeIdleLanes());
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** All lanes and the alarms. */
  sweepAll(): Promise<void> {
    return this.#laneSweeps.sweepAll();
  }

  /** Removes records that are over their queue's age or number. */
  async retain(): Promise<void> {
    await this.parts.lanes.refresh();
    await this.#laneSweeps.sweepRound((lane) => this.#laneSweeps.isLaden(lane));
    for (let shard = 0; shard < this.parts.subjects.shards; shard++) {
      await this.#retention.retain(shard, await this.#laneSweeps.floors(shard));
    }
  }

  removeIdleLanes(): Promise<void> {
    return this.#removal.removeIdleLanes();
  }

  /** One at a time of each kind. */
  async #once(name: string, work: () => Promise<void>): Promise<void> {
    if (this.#busy.has(name) || this.#stopped) return;
    this.#busy.add(name);
    try {
      await work();
    } catch (error) {
      if (!this.#stopped) this.parts.log.warn({ error: String(error) }, `sweeping ${name} failed`);
    } finally {
      this.#busy.delete(name);
    }
  }
}
