// Changing a job: work out what the event makes of it, store that with a compare-and-set, and when somebody else was
// there first, read and judge again. Every change but a submit goes through `change`.

import { jobNotFound, Refusal } from "../core/errors.js";
import {
  hasEnded,
  type Job,
  type JobRef,
  newJob,
  type Snapshot,
  type Spec,
  type Stored,
  specOf,
  stateOf,
  unreadable,
} from "../core/job.js";
import { sizes, times } from "../core/limits.js";
import { jobId } from "../core/names.js";
import { netUnder } from "../core/promotion.js";
import { isSameState } from "../core/snapshot.js";
import { advance, armedSchedule, type Event, isAllowed, type Move } from "../core/transitions.js";
import type { Agenda } from "./agenda.js";
import type { Hints } from "./hints.js";
import {
  type Change,
  type Clock,
  Conflict,
  type Jobs,
  type Journal,
  type LaneKey,
  type Lanes,
  type Write,
} from "./ports.js";
import type { Line } from "./telemetry.js";

const attempts = 12;
const none: readonly Write[] = [];

/** A job's state as somebody knows it, with the value for the compare-and-set. */
export interface Known {
  stored: Stored;
  last: number;
}

/** Judges whether the event may still happen to a job that has moved on. Returns the refusal if not. */
export type Fence = (current: Stored, moved: boolean) => Refusal | undefined;

export interface Changed extends Known {
  /** What it was made from. */
  before: Stored;
  move: Move;
}

export class Ledger {
  /** Hears of every change of a job that has a concurrency key. */
  keyed: ((changed: Changed) => void) | undefined;

  constructor(
    readonly journal: Journal,
    readonly jobs: Jobs,
    readonly lanes: Pick<Lanes, "has" | "ensure" | "filled">,
    readonly clock: Clock,
    readonly hints: Hints,
    readonly agenda: Agenda,
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
    let { stored, last } = known ?? (await this.#read(ref));
    let moved = known === undefined;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const refusal = moved ? fence(stored, true) : undefined;
      if (refusal !== undefined) throw refusal;
      if (!isAllowed(stored, event.type)) {
        throw fence(stored, true) ?? new Refusal("LEASE_LOST", `${jobId(ref)} has moved on`);
      }
      const nonce = this.journal.nonce();
      const move = advance(stored, event, { now: this.clock.now(), random: this.random, nonce });
      try {
        const write = (fireAt: number) => this.#write(ref, stored, last, { ...move, fireAt }, nonce, extra);
        const seq =
          move.phase === "later" ? await this.#delayed(ref, move.job.dueAt, write) : await write(move.fireAt);
        const now = after(stored, move, seq, nonce);
        this.hints.changed(jobId(ref), now);
        const changed = { before: stored, stored: now, last: seq, move };
        if (move.job.spec?.concurrencyKey) this.keyed?.(changed);
        return changed;
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

  /** Stores a new job. Undefined: the task has a job of that key; it is returned instead.
   *  @throws Refusal as journal and lanes do */
  async create(
    spec: Spec,
    blocked = false,
    /** Of its unique key: when that cannot be had, Conflict is thrown. */
    claim?: Write,
  ): Promise<{ created: true } | { created: false; existing: Snapshot }> {
    const ref = { task: spec.task, key: spec.key };
    const lane = { task: spec.task, queue: spec.queue, priority: spec.priority };
    const waits = !blocked && spec.runAt > this.clock.now();
    // Also for a job that waits: it will need its lane, and where there is no room for one its submitter has to know.
    if (!this.lanes.has(lane)) await this.lanes.ensure(lane);
    let expected = 0;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const nonce = this.journal.nonce();
      const { inline, body } = apart(spec);
      const job = newJob(inline, nonce);
      const write: Write = {
        kind: "job",
        phase: blocked ? "blocked" : waits ? "later" : "ready",
        job: waits ? job : { ...job, dueAt: 0, deadline: blocked ? spec.startBy : 0 },
        rev: 1,
        queue: spec.queue,
        priority: spec.priority,
        fireAt: 0,
        keepFor: 0,
      };
      try {
        const store = (fireAt: number) => {
          const first: Write = { ...write, fireAt };
          const writes: Write[] = body === undefined ? [first] : [first, { kind: "body", data: body }];
          if (claim !== undefined) writes.push(claim);
          return this.journal.commit({ ref, expected, nonce, writes });
        };
        await (waits
          ? this.#delayed(ref, spec.runAt, store)
          : store(blocked ? spec.startBy || times.never : 0));
        if (!waits && !blocked) this.lanes.filled(lane);
        this.hints.created(jobId(ref));
        return { created: true };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        const [existing] = await this.jobs.read([ref]);
        if (existing?.current !== undefined) return { created: false, existing };
        if (claim !== undefined && expected === (existing?.last ?? 0)) throw error;
        // What is there are tombstones: of a job that has aged out, or nothing at all any more.
        expected = existing?.last ?? 0;
      }
    }
    throw new Refusal("STORE_UNAVAILABLE", `${jobId(ref)} is being changed by many at once`, {
      retryAfter: 200,
    });
  }

  /** Records a job whose message cannot be read as failed, with the bytes. @throws Refusal */
  async bury(ref: JobRef, buried: Stored): Promise<void> {
    const [snapshot] = await this.jobs.read([ref]);
    // A later message that can be read is the job; the unreadable one is a leftover.
    if (snapshot?.current !== undefined && snapshot.current.seq !== buried.seq) return;
    const nonce = this.journal.nonce();
    await this.journal.commit({
      ref,
      expected: snapshot?.last ?? buried.seq,
      nonce,
      writes: [
        {
          kind: "job",
          phase: "failed",
          job: { ...buried.job, attempt: 0, failure: unreadable, finishedAt: this.clock.now() },
          rev: buried.rev + 1,
          queue: buried.queue,
          priority: buried.priority,
          fireAt: 0,
          keepFor: 0,
          purges: undefined,
        },
      ],
    });
    this.hints.changed(jobId(ref));
  }

  /** Leaves nothing of a job that has ended: its key is free again. @throws Refusal JOB_NOT_FOUND, STORE_UNAVAILABLE */
  async forget(ref: JobRef): Promise<void> {
    const { stored, last } = await this.#read(ref);
    if (!hasEnded(stateOf(stored))) throw new Refusal("LEASE_LOST", `${jobId(ref)} has moved on`);
    const { phase, queue, priority } = stored;
    try {
      const nonce = this.journal.nonce();
      await this.journal.commit({
        ref,
        expected: last,
        nonce,
        writes: [{ kind: "tombstone", phase, queue, priority }],
      });
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      throw new Refusal("LEASE_LOST", `${jobId(ref)} has moved on`);
    }
    this.hints.changed(jobId(ref));
  }

  /** Stores what waits for its time, and keeps it in mind where there is room. */
  async #delayed(ref: JobRef, dueAt: number, store: (fireAt: number) => Promise<number>): Promise<number> {
    if (!this.agenda.book(dueAt, this.clock.now())) return store(dueAt);
    try {
      const seq = await store(netUnder(dueAt));
      this.agenda.keep({ dueAt, ref });
      return seq;
    } catch (error) {
      this.agenda.release();
      throw error;
    }
  }

  async #read(ref: JobRef): Promise<Known> {
    const [snapshot] = await this.jobs.read([ref]);
    if (snapshot?.current === undefined) throw jobNotFound(jobId(ref));
    return { stored: snapshot.current, last: snapshot.last };
  }

  async #write(
    ref: JobRef,
    from: Stored,
    last: number,
    move: Move,
    nonce: string,
    extra: readonly Write[],
  ): Promise<number> {
    const { queue, priority } = specOf(move.job);
    if (move.phase === "ready") {
      const lane = { task: ref.task, queue, priority };
      if (!this.lanes.has(lane)) await this.lanes.ensure(lane);
    }
    const armed = armedSchedule(from);
    const change: Change = {
      ref,
      expected: last,
      nonce,
      writes: [
        ...move.tombstones.map(
          (phase): Write => ({ kind: "tombstone", phase, queue: from.queue, priority: from.priority }),
        ),
        {
          kind: "job",
          phase: move.phase,
          job: move.job,
          rev: from.rev + 1,
          queue,
          priority,
          fireAt: move.fireAt,
          keepFor: move.keepFor,
          purges:
            armed === undefined
              ? undefined
              : { phase: armed, queue: from.queue, priority: from.priority, nonce: from.nonce },
        },
        ...endOfMember(move),
        ...endOfClaim(move),
        ...placeInLine(from, move.job),
        ...(move.body === undefined ? none : [{ kind: "body" as const, data: move.body }]),
        ...extra,
      ],
    };
    return this.journal.commit(change);
  }
}

/** What a lane is counted under. */
export function lineBy(lane: LaneKey): Line {
  return { task: lane.task, queue: lane.queue };
}

function after(before: Stored, move: Move, seq: number, nonce: string): Stored {
  const { queue, priority } = specOf(move.job);
  return { phase: move.phase, queue, priority, rev: before.rev + 1, seq, nonce, job: move.job };
}

/** With the record of a flow's member goes what moves the flow on, in one step. */
function endOfMember({ phase, job, result }: Move): Write[] {
  const { spec } = job;
  if (spec?.flow === undefined || job.finishedAt === 0) return [];
  const { flow, member, run } = spec.flow;
  const { failure } = job;
  const outcome = phase === "kept" ? job.outcome : phase;
  return [{ kind: "flow-end", flow, member, end: { jobId: jobId(spec), outcome, result, failure, run } }];
}

/** A unique key without a period is free when its job has ended. */
function endOfClaim({ job }: Move): readonly Write[] {
  const unique = job.spec?.unique;
  if (unique === undefined || unique.until > 0 || job.finishedAt === 0) return none;
  return [{ kind: "claim", key: unique.key, holder: undefined, expected: undefined, keepFor: 0 }];
}

/** A parked job is found by its concurrency key for as long as it is one. */
function placeInLine(from: Stored, job: Job): readonly Write[] {
  if (!from.job.parked && !job.parked) return none;
  const at = (present: boolean, queue: string, priority: number): Write => {
    return { kind: "parked", key: specOf(job).concurrencyKey, queue, priority, present };
  };
  const { queue, priority } = specOf(job);
  const writes = job.parked ? [at(true, queue, priority)] : [];
  if (from.job.parked && (!job.parked || from.priority !== priority)) {
    writes.push(at(false, from.queue, from.priority));
  }
  return writes;
}

/** A large payload lies beside its job, so that heartbeats and retries do not write it again. */
export function apart(spec: Spec): { inline: Spec; body: Uint8Array | undefined } {
  const { payload } = spec;
  if (payload === undefined || payload.data.length <= sizes.inlinePayload) {
    return { inline: spec, body: undefined };
  }
  const reference = { data: new Uint8Array(0), type: payload.type, externalSize: payload.data.length };
  return { inline: { ...spec, payload: reference }, body: payload.data };
}
