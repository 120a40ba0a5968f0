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
import { armedSchedule, type Next } from "../core/standings.js";
import { advance, type Event, isAllowed } from "../core/transitions.js";
import type { Agenda } from "./agenda.js";
import type { Hints } from "./hints.js";
import {
  type Change,
  type Clock,
  Conflict,
  type Jobs,
  type Journal,
  type Lanes,
  type Write,
} from "./ports.js";

const attempts = 12;
const none: readonly Write[] = [];
const created = { created: true } as const;

/** Whether a job was stored, or which one had its key. */
export type Created = { created: true } | { created: false; existing: Snapshot };

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
        const now = after(stored, next, seq, nonce);
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
          next.phase === "later" ? await this.#delayed(ref, next.job.dueAt, write) : await write(next.fireAt);
        const now = after(stored, next, seq, nonce);
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

  /** Stores a new job. Undefined: the task has a job of that key; it is returned instead.
   *  @throws Refusal as journal and lanes do */
  async create(
    spec: Spec,
    blocked = false,
    /** Of its unique key: when that cannot be had, Conflict is thrown. */
    claim?: Write,
  ): Promise<Created> {
    const lane = { task: spec.task, queue: spec.queue, priority: spec.priority };
    const waits = !blocked && spec.runAt > this.parts.clock.now();
    // Also for a job that waits: it will need its lane, and where there is no room for one its submitter has to know.
    if (!this.parts.lanes.has(lane)) await this.parts.lanes.ensure(lane);
    return this.#create(spec, blocked, waits, claim, 0);
  }

  /** `create` for thousands at a time: what is ready at once, and has its lane, is stored without a promise. Calls one of
   *  the two, once; they must not throw. */
  createNow(spec: Spec, done: (made: Created) => void, failed: (error: Error) => void): void {
    const lane = { task: spec.task, queue: spec.queue, priority: spec.priority };
    if (spec.runAt > this.parts.clock.now() || !this.parts.lanes.has(lane)) {
      this.create(spec).then(done, failed);
      return;
    }
    const ref = { task: spec.task, key: spec.key };
    const nonce = this.parts.journal.nonce();
    const { inline, body } = apart(spec);
    const job = newJob(inline, nonce);
    job.dueAt = 0;
    const { queue, priority } = spec;
    const writes: Write[] = [
      { kind: "job", phase: "ready", job, rev: 1, queue, priority, fireAt: 0, keepFor: 0 },
    ];
    if (body !== undefined) writes.push({ kind: "body", data: body });
    this.parts.journal.write(
      { ref, expected: 0, nonce, writes },
      () => {
        this.parts.lanes.filled(lane);
        this.parts.hints.created(jobId(ref));
        done(created);
      },
      (error) => {
        if (error instanceof Conflict) this.#createAgain(spec).then(done, failed);
        else failed(error);
      },
    );
  }

  async #createAgain(spec: Spec): Promise<Created> {
    const [existing] = await this.parts.jobs.read([spec]);
    if (existing?.current !== undefined) return { created: false, existing };
    return this.#create(spec, false, false, undefined, existing?.last ?? 0);
  }

  async #create(
    spec: Spec,
    blocked: boolean,
    waits: boolean,
    claim: Write | undefined,
    last: number,
  ): Promise<Created> {
    const ref = { task: spec.task, key: spec.key };
    const lane = { task: spec.task, queue: spec.queue, priority: spec.priority };
    let expected = last;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const nonce = this.parts.journal.nonce();
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
          return this.parts.journal.commit({ ref, expected, nonce, writes });
        };
        await (waits
          ? this.#delayed(ref, spec.runAt, store)
          : store(blocked ? spec.startBy || times.never : 0));
        if (!waits && !blocked) this.parts.lanes.filled(lane);
        this.parts.hints.created(jobId(ref));
        return created;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        const [existing] = await this.parts.jobs.read([ref]);
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

  /** Stores what waits for its time, and keeps it in mind where there is room. */
  async #delayed(ref: JobRef, dueAt: number, store: (fireAt: number) => Promise<number>): Promise<number> {
    if (!this.parts.agenda.book(dueAt, this.parts.clock.now())) return store(dueAt);
    try {
      const seq = await store(netUnder(dueAt));
      this.parts.agenda.keep({ dueAt, ref });
      return seq;
    } catch (error) {
      this.parts.agenda.release();
      throw error;
    }
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

function changeOf(
  ref: JobRef,
  from: Stored,
  last: number,
  next: Next,
  nonce: string,
  extra: readonly Write[],
): Change {
  const { queue, priority } = specOf(next.job);
  const armed = armedSchedule(from);
  const writes: Write[] = [];
  for (const phase of next.tombstones) {
    writes.push({ kind: "tombstone", phase, queue: from.queue, priority: from.priority });
  }
  writes.push({
    kind: "job",
    phase: next.phase,
    job: next.job,
    rev: from.rev + 1,
    queue,
    priority,
    fireAt: next.fireAt,
    keepFor: next.keepFor,
    purges:
      armed === undefined
        ? undefined
        : { phase: armed, queue: from.queue, priority: from.priority, nonce: from.nonce },
  });
  writes.push(...endOfMember(next), ...endOfClaim(next), ...placeInLine(from, next.job));
  if (next.body !== undefined) writes.push({ kind: "body", data: next.body });
  writes.push(...extra);
  return { ref, expected: last, nonce, writes };
}

function after(before: Stored, next: Next, seq: number, nonce: string): Stored {
  const { queue, priority } = specOf(next.job);
  return { phase: next.phase, queue, priority, rev: before.rev + 1, seq, nonce, job: next.job };
}

/** With the record of a flow's member goes what moves the flow on, in one step. */
function endOfMember({ phase, job, result }: Next): readonly Write[] {
  const { spec } = job;
  if (spec?.flow === undefined || job.finishedAt === 0) return none;
  const { flow, member, run } = spec.flow;
  const { failure } = job;
  const outcome = phase === "kept" ? job.outcome : phase;
  return [{ kind: "flow-end", flow, member, end: { jobId: jobId(spec), outcome, result, failure, run } }];
}

/** A unique key without a period is free when its job has ended. */
function endOfClaim({ job }: Next): readonly Write[] {
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
