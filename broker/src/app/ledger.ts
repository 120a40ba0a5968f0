// Changing a job: work out what the event makes of it, store that with a compare-and-set, and when somebody else was
// there first, read and judge again. Every change of a job that is there goes through `change`; new ones are taken in by
// `intake.ts`.

import { jobNotFound, Refusal } from "../core/errors.js";
import { hasEnded, type JobRef, type Stored, specOf, stateOf, unreadable } from "../core/job.js";
import { jobId } from "../core/names.js";
import { isSameState } from "../core/snapshot.js";
import type { Next } from "../core/standings.js";
import { advance, type Event, isAllowed } from "../core/transitions.js";
import type { Agenda } from "./agenda.js";
import { changeOf, storedAfter } from "./change-writes.js";
import type { Hints } from "./hints.js";
import { type Clock, Conflict, type Jobs, type Journal, type Lanes, type Write } from "./ports.js";

const attempts = 12;
const none: readonly Write[] = [];

/** A job's state as somebody knows it, with the value for the compare-and-set. */
export interface Known {
  stored: Stored;
  /** The highest sequence of the job's messages. */
  last: number;
}

/** Judges whether the event may still happen to a job that has moved on. Returns the refusal if not. */
export type Fence = (current: Stored, moved: boolean) => Refusal | undefined;

export interface Changed extends Known {
  /** What it was made from. */
  before: Stored;
  next: Next;
}

export interface LedgerParts {
  journal: Journal;
  jobs: Jobs;
  lanes: Pick<Lanes, "has" | "ensure" | "filled">;
  clock: Clock;
  hints: Hints;
  agenda: Agenda;
}

export class Ledger {
  /** Hears of every change of a job that has a concurrency key. */
  keyed: ((changed: Changed) => void) | undefined;

  constructor(
    readonly parts: LedgerParts,
    readonly random: () => number = Math.random,
  ) {}

  /** Applies `event` to a job. `known` saves the read when it is what the caller acts on.
   *  @throws Refusal whatever the fence says; JOB_NOT_FOUND; LEASE_LOST when the table does not allow the event */
  async change(
    ref: JobRef,
    known: Known | undefined,
    event: Event,
    fence: Fence,
    /** What goes with it. */
    extra: readonly Write[] = none,
  ): Promise<Changed> {
    return this.#change(ref, known ?? (await this.#read(ref)), known === undefined, event, fence, extra);
  }

  /** `change` for thousands at a time. What takes one write and nothing else, as nearly all ends of attempts do, is done
   *  without a promise. Calls one of the two, once; they must not throw. */
  changeKnown(
    ref: JobRef,
    known: Known,
    event: Event,
    fence: Fence,
    changed: (changed: Changed) => void,
    failed: (error: Error) => void,
  ): void {
    const { stored, last } = known;
    const nonce = this.parts.journal.nonce();
    const next = isAllowed(stored, event.type)
      ? advance(stored, event, { now: this.parts.clock.now(), random: this.random, nonce })
      : undefined;
    // It may need a lane, or a place among what is kept in mind.
    if (next === undefined || next.phase === "ready" || next.phase === "later") {
      this.change(ref, known, event, fence).then(changed, failed);
      return;
    }
    this.parts.journal.write(
      changeOf(ref, stored, last, next, nonce, none),
      (seq) => {
        const now = storedAfter(stored, next, seq, nonce);
        this.parts.hints.changed(jobId(ref), now);
        changed(this.#told({ before: stored, stored: now, last: seq, next }));
      },
      (error) => {
        if (error instanceof Conflict) this.#changeAgain(ref, stored, event, fence).then(changed, failed);
        else failed(error);
      },
    );
  }

  async #changeAgain(ref: JobRef, before: Stored, event: Event, fence: Fence): Promise<Changed> {
    const current = await this.#read(ref);
    return this.#change(ref, current, !isSameState(current.stored, before), event, fence, none);
  }

  async #change(
    ref: JobRef,
    known: Known,
    isMoved: boolean,
    event: Event,
    fence: Fence,
    extra: readonly Write[],
  ): Promise<Changed> {
    let { stored, last } = known;
    let moved = isMoved;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const refusal = moved ? fence(stored, true) : undefined;
      if (refusal !== undefined) throw refusal;
      if (!isAllowed(stored, event.type)) {
        throw fence(stored, true) ?? new Refusal("LEASE_LOST", `${jobId(ref)} has moved on`);
      }
      const nonce = this.parts.journal.nonce();
      const next = advance(stored, event, { now: this.parts.clock.now(), random: this.random, nonce });
      try {
        await this.#ensureLane(ref, next);
        const write = (fireAt: number) =>
          this.parts.journal.commit(changeOf(ref, stored, last, { ...next, fireAt }, nonce, extra));
        const seq =
          next.phase === "later"
            ? await this.parts.agenda.store({ dueAt: next.job.dueAt, ref }, this.parts.clock.now(), write)
            : await write(next.fireAt);
        const now = storedAfter(stored, next, seq, nonce);
        this.parts.hints.changed(jobId(ref), now);
        return this.#told({ before: stored, stored: now, last: seq, next });
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        const current = await this.#read(ref);
        // The same state at another sequence is a ghost: a schedule that fired meanwhile. It changes nothing.
        moved = !isSameState(current.stored, stored);
        stored = current.stored;
        last = current.last;
      }
    }
    throw new Refusal("STORE_UNAVAILABLE", `${jobId(ref)} is being changed by many at once`, {
      retryAfter: 200,
    });
  }

  #told(changed: Changed): Changed {
    if (changed.next.job.spec?.concurrencyKey) this.keyed?.(changed);
    return changed;
  }

  /** Records a job whose message cannot be read as failed, with the bytes. @throws Refusal */
  async bury(ref: JobRef, buried: Stored): Promise<void> {
    const [snapshot] = await this.parts.jobs.read([ref]);
    // A later message that can be read is the job; the unreadable one is a leftover.
    if (snapshot?.current !== undefined && snapshot.current.seq !== buried.seq) return;
    const nonce = this.parts.journal.nonce();
    await this.parts.journal.commit({
      ref,
      expected: snapshot?.last ?? buried.seq,
      nonce,
      writes: [
        {
          kind: "job",
          phase: "failed",
          job: { ...buried.job, attempt: 0, failure: unreadable, finishedAt: this.parts.clock.now() },
          rev: buried.rev + 1,
          queue: buried.queue,
          priority: buried.priority,
          fireAt: 0,
          keepFor: 0,
          purges: undefined,
        },
      ],
    });
    this.parts.hints.changed(jobId(ref));
  }

  /** Leaves nothing of a job that has ended: its key is free again. @throws Refusal JOB_NOT_FOUND, STORE_UNAVAILABLE */
  async forget(ref: JobRef): Promise<void> {
    const { stored, last } = await this.#read(ref);
    if (!hasEnded(stateOf(stored))) throw new Refusal("LEASE_LOST", `${jobId(ref)} has moved on`);
    const { phase, queue, priority } = stored;
    try {
      const nonce = this.parts.journal.nonce();
      await this.parts.journal.commit({
        ref,
        expected: last,
        nonce,
        writes: [{ kind: "tombstone", phase, queue, priority }],
      });
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      throw new Refusal("LEASE_LOST", `${jobId(ref)} has moved on`);
    }
    this.parts.hints.changed(jobId(ref));
  }

  async #read(ref: JobRef): Promise<Known> {
    const [snapshot] = await this.parts.jobs.read([ref]);
    if (snapshot?.current === undefined) throw jobNotFound(jobId(ref));
    return { stored: snapshot.current, last: snapshot.last };
  }

  async #ensureLane({ task }: JobRef, { phase, job }: Next): Promise<void> {
    if (phase !== "ready") return;
    const { queue, priority } = specOf(job);
    const lane = { task, queue, priority };
    if (!this.parts.lanes.has(lane)) await this.parts.lanes.ensure(lane);
  }
}
