// Watches every change that a store accepts, and says when one should not have been: what brokers promise about a job,
// whatever happened to them.

import type { Change, Write } from "../../../broker/src/app/ports.js";
import {
  type Attempt,
  AttemptOutcome,
  FailureReason,
  type Job,
  type JobRef,
  type Phase,
  specOf,
} from "../../../broker/src/core/job.js";
import { sizes, times } from "../../../broker/src/core/limits.js";
import { jobId } from "../../../broker/src/core/names.js";
import type { ModelStore } from "./store.js";

/** A job from its submit until its record is gone. */
interface Life {
  serial: number;
  ref: JobRef;
  phase: Phase;
  rev: number;
  /** Of its latest message. */
  seq: number;
  fireAt: number;
  dueAt: number;
  /** Whose lease it is, while it is one's or can be. */
  origin: number | undefined;
  /** Number of the last attempt that ended. */
  attempts: number;
  /** Since the submit or the last redrive, as counted here. */
  failures: number;
  crashes: number;
  ended: "" | "succeeded" | "failed" | "cancelled";
}

type Counters = Pick<Life, "attempts" | "failures" | "crashes">;
type JobWrite = Extract<Write, { kind: "job" }>;

export class JobWitness {
  readonly broken: string[] = [];
  /** What was made of what: `due held-a -> ready`. */
  readonly seen = new Set<string>();
  readonly #lives = new Map<string, Life>();
  /** Whose life a ticket belongs to. */
  readonly #born = new Map<number, number>();
  readonly #granted = new Set<string>();
  readonly #reported = new Set<string>();
  #serial = 0;

  constructor(
    readonly store: ModelStore,
    readonly now: () => number,
  ) {}

  /** What has been submitted and not ended, or ended and not aged out. */
  jobs(): { ref: JobRef; ended: string }[] {
    return [...this.#lives.values()];
  }

  committed(change: Change, seq: number): void {
    const write = change.writes.find((w): w is JobWrite => w.kind === "job");
    if (write === undefined) return;
    const id = jobId(change.ref);
    const life = this.#lives.get(id);
    this.seen.add(`${wasIn(life, write)} -> ${endOf(write.phase, write.job) || write.phase}`);
    if (write.rev === 1) {
      if (life !== undefined) this.#say(id, "was made a second time");
      const born = { serial: ++this.#serial, ref: change.ref, attempts: 0, failures: 0, crashes: 0 };
      this.#lives.set(id, this.#next(born, write, seq));
    } else if (life === undefined) {
      this.#say(id, "was changed and is not there");
    } else {
      const counted = countedAfter(life, change, write);
      this.#judge(id, life, change, write, counted);
      this.#lives.set(id, this.#next({ ...life, ...counted }, write, seq));
    }
  }

  /** A lease reached a worker. */
  granted(lease: {
    ref: JobRef;
    origin: number;
    attempt: number;
    redelivered: boolean;
    atMostOnce: boolean;
  }): void {
    const id = jobId(lease.ref);
    const start = `${this.#born.get(lease.origin)} ${lease.attempt}`;
    if (lease.atMostOnce && this.#granted.has(start)) this.#say(id, `began attempt ${lease.attempt} twice`);
    // Somebody else may run it: only a new ticket fences that run off.
    if (lease.redelivered) this.#say(id, "runs on a ticket that somebody else was given before");
    this.#granted.add(start);
  }

  /** A ticket is about to run unread. */
  trusted(ref: JobRef, rev: number | undefined): void {
    const life = this.#lives.get(jobId(ref));
    if (rev !== undefined && rev !== life?.rev) this.#say(jobId(ref), `would run unread at revision ${rev}`);
  }

  /** A worker was told that its report is recorded. */
  told(token: string): void {
    if (!this.#reported.has(token)) this.#say(token, "was told to be recorded and is not");
  }

  /** After every step: what is stored is what happened, and leads on. */
  look(): void {
    const { store } = this;
    for (const [id, life] of this.#lives) {
      const { current } = store.read(life.ref);
      if (life.ended !== "" && !store.has(life.seq)) {
        if (current !== undefined) this.#say(id, `has lost its record and is ${current.phase} again`);
        this.#lives.delete(id);
      } else if (current?.rev !== life.rev) {
        this.#say(id, `is ${life.phase} ${life.rev} and reads as ${current?.phase} ${current?.rev}`);
      } else if (current.phase === "ready" && !store.tickets.comes(current.seq)) {
        this.#say(id, "waits with a ticket that nobody is given any more");
      } else if (current.phase === "due" && !store.alarms.comes(current.seq)) {
        this.#say(id, "waits for an alarm that nobody hears any more");
      }
    }
  }

  #judge(id: string, life: Life, change: Change, write: JobWrite, counted: Counters): void {
    const { job, phase, rev } = write;
    const spec = specOf(job);
    if (rev !== life.rev + 1) this.#say(id, `went from revision ${life.rev} to ${rev}`);
    if (life.ended !== "" && !(life.ended === "failed" && phase === "ready")) {
      this.#say(id, `had ${life.ended} and became ${phase}`);
    }
    if (job.hold !== undefined && job.hold.origin !== life.origin) {
      this.#say(id, `is held from ${job.hold.origin}, its ticket was ${life.origin}`);
    }
    const waited = life.phase === "later" && phase === "ready";
    if (waited && this.now() < life.dueAt) this.#say(id, "was due early");
    const { maxAttempts, maxCrashes } = spec.retry ?? { maxAttempts: 0, maxCrashes: 0 };
    const over = endOf(phase, job) === "" ? 0 : 1;
    if (job.failures > maxAttempts - 1 + over) this.#say(id, `failed ${job.failures} times`);
    if (job.crashes > maxCrashes + over) this.#say(id, `crashed ${job.crashes} times`);
    if (job.history.length > sizes.history) this.#say(id, "remembers too much");
    const attempt = job.history.at(-1);
    const ends = attempt?.nonce === change.nonce;
    if (ends && attempt.number !== life.attempts + 1) {
      this.#say(id, `ended attempt ${attempt.number} after ${life.attempts}`);
    }
    const { attempts, failures, crashes } = counted;
    if (job.attempt !== attempts + 1 - over) this.#say(id, `is at attempt ${job.attempt} after ${attempts}`);
    if (job.failures !== failures || job.crashes !== crashes) {
      this.#say(
        id,
        `failed ${failures} times and crashed ${crashes}, and says ${job.failures} and ${job.crashes}`,
      );
    }
    if (ends) this.#reportedBy(id, life, job, attempt);
  }

  /** Reports of workers say in their result or message which lease they come from. */
  #reportedBy(id: string, life: Life, job: Job, { outcome, failure }: Attempt): void {
    const failed = outcome === AttemptOutcome.FAILED && failure?.reason !== FailureReason.TIME_LIMIT;
    const result = outcome === AttemptOutcome.SUCCEEDED ? job.result : undefined;
    const token = failed ? failure?.message : result && new TextDecoder().decode(result.data);
    // A run that the broker ended by itself, or one given back.
    if (token === undefined) return;
    this.#reported.add(token);
    const origin = Number(token.split(".")[1]);
    if (origin !== life.origin) this.#say(id, `took a report of ${origin}, its ticket was ${life.origin}`);
  }

  #next(
    before: Pick<Life, "serial" | "ref"> & Counters & { origin?: number | undefined },
    { phase, rev, fireAt, job }: JobWrite,
    seq: number,
  ): Life {
    const origin = phase === "ready" ? seq : job.hold === undefined ? undefined : before.origin;
    if (phase === "ready") this.#born.set(seq, before.serial);
    const { dueAt } = job;
    if (phase === "later" && (fireAt < dueAt || fireAt > dueAt + times.net)) {
      this.#say(jobId(before.ref), `is due at ${dueAt} and its alarm at ${fireAt}`);
    }
    return { ...before, phase, rev, seq, fireAt, dueAt, origin, ended: endOf(phase, job) };
  }

  #say(id: string, what: string): void {
    this.broken.push(`${id} ${what}`);
  }
}

function countedAfter(life: Life, change: Change, { job, phase }: JobWrite): Counters {
  if (life.ended !== "" && phase === "ready") return { attempts: life.attempts, failures: 0, crashes: 0 };
  const attempt = job.history.at(-1);
  const { attempts, failures, crashes } = life;
  if (attempt?.nonce !== change.nonce) return { attempts, failures, crashes };
  return {
    attempts: attempts + 1,
    failures: failures + (attempt.outcome === AttemptOutcome.FAILED ? 1 : 0),
    crashes: crashes + (attempt.outcome === AttemptOutcome.CRASHED ? 1 : 0),
  };
}

function endOf(phase: Phase, job: Job): Life["ended"] {
  if (phase === "kept") return job.outcome as Life["ended"];
  return phase === "succeeded" || phase === "failed" || phase === "cancelled" ? phase : "";
}

function wasIn(life: Life | undefined, { purges }: JobWrite): string {
  if (life === undefined) return "nothing";
  const fired = life.fireAt > 0 && purges === undefined;
  return fired ? `due ${life.phase}` : life.ended || life.phase;
}
