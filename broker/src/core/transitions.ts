// What may happen to a job, as a table, and what it becomes, as one pure function. Nothing here reads a clock or rolls
// dice; nothing here knows how a change is stored. Every change of every job in the broker goes through `advance`, so
// that two places can never treat the same end of an attempt differently.

import {
  type Attempt,
  AttemptOutcome,
  type Content,
  type Failure,
  FailureReason,
  type Hold,
  type Job,
  newJob,
  type Phase,
  type Progress,
  type ScheduledPhase,
  type Spec,
  type Stored,
  specOf,
} from "./job.js";
import { counts, flowLimits, sizes, times } from "./limits.js";
import { backoff } from "./retry.js";
import { cutEnd, cutMiddle } from "./text.js";

/** Where a job stands. An alarm (`due`) stands where the schedule stood that fired; a `kept` record as it ended. */
export type Standing = "ready" | "held" | "later" | "blocked" | "succeeded" | "failed" | "cancelled";

export type Event =
  /** A lease of its own for the run: the first after 10 s, at an attach, or a heartbeat. */
  | { type: "hold"; hold: Hold; progress?: Progress | undefined }
  /** The holder is asked to end the run: written as a lease, so that it survives the broker. */
  | { type: "requestCancel"; hold: Hold; reason: string }
  | { type: "succeed"; run: Run; result: Content | undefined }
  | { type: "fail"; run: Run; failure: Failure; retryAfter?: number | undefined }
  /** The worker or the broker of the run is gone. */
  | { type: "lose"; run: Run }
  | { type: "release"; run: Run }
  | { type: "snooze"; run: Run; delay: number }
  /** The worker ended the run because of a cancel request, or did not answer one in time. */
  | { type: "endCancelled"; run: Run }
  /** Somebody cancels a job that waits. */
  | { type: "cancel"; reason: string }
  /** A schedule fired: the lease, the wait or the deadline is over. */
  | { type: "alarm" }
  /** A broker that kept a delay in mind ends it at its time, before the schedule does. */
  | { type: "promote" }
  /** Its ticket was delivered but never reached a worker; `counted` = JetStream redelivered it. */
  | { type: "reissue"; counted: boolean }
  /** The first run had not begun by start_by. */
  | { type: "expire" }
  | { type: "redrive" }
  /** A later submit under its key replaces a job that is debounced and still waits. */
  | { type: "replace"; spec: Spec; body: Uint8Array | undefined }
  /** Its concurrency key has no place for it; and has one. */
  | { type: "park" }
  | { type: "admit" }
  /** Somebody puts it into another queue, or under another priority. */
  | { type: "move"; to: Place }
  /** A member of a flow: all that it waited for has ended. `run`: the flow's; it may have been redriven meanwhile. */
  | { type: "unblock"; run: number }
  /** A member of a flow that is redriven; `blocked` = it waits for others that run again. */
  | { type: "rejoin"; run: number; blocked: boolean };

/** Who ran the attempt that ends. A held job says so itself; of a short run only its holder knows. */
export interface Run {
  worker: string;
  startedAt: number;
}

/** Where a job waits. */
export type Place = Pick<Spec, "queue" | "priority">;

export interface Circumstances {
  /** The nats-server's time, ms. */
  now: number;
  /** Yields [0, 1). */
  random: () => number;
  /** Of the commit that will write the change. */
  nonce: string;
}

/** A job's next message. */
export interface Move {
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

/** Which standings each event may meet, and what it may lead to. The whole of the state machine. */
export const transitions: {
  readonly [E in Event["type"]]: { readonly [S in Standing]?: readonly Standing[] };
} = {
  hold: { ready: ["held"], held: ["held"] },
  requestCancel: { ready: ["held"], held: ["held"] },
  succeed: { ready: ["succeeded", "failed"], held: ["succeeded", "failed"] },
  fail: { ready: ["later", "ready", "failed", "cancelled"], held: ["later", "ready", "failed", "cancelled"] },
  lose: { ready: ["ready", "failed", "cancelled"], held: ["ready", "failed", "cancelled"] },
  release: { ready: ["ready", "cancelled"], held: ["ready", "cancelled"] },
  snooze: { ready: ["later", "ready", "cancelled"], held: ["later", "ready", "cancelled"] },
  endCancelled: { ready: ["cancelled"], held: ["cancelled"] },
  cancel: { ready: ["cancelled"], later: ["cancelled"], blocked: ["cancelled"] },
  alarm: { held: ["ready", "failed", "cancelled"], later: ["ready"], blocked: ["failed"] },
  promote: { later: ["ready"] },
  reissue: { ready: ["ready", "failed"] },
  expire: { ready: ["failed"] },
  redrive: { failed: ["ready"] },
  replace: { later: ["later", "ready"] },
  park: { ready: ["blocked"] },
  admit: { blocked: ["ready"] },
  move: { ready: ["ready"], later: ["later", "ready"], blocked: ["blocked"] },
  unblock: { blocked: ["ready", "later"] },
  rejoin: { failed: ["ready", "blocked"], cancelled: ["ready", "blocked"] },
};

export function standingOf(stored: Pick<Stored, "phase" | "firedFrom" | "job">): Standing {
  const phase = stored.phase === "due" ? (stored.firedFrom ?? "later") : stored.phase;
  switch (phase) {
    case "held-a":
    case "held-b":
      return "held";
    case "kept":
      return stored.job.outcome === "failed"
        ? "failed"
        : stored.job.outcome === "cancelled"
          ? "cancelled"
          : "succeeded";
    default:
      return phase;
  }
}

export function isAllowed(stored: Stored, event: Event["type"]): boolean {
  return transitions[event][standingOf(stored)] !== undefined;
}

/** What `event` makes of a job. Check isAllowed first: an event that the table does not allow is a bug and throws. */
export function advance(stored: Stored, event: Event, at: Circumstances): Move {
  const from = standingOf(stored);
  const allowed = transitions[event.type][from];
  if (allowed === undefined) throw new Error(`${event.type} is not allowed while ${from}`);
  const move = decide(stored, event, at);
  const to = standingOf({ phase: move.phase, job: move.job });
  if (!allowed.includes(to)) throw new Error(`${event.type} may not turn ${from} into ${to}`);
  return move;
}

/** The schedule that a next message has to purge along with being written, if one is set. */
export function armedSchedule(stored: Stored): ScheduledPhase | undefined {
  const { phase } = stored;
  return phase === "held-a" || phase === "held-b" || phase === "later" || phase === "blocked"
    ? phase
    : undefined;
}

function decide(stored: Stored, event: Event, at: Circumstances): Move {
  const { job } = stored;
  switch (event.type) {
    case "hold":
      return held(stored, { ...job, hold: event.hold, progress: event.progress ?? job.progress });
    case "requestCancel":
      return held(stored, {
        ...job,
        hold: event.hold,
        cancelRequestedAt: job.cancelRequestedAt || at.now,
        cancelReason: job.cancelReason || event.reason,
      });
    case "succeed":
      return succeed(job, event, at);
    case "fail":
      return fail(job, event, at);
    case "lose":
      return crash(job, event.run, at);
    case "release":
      return giveBack(job, event.run, AttemptOutcome.RELEASED, 0, at);
    case "snooze":
      return giveBack(job, event.run, AttemptOutcome.SNOOZED, event.delay, at);
    case "endCancelled":
      return cancelledRun(job, event.run, at);
    case "cancel": {
      const move = record("cancelled", { ...job, attempt: job.attempt - 1, cancelReason: event.reason }, at);
      const deliverable = stored.phase === "ready" && move.phase !== "kept";
      return deliverable ? { ...move, tombstones: ["ready"] } : move;
    }
    case "alarm":
      return alarm(stored, at);
    case "promote":
      if (at.now < job.dueAt) throw new Error(`promoted ${job.dueAt - at.now} ms early`);
      return ready(job);
    case "reissue":
      return reissue(job, event.counted, at);
    case "expire":
      return record("failed", { ...job, attempt: 0, failure: plain(FailureReason.EXPIRED, expired) }, at);
    case "redrive":
      return { ...ready(redriven(job)), tombstones: [stored.phase] };
    case "replace":
      return replaced(job, event, at);
    case "park":
      return parked(job);
    case "admit":
      return ready({ ...job, deadline: 0 });
    case "move":
      return movedTo(stored, event.to);
    case "unblock":
      return unblocked(ofRun(job, event.run), at);
    case "rejoin": {
      const again = ofRun(redriven(job), event.run);
      const move = event.blocked ? blocked(again) : ready(again);
      return { ...move, tombstones: [stored.phase] };
    }
  }
}

const expired = "the first run had not begun by start_by";

function succeed(job: Job, event: { run: Run; result: Content | undefined }, at: Circumstances): Move {
  const { result, run } = event;
  if (result !== undefined && result.data.length > sizes.result) {
    const failure = plain(
      FailureReason.RESULT_TOO_LARGE,
      `the result has ${result.data.length} bytes, the limit is ${sizes.result}: store it elsewhere and return a reference`,
    );
    return record("failed", { ...ended(job, run, AttemptOutcome.FAILED, at, failure), failure }, at);
  }
  const done = ended(job, run, AttemptOutcome.SUCCEEDED, at);
  return { ...record("succeeded", specOf(job).retention === 0 ? done : { ...done, result }, at), result };
}

function fail(
  job: Job,
  event: { run: Run; failure: Failure; retryAfter?: number | undefined },
  at: Circumstances,
): Move {
  const failures = job.failures + 1;
  const policy = retryOf(job);
  const failure = bounded(event.failure);
  const next: Job = {
    ...ended(job, event.run, AttemptOutcome.FAILED, at, failure),
    failures,
    failure,
  };
  if (failure.reason === FailureReason.PERMANENT || failures >= policy.maxAttempts) {
    return record("failed", next, at);
  }
  if (job.cancelRequestedAt > 0) return record("cancelled", next, at);
  const wait = event.retryAfter ?? backoff(policy, failures, at.random);
  return waiting({ ...next, attempt: job.attempt + 1 }, wait, at);
}

function crash(job: Job, run: Run, at: Circumstances): Move {
  const crashes = job.crashes + 1;
  const next: Job = { ...ended(job, run, AttemptOutcome.CRASHED, at), crashes };
  if (job.cancelRequestedAt > 0) return record("cancelled", next, at);
  const { maxCrashes } = retryOf(job);
  if (crashes > maxCrashes) {
    const failure =
      maxCrashes === 0
        ? plain(FailureReason.LOST, "the run ended without a report and the job is run at most once")
        : plain(FailureReason.CRASHED, `${crashes} runs ended without a report, the limit is ${maxCrashes}`);
    return record("failed", { ...next, failure }, at);
  }
  return ready({ ...next, attempt: job.attempt + 1 });
}

function giveBack(job: Job, run: Run, outcome: AttemptOutcome, delay: number, at: Circumstances): Move {
  const next = ended(job, run, outcome, at);
  if (job.cancelRequestedAt > 0) return record("cancelled", next, at);
  return waiting({ ...next, attempt: job.attempt + 1 }, delay, at);
}

function cancelledRun(job: Job, run: Run, at: Circumstances): Move {
  return record("cancelled", ended(job, run, AttemptOutcome.CANCELLED, at), at);
}

function alarm(stored: Stored, at: Circumstances): Move {
  const { job } = stored;
  switch (standingOf(stored)) {
    case "held":
      return crash(job, { worker: job.hold?.worker ?? "", startedAt: job.hold?.startedAt ?? 0 }, at);
    case "blocked":
      return record(
        "failed",
        {
          ...job,
          attempt: job.attempt - 1,
          failure:
            specOf(job).startBy > 0
              ? plain(FailureReason.EXPIRED, expired)
              : plain(FailureReason.DEADLINE, "blocked until its deadline"),
        },
        at,
      );
    default:
      return ready(job);
  }
}

function reissue(job: Job, counted: boolean, at: Circumstances): Move {
  const redeliveries = job.redeliveries + (counted ? 1 : 0);
  if (redeliveries > counts.redeliveries) {
    const failure = plain(
      FailureReason.UNDELIVERABLE,
      `delivered ${redeliveries} times without reaching a worker`,
    );
    return record("failed", { ...job, attempt: job.attempt - 1, redeliveries, failure }, at);
  }
  return ready({ ...job, redeliveries });
}

/** Fresh counters; the history stays, so that people see what had been tried. Whoever redrives a job that came too late
 *  to start wants it run all the same. */
function redriven(job: Job): Job {
  return {
    ...job,
    spec: { ...specOf(job), startBy: 0 },
    result: undefined,
    failure: undefined,
    attempt: job.attempt + 1,
    failures: 0,
    crashes: 0,
    redeliveries: 0,
    dueAt: 0,
    finishedAt: 0,
    outcome: "",
    cancelRequestedAt: 0,
    cancelReason: "",
  };
}

/** The later submit in place of the earlier, whose time of submit stays: the longest wait counts from it. */
function replaced(
  job: Job,
  { spec, body }: { spec: Spec; body: Uint8Array | undefined },
  at: Circumstances,
): Move {
  const { submittedAt } = specOf(job);
  const { debounce } = spec;
  const latest =
    debounce !== undefined && debounce.latest > 0 ? submittedAt + debounce.latest - spec.submittedAt : 0;
  const runAt = latest > 0 ? Math.min(spec.runAt, latest) : spec.runAt;
  const next = { ...spec, submittedAt, runAt, debounce: debounce && { ...debounce, latest } };
  return { ...waiting(newJob(next, at.nonce), runAt - at.now, at), body };
}

/** Whether a later submit may take a job's place: it is debounced, and has never run. */
export function isReplaceable(stored: Stored): boolean {
  const { job } = stored;
  const fresh = job.history.length === 0 && job.failures === 0 && job.crashes === 0 && job.attempt === 1;
  return standingOf(stored) === "later" && fresh && specOf(job).debounce !== undefined;
}

function ready(job: Job): Move {
  return { phase: "ready", job: atRest(job), fireAt: 0, keepFor: 0, tombstones: [] };
}

function waiting(job: Job, delay: number, at: Circumstances): Move {
  if (delay <= 0) return ready({ ...job, dueAt: 0 });
  const dueAt = at.now + delay;
  return { phase: "later", job: { ...atRest(job), dueAt }, fireAt: dueAt, keepFor: 0, tombstones: [] };
}

/** What a blocked job waits for may never come: then its start_by ends it, and without one the end of time. */
export function blocked(job: Job): Move {
  const deadline = specOf(job).startBy;
  return {
    phase: "blocked",
    job: { ...atRest(job), deadline },
    fireAt: deadline || times.never,
    keepFor: 0,
    tombstones: [],
  };
}

/** The same elsewhere. What lies at the old place would be found by nobody who looks after the new one: it is emptied. */
function movedTo(stored: Stored, to: Place): Move {
  const job = { ...stored.job, spec: { ...specOf(stored.job), ...to } };
  return { ...waitingAs(stored, job), tombstones: ["ready", "due"] };
}

function waitingAs(stored: Stored, job: Job): Move {
  switch (standingOf(stored)) {
    case "blocked":
      return stored.job.parked ? parked(job) : blocked(job);
    case "later":
      // Its time has come by the store's clock; before that it is not for ours to say so.
      if (stored.phase === "due") return ready(job);
      return { phase: "later", job: atRest(job), fireAt: job.dueAt, keepFor: 0, tombstones: [] };
    default:
      return ready(job);
  }
}

/** Blocked for want of a place: until its start_by, if it has never run. */
function parked(job: Job): Move {
  const move = blocked(job);
  const deadline = job.history.length === 0 ? move.job.deadline : 0;
  return { ...move, job: { ...move.job, parked: true, deadline }, fireAt: deadline || times.never };
}

/** A delay counts from here on; a time to run at may have passed. */
function unblocked(job: Job, at: Circumstances): Move {
  const { runAt, flow } = specOf(job);
  return waiting(
    { ...job, deadline: 0 },
    flow !== undefined && flow.delay > 0 ? flow.delay : runAt - at.now,
    at,
  );
}

function ofRun(job: Job, run: number): Job {
  const spec = specOf(job);
  return { ...job, spec: { ...spec, flow: spec.flow && { ...spec.flow, run } } };
}

/** Without what only a run needs. */
function atRest(job: Job): Job {
  return job.hold === undefined && job.progress === undefined && !job.parked
    ? job
    : { ...job, hold: undefined, progress: undefined, parked: false };
}

/** The next lease goes to the other of the two subjects, so that a ghost firing of the first cannot overwrite it. */
function held(stored: Stored, job: Job): Move {
  const onA = stored.phase === "held-a" || (stored.phase === "due" && stored.firedFrom === "held-a");
  return {
    phase: onA ? "held-b" : "held-a",
    job,
    fireAt: job.hold?.leaseUntil ?? 0,
    keepFor: 0,
    tombstones: [],
  };
}

/** The record of a job that has ended. A failed one says why, and keeps its payload for a redrive; what failed before a
 *  job ended otherwise stands in its history. */
function record(phase: "succeeded" | "failed" | "cancelled", job: Job, at: Circumstances): Move {
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
      ...atRest(job),
      spec: kept,
      failure: phase === "failed" ? job.failure : undefined,
      finishedAt: at.now,
      outcome: own ? phase : "",
    },
    fireAt: 0,
    keepFor: own ? Math.max(retention, times.idempotencyWindow) : 0,
    // The nats-server lets it go when its time is over, swept or not: nothing older of the job may be left by then, or it
    // would be the job's state again and run once more.
    tombstones: own ? ["ready", "due"] : [],
  };
}

/** A unique key that outlives its job is answered with the job's record: it has to be there for as long. */
function uniqueFor({ unique }: Spec, usual: number, at: Circumstances): number {
  const left = (unique?.until ?? 0) - at.now;
  return left > usual ? left : 0;
}

function ended(
  job: Job,
  run: Run,
  outcome: AttemptOutcome,
  at: Circumstances,
  failure: Failure | undefined = undefined,
): Job {
  const attempt: Attempt = {
    number: job.attempt,
    worker: job.hold?.worker ?? run.worker,
    startedAt: job.hold?.startedAt ?? run.startedAt,
    endedAt: at.now,
    outcome,
    nonce: at.nonce,
    failure,
  };
  return { ...job, history: [...job.history.slice(-(sizes.history - 1)), attempt] };
}

function retryOf(job: Job) {
  const { retry } = specOf(job);
  if (retry === undefined) throw new Error("a stored job has no retry policy");
  return retry;
}

function plain(reason: FailureReason, message: string): Failure {
  return { reason, type: "", message, stack: "" };
}

function bounded(failure: Failure): Failure {
  return {
    reason: failure.reason,
    type: cutEnd(failure.type, sizes.errorType),
    message: cutEnd(failure.message, sizes.errorMessage),
    stack: cutMiddle(failure.stack, sizes.stack),
  };
}
