// What may happen to a job, as a table, and what it becomes, as one pure function over what an attempt's end makes of a
// job (attempt-ends.ts) and where a job can come to stand (standings.ts). Nothing here reads a clock or rolls dice; nothing
// here knows how a change is stored. Every change of every job in the broker goes through `advance`, so that two places
// can never treat the same end of an attempt differently.

import { cancelledRun, crash, fail, giveBack, plain, type Run, succeed } from "./attempt-ends.js";
import {
  AttemptOutcome,
  type Content,
  type Failure,
  FailureReason,
  type Hold,
  type Job,
  newJob,
  type Progress,
  type Spec,
  type Standing,
  type Stored,
  specOf,
  standingOf,
} from "./job.js";
import { counts } from "./limits.js";
import {
  blocked,
  type Circumstances,
  held,
  later,
  type Next,
  parked,
  ready,
  record,
  waiting,
} from "./standings.js";

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

/** Where a job waits. */
export type Place = Pick<Spec, "queue" | "priority">;

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

export function isAllowed(stored: Stored, event: Event["type"]): boolean {
  return transitions[event][standingOf(stored)] !== undefined;
}

/** What `event` makes of a job. Check isAllowed first: an event that the table does not allow is a bug and throws. */
export function advance(stored: Stored, event: Event, at: Circumstances): Next {
  const from = standingOf(stored);
  const allowed = transitions[event.type][from];
  if (allowed === undefined) throw new Error(`${event.type} is not allowed while ${from}`);
  const next = decide(stored, event, at);
  const to = standingOf({ phase: next.phase, job: next.job });
  if (!allowed.includes(to)) throw new Error(`${event.type} may not turn ${from} into ${to}`);
  return next;
}

function decide(stored: Stored, event: Event, at: Circumstances): Next {
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
      const next = record("cancelled", { ...job, attempt: job.attempt - 1, cancelReason: event.reason }, at);
      const deliverable = stored.phase === "ready" && next.phase !== "kept";
      return deliverable ? { ...next, tombstones: ["ready"] } : next;
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
      const next = event.blocked ? blocked(again) : ready(again);
      return { ...next, tombstones: [stored.phase] };
    }
  }
}

const expired = "the first run had not begun by start_by";

function alarm(stored: Stored, at: Circumstances): Next {
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

function reissue(job: Job, counted: boolean, at: Circumstances): Next {
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
): Next {
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

/** The same elsewhere. What lies at the old place would be found by nobody who looks after the new one: it is emptied. */
function movedTo(stored: Stored, to: Place): Next {
  const job = { ...stored.job, spec: { ...specOf(stored.job), ...to } };
  return { ...waitingAs(stored, job), tombstones: ["ready", "due"] };
}

function waitingAs(stored: Stored, job: Job): Next {
  switch (standingOf(stored)) {
    case "blocked":
      return stored.job.parked ? parked(job) : blocked(job);
    case "later":
      // Its time has come by the store's clock; before that it is not for ours to say so.
      if (stored.phase === "due") return ready(job);
      return later(job);
    default:
      return ready(job);
  }
}

/** A delay counts from here on; a time to run at may have passed. */
function unblocked(job: Job, at: Circumstances): Next {
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
