// What the end of an attempt makes of its job: one more line of history, and an outcome, another attempt, or a wait before
// it. A cancel that was asked for meanwhile takes the place of another attempt, and of an end that nobody reported.

import {
  type Attempt,
  AttemptOutcome,
  type Content,
  type Failure,
  FailureReason,
  type Job,
  specOf,
} from "./job.js";
import { sizes } from "./limits.js";
import { backoff } from "./retry.js";
import { type Circumstances, type Next, ready, record, waiting } from "./standings.js";
import { cutEnd, cutMiddle } from "./text.js";

/** Who ran the attempt that ends. A held job says so itself; of a short run only its holder knows. */
export interface Run {
  worker: string;
  startedAt: number;
}

export function succeed(job: Job, event: { run: Run; result: Content | undefined }, at: Circumstances): Next {
  const { result, run } = event;
  if (result !== undefined && result.data.length > sizes.result) {
    const failure = plain(
      FailureReason.RESULT_TOO_LARGE,
      `the result has ${result.data.length} bytes, the limit is ${sizes.result}: store it elsewhere and return a reference`,
    );
    return record("failed", { ...ended(job, run, AttemptOutcome.FAILED, at, failure), failure }, at);
  }
  return record("succeeded", ended(job, run, AttemptOutcome.SUCCEEDED, at), at, result);
}

export function fail(
  job: Job,
  event: { run: Run; failure: Failure; retryAfter?: number | undefined },
  at: Circumstances,
): Next {
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

export function crash(job: Job, run: Run, at: Circumstances): Next {
  const crashes = job.crashes + 1;
  const next: Job = { ...ended(job, run, AttemptOutcome.CRASHED, at), crashes };
  if (job.cancelRequestedAt > 0) return record("cancelled", next, at);
  const { maxCrashes } = retryOf(job);
  if (crashes > maxCrashes) {
    const worker = job.hold?.worker || run.worker;
    const who = worker === "" ? "its worker" : `worker ${worker}`;
    const how = `the process of ${who} ended, or was heard of no more, before it reported`;
    const failure =
      maxCrashes === 0
        ? plain(FailureReason.LOST, `${how}; the job is run at most once`)
        : plain(FailureReason.CRASHED, `${how}: ${crashes} runs ended like that, the limit is ${maxCrashes}`);
    return record("failed", { ...next, failure }, at);
  }
  return ready({ ...next, attempt: job.attempt + 1 });
}

export function giveBack(
  job: Job,
  run: Run,
  outcome: AttemptOutcome,
  delay: number,
  at: Circumstances,
): Next {
  const next = ended(job, run, outcome, at);
  if (job.cancelRequestedAt > 0) return record("cancelled", next, at);
  return waiting({ ...next, attempt: job.attempt + 1 }, delay, at);
}

export function cancelledRun(job: Job, run: Run, at: Circumstances): Next {
  return record("cancelled", ended(job, run, AttemptOutcome.CANCELLED, at), at);
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
  const before = job.history.length < sizes.history ? job.history : job.history.slice(1 - sizes.history);
  return { ...job, history: [...before, attempt] };
}

function retryOf(job: Job) {
  const { retry } = specOf(job);
  if (retry === undefined) throw new Error("a stored job has no retry policy");
  return retry;
}

export function plain(reason: FailureReason, message: string): Failure {
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
