// Schedules whose firing failed. When the nats-server has no room for an alarm it gives that schedule up: it stays where
// it is, long due, until it is stored again or the server restarts. So once the store has room again, and a while after
// the start of a broker that may have missed such a time, what is overdue is stored as it was, and fires at once.

import { Refusal } from "../core/errors.js";
import { type Phase, type ScheduledPhase, type Stored, specOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import {
  type Clock,
  Conflict,
  type Jobs,
  type Journal,
  type ListPosition,
  type StorageGauge,
} from "./ports.js";
import type { Log } from "./telemetry.js";

const every = 5_000;
/** After a broker's start, ms. */
const first = 60_000;
/** A pass over very many schedules takes the server this long; what is later than that has been given up, ms. */
const givenUp = 120_000;
const page = 200;
/** Between pages, ms, and as many times what the page took: nobody waits for this, and everybody else waits behind it. */
const breath = 20;
const resting = 4;
const phases = ["later", "held-a", "held-b", "blocked"] as const satisfies readonly ScheduledPhase[];

export interface OverdueParts {
  jobs: Pick<Jobs, "list">;
  journal: Journal;
  clock: Clock;
  storage: StorageGauge;
  log: Log;
}

export class Overdue {
  readonly #timers: NodeJS.Timeout[] = [];
  #suspect = false;
  #busy = false;
  #stopped = false;

  constructor(
    readonly parts: OverdueParts,
    readonly lateBy = givenUp,
  ) {}

  start(): void {
    const suspect = () => {
      this.#suspect = true;
    };
    this.#timers.push(
      setInterval(() => void this.#look(), every).unref(),
      setTimeout(suspect, first).unref(),
    );
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** Stores again what should have fired long ago, and says how many. @throws Refusal when the store does not answer */
  async sweep(): Promise<number> {
    let again = 0;
    for (const phase of phases) {
      for (let from: ListPosition | undefined, more = true; more && !this.#stopped; ) {
        const began = this.parts.clock.now();
        const { jobs, next } = await this.parts.jobs.list(pageOf(phase, from));
        const rest = Math.max(breath, resting * (this.parts.clock.now() - began));
        const late = jobs.filter((stored) => this.parts.clock.now() - alarmOf(stored) > this.lateBy);
        again += (await Promise.all(late.map((stored) => this.#storeAgain(stored)))).filter(Boolean).length;
        from = next;
        more = next !== undefined;
        if (more) await new Promise((resolve) => setTimeout(resolve, rest));
      }
    }
    if (again > 0)
      this.parts.log.warn({ jobs: again }, "schedules that the nats-server had given up were set again");
    return again;
  }

  async #look(): Promise<void> {
    if (this.parts.storage.full) this.#suspect = true;
    else if (this.#suspect && !this.#busy) {
      this.#suspect = false;
      this.#busy = true;
      try {
        await this.sweep();
      } catch (error) {
        if (!this.#stopped)
          this.parts.log.warn({ error: String(error) }, "overdue schedules could not be looked for");
        this.#suspect = true;
      } finally {
        this.#busy = false;
      }
    }
  }

  /** The very same message: by revision and nonce nothing has happened to the job. False: it has moved on. */
  async #storeAgain(stored: Stored): Promise<boolean> {
    const { phase, job, rev, queue, priority, seq, nonce } = stored;
    const { task, key } = specOf(job);
    try {
      await this.parts.journal.commit({
        ref: { task, key },
        expected: seq,
        nonce,
        writes: [{ kind: "job", phase, job, rev, queue, priority, fireAt: alarmOf(stored), keepFor: 0 }],
      });
      return true;
    } catch (error) {
      if (error instanceof Conflict) return false;
      if (error instanceof Refusal) {
        this.parts.log.warn(
          { job: jobId({ task, key }), error: error.message },
          "an overdue schedule waits on",
        );
        this.#suspect = true;
        return false;
      }
      throw error;
    }
  }
}

function pageOf(phase: Phase, from: ListPosition | undefined) {
  return { phases: [phase], task: undefined, queue: undefined, limit: page, from };
}

/** When the store should have raised its alarm at the earliest; what cannot be read is left to people. */
function alarmOf({ phase, job }: Stored): number {
  if (job.corrupt.length > 0) return Number.POSITIVE_INFINITY;
  const at = phase === "later" ? job.dueAt : phase === "blocked" ? job.deadline : (job.hold?.leaseUntil ?? 0);
  return at > 0 ? at : Number.POSITIVE_INFINITY;
}
