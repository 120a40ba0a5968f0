// The message that puts a job where it is to stand: what the job keeps of itself there, when it raises its alarm, and what
// of it has to go. Which event leads where is no matter of this file.

import {
  type Content,
  type Job,
  type Phase,
  type ScheduledPhase,
  type Spec,
  type Stored,
  specOf,
} from "./job.js";
import { flowLimits, times } from "./limits.js";

/** The schedule that a next message has to purge along with being written, if one is set. */
export function armedSchedule(stored: Stored): ScheduledPhase | undefined {
  const { phase } = stored;
  return phase === "held-a" || phase === "held-b" || phase === "later" || phase === "blocked"
    ? phase
    : undefined;
}

export interface Circumstances {
  /** The nats-server's time, ms. */
  now: number;
  /** Yields [0, 1). */
  random: () => number;
  /** Of the commit that will write the change. */
  nonce: string;
}

/** A job's next message. */
export interface Next {
  phase: Phase;
  job: Job;
  /** When the nats-server raises its alarm, ms; 0 = it does not. */
  fireAt: number;
  /** How long the message itself is kept, ms; 0 = by bulk retention. */
  keepFor: number;
  /** Phases of older messages of the job that must be emptied by the same commit. */
  tombstones: readonly Phase[];
  /** The payload, where it lies beside the job and is new. */
  body?: Uint8Array | undefined;
  /** What the run came to, also where the job's record is not to keep it: a flow hands it on all the same. */
  result?: Content | undefined;
}

const none: readonly Phase[] = [];
/** Of a record that the nats-server lets go by itself: nothing older of the job may be left by then, or it would be the
 *  job's state again and run once more. */
const waitedBefore: readonly Phase[] = ["ready", "due"];

export function ready(job: Job): Next {
  return { phase: "ready", job: atRest(job), fireAt: 0, keepFor: 0, tombstones: none };
}

/** Until its `dueAt`. */
export function later(job: Job): Next {
  return { phase: "later", job: atRest(job), fireAt: job.dueAt, keepFor: 0, tombstones: none };
}

/** For `delay` ms from now on; without one it is ready at once. */
export function waiting(job: Job, delay: number, at: Circumstances): Next {
  return delay <= 0 ? ready({ ...job, dueAt: 0 }) : later({ ...job, dueAt: at.now + delay });
}

/** What a blocked job waits for may never come: then its start_by ends it, and without one the end of time. */
export function blocked(job: Job): Next {
  const deadline = specOf(job).startBy;
  return {
    phase: "blocked",
    job: { ...atRest(job), deadline },
    fireAt: deadline || times.never,
    keepFor: 0,
    tombstones: none,
  };
}

/** Blocked for want of a place: until its start_by, if it has never run. */
export function parked(job: Job): Next {
  const next = blocked(job);
  const deadline = job.history.length === 0 ? next.job.deadline : 0;
  return { ...next, job: { ...next.job, parked: true, deadline }, fireAt: deadline || times.never };
}

/** The next lease goes to the other of the two subjects, so that a ghost firing of the first cannot overwrite it. */
export function held(stored: Stored, job: Job): Next {
  const onA = stored.phase === "held-a" || (stored.phase === "due" && stored.firedFrom === "held-a");
  return {
    phase: onA ? "held-b" : "held-a",
    job,
    fireAt: job.hold?.leaseUntil ?? 0,
    keepFor: 0,
    tombstones: none,
  };
}

/** The record of a job that has ended. A failed one says why, and keeps its payload for a redrive; what failed before a
 *  job ended otherwise stands in its history. */
export function record(
  phase: "succeeded" | "failed" | "cancelled",
  job: Job,
  at: Circumstances,
  result?: Content | undefined,
): Next {
  const spec = specOf(job);
  // A cancelled member runs again when its flow is redriven.
  const again = phase === "cancelled" && spec.flow !== undefined;
  const kept = phase === "failed" || again ? spec : { ...spec, payload: undefined };
  const retention = Math.max(
    spec.retention ?? 0,
    again ? flowLimits.keepFailed : 0,
    uniqueFor(spec, phase === "failed" ? times.keepFailed : times.keepSucceeded, at),
  );
  const own = retention > 0;
  return {
    phase: own ? "kept" : phase,
    job: {
      ...job,
      hold: undefined,
      progress: undefined,
      parked: false,
      spec: kept,
      result: spec.retention === 0 ? undefined : result,
      failure: phase === "failed" ? job.failure : undefined,
      finishedAt: at.now,
      outcome: own ? phase : "",
    },
    fireAt: 0,
    keepFor: own ? Math.max(retention, times.idempotencyWindow) : 0,
    tombstones: own ? waitedBefore : none,
    body: undefined,
    result,
  };
}

/** A unique key that outlives its job is answered with the job's record: it has to be there for as long. */
function uniqueFor({ unique }: Spec, usual: number, at: Circumstances): number {
  const left = (unique?.until ?? 0) - at.now;
  return left > usual ? left : 0;
}

/** Without what only a run needs. */
function atRest(job: Job): Job {
  return job.hold === undefined && job.progress === undefined && !job.parked
    ? job
    : { ...job, hold: undefined, progress: undefined, parked: false };
}
