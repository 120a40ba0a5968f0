// Ends delays at their time: what is due is read, many jobs at once, and made ready by compare-and-set like everything
// else, so that somebody who cancelled or changed a job meanwhile is never overruled. Rounds of up to a thousand jobs,
// two at a time: one is read while the other is written.

import type { Due } from "../core/due-heap.js";
import { Refusal } from "../core/errors.js";
import { type Snapshot, specOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import { verdictOn } from "../core/promotion.js";
import type { Agenda } from "./agenda.js";
import { isPassing, unmoved } from "./fences.js";
import type { Ledger } from "./ledger.js";
import type { Jobs, SureClock } from "./ports.js";
import { lineOf } from "./settling.js";
import type { Log, Telemetry } from "./telemetry.js";

const most = 1_000;
const roundsAtOnce = 2;
/** What becomes due within this goes together, ms. */
const gathering = 5;
/** Until the next round after one that the store did not answer, ms. */
const pause = 250;
/** The longest a timer is set for, ms: they count in 32 bits. */
const longestSleep = 60 * 60 * 1_000;

export interface PromoterParts {
  agenda: Agenda;
  ledger: Ledger;
  jobs: Pick<Jobs, "read">;
  clock: SureClock;
  telemetry: Telemetry;
  log: Log;
}

export class Promoter {
  #timer: NodeJS.Timeout | undefined;
  #wakesAt = Number.POSITIVE_INFINITY;
  #earliest = 0;
  #rounds = 0;
  #stopped = false;

  constructor(readonly parts: PromoterParts) {}

  start(): void {
    this.parts.agenda.onSooner(() => this.#plan());
    this.#plan();
  }

  /** What is still in mind is left to the store. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Makes ready what is due by now. Never rejects. */
  async round(): Promise<void> {
    const now = this.parts.clock.reached();
    const due = this.parts.agenda.take(now, most).filter(({ dueAt }) => verdictOn(dueAt, now) === "promote");
    if (due.length === 0) return;
    try {
      const snapshots = await this.parts.jobs.read(due.map(({ ref }) => ref));
      const undone = await Promise.all(due.map((each, i) => this.#promote(each, snapshots[i])));
      if (undone.includes(true)) this.#putBack(due.filter((_, i) => undone[i] === true));
    } catch (error) {
      this.parts.log.warn({ jobs: due.length, error: String(error) }, "due jobs could not be looked up yet");
      this.#putBack(due);
    }
  }

  /** True when it has to be tried again. */
  async #promote({ ref, dueAt }: Due, snapshot: Snapshot | undefined): Promise<boolean> {
    const current = snapshot?.current;
    // Another delay of the job is kept in mind for itself; what cannot be read any more is buried by its alarm.
    if (current?.phase !== "later" || current.job.dueAt !== dueAt) return false;
    const late = (this.parts.clock.reached() - dueAt) / 1_000;
    try {
      const known = { stored: current, last: snapshot?.last ?? current.seq };
      const changed = await this.parts.ledger.change(ref, known, { type: "promote" }, unmoved);
      this.parts.telemetry.promoted(lineOf(changed), "broker", late);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (isPassing(error)) return true;
      // It has moved on, or has no lane; then the store's alarm is looked into again and again until there is one.
      if (error.reason === "TOO_MANY_LANES") {
        const { queue } = specOf(current.job);
        this.parts.log.error({ job: jobId(ref), queue }, `a due job has no lane: ${error.message}`);
      }
    }
    return false;
  }

  #putBack(due: readonly Due[]): void {
    this.#earliest = this.parts.clock.reached() + pause;
    this.parts.agenda.again(due);
  }

  #plan(): void {
    const { next } = this.parts.agenda;
    if (this.#stopped || next === undefined || this.#rounds >= roundsAtOnce) return;
    const wakesAt = Math.max(next, this.#earliest);
    if (wakesAt >= this.#wakesAt) return;
    clearTimeout(this.#timer);
    this.#wakesAt = wakesAt;
    // A millisecond more: the clock counts in whole ones, and stays behind the store's.
    const sleep = Math.max(0, wakesAt - this.parts.clock.reached()) + 1;
    this.#timer = setTimeout(() => this.#wake(), Math.min(sleep, longestSleep));
    this.#timer.unref();
  }

  #wake(): void {
    this.#wakesAt = Number.POSITIVE_INFINITY;
    this.#earliest = this.parts.clock.reached() + gathering;
    this.#rounds += 1;
    void this.round().finally(() => {
      this.#rounds -= 1;
      this.#plan();
    });
    this.#plan();
  }
}
