// Jobs: wire <-> domain.

import {
  type Job,
  type JobSpec,
  JobState,
  type Payload,
  type Attempt as WireAttempt,
  type AttemptOutcome as WireAttemptOutcome,
  type Failure as WireFailure,
  type FailureReason as WireFailureReason,
  type Progress as WireProgress,
  type RetryPolicy as WireRetryPolicy,
} from "@drover/proto/v1";
import type { JobView } from "../app/api.js";
import type { Checks } from "../core/check.js";
import {
  type Attempt,
  type Content,
  type Failure,
  hasEnded,
  type Progress,
  type RetryPolicy,
  type State,
} from "../core/job.js";
import { sizes } from "../core/limits.js";
import type { Draft } from "../core/spec.js";
import { fromDuration, fromTimestamp, toDuration, toDurationOrUnset, toTimestampOrUnset } from "./time.js";

const wireStates: Readonly<Record<State, JobState>> = {
  SCHEDULED: JobState.JOB_STATE_SCHEDULED,
  BLOCKED: JobState.JOB_STATE_BLOCKED,
  READY: JobState.JOB_STATE_READY,
  RUNNING: JobState.JOB_STATE_RUNNING,
  RETRYING: JobState.JOB_STATE_RETRYING,
  SUCCEEDED: JobState.JOB_STATE_SUCCEEDED,
  FAILED: JobState.JOB_STATE_FAILED,
  CANCELLED: JobState.JOB_STATE_CANCELLED,
};
const states = new Map(Object.entries(wireStates).map(([state, wire]) => [wire, state as State]));

export function toWireState(state: State): JobState {
  return wireStates[state];
}

/** Undefined when unset; a number that stands for no state is a violation. */
export function fromWireState(checks: Checks, field: string, state: JobState): State | undefined {
  if (state === JobState.JOB_STATE_UNSPECIFIED) return undefined;
  const known = states.get(state);
  if (known === undefined) checks.add(field, `${state} is no JobState: leave it unset for every state`);
  return known;
}

/** What was asked for, unchecked: core/spec.ts judges it. */
export function toDraft(job: JobSpec): Draft {
  return {
    task: job.task,
    key: job.key,
    queue: job.queue,
    priority: job.priority,
    payload: job.payload,
    delay: fromDuration(job.delay),
    runAt: fromTimestamp(job.runAt),
    startBy: fromTimestamp(job.startBy),
    retry: job.retry && {
      maxAttempts: job.retry.maxAttempts,
      maxCrashes: job.retry.maxCrashes,
      initialDelay: fromDuration(job.retry.initialDelay),
      factor: job.retry.factor,
      maxDelay: fromDuration(job.retry.maxDelay),
      jitter: job.retry.jitter,
    },
    softLimit: fromDuration(job.softTimeLimit),
    hardLimit: fromDuration(job.hardTimeLimit),
    retention: fromDuration(job.resultRetention),
    labels: job.labels,
    headers: job.headers,
    unique: job.unique && { key: job.unique.key, period: fromDuration(job.unique.period) },
    debounce: job.debounce && {
      wait: fromDuration(job.debounce.wait),
      maxWait: fromDuration(job.debounce.maxWait),
    },
    concurrencyKey: job.concurrencyKey || undefined,
  };
}

export function toPayload(content: Content | undefined): Payload | undefined {
  return content && { data: content.data, contentType: content.type };
}

export function fromPayload(payload: Payload | undefined): Content | undefined {
  return payload && { data: payload.data, type: payload.contentType, externalSize: 0 };
}

/** `now` is the time it counts as reported at. */
export function fromProgress(checks: Checks, field: string, progress: WireProgress, now: number): Progress {
  const { value, detail } = progress;
  if (value !== undefined && !Number.isFinite(value))
    checks.add(`${field}.value`, `is ${value}, must be finite`);
  if (detail.length > sizes.progress) {
    checks.add(`${field}.detail`, `has ${detail.length} bytes, the limit is ${sizes.progress}: shorten it`);
  }
  return { value, detail, at: now };
}

export function toJob(view: JobView): Job {
  const { stored, running } = view;
  const { job } = stored;
  const spec = job.spec;
  const last = job.history.at(-1);
  const begun = view.state === "RUNNING" || hasEnded(view.state);
  return {
    id: spec === undefined ? "" : `${spec.task}~${spec.key}`,
    task: spec?.task ?? "",
    key: spec?.key ?? "",
    queue: stored.queue,
    priority: stored.priority,
    state: wireStates[view.state],
    attempt: begun ? job.attempt : job.attempt - 1,
    failures: job.failures,
    crashes: job.crashes,
    submittedAt: toTimestampOrUnset(spec?.submittedAt ?? 0),
    dueAt: toTimestampOrUnset(job.dueAt),
    startedAt: toTimestampOrUnset(running?.startedAt ?? job.hold?.startedAt ?? last?.startedAt ?? 0),
    finishedAt: toTimestampOrUnset(job.finishedAt),
    worker: running?.worker ?? job.hold?.worker ?? last?.worker ?? "",
    progress: toProgress(running?.progress ?? job.progress),
    payload: toPayload(view.payload),
    result: toPayload(job.result),
    failure: toFailure(job.failure),
    history: job.history.map(toAttempt),
    labels: spec?.labels ?? {},
    headers: spec?.headers ?? {},
    retry: toRetryPolicy(spec?.retry),
    softTimeLimit: toDurationOrUnset(spec?.softLimit ?? 0),
    hardTimeLimit: toDurationOrUnset(spec?.hardLimit ?? 0),
    startBy: toTimestampOrUnset(spec?.startBy ?? 0),
    cancelRequested: view.cancelRequested,
    revision: stored.rev,
    cancelReason: job.cancelReason,
    flow: spec?.flow?.flow ?? "",
    flowMember: spec?.flow?.member ?? 0,
    schedule: spec?.schedule?.schedule ?? "",
    plannedAt: toTimestampOrUnset(spec?.schedule?.plannedAt ?? 0),
    concurrencyKey: spec?.concurrencyKey ?? "",
  };
}

function toProgress(progress: Progress | undefined): WireProgress | undefined {
  return (
    progress && {
      value: progress.value,
      detail: progress.detail,
      reportedAt: toTimestampOrUnset(progress.at),
    }
  );
}

export function toFailure(failure: Failure | undefined): WireFailure | undefined {
  // The domain's reasons are the contract's numbers.
  return failure && { ...failure, reason: failure.reason as WireFailureReason };
}

function toAttempt(attempt: Attempt): WireAttempt {
  return {
    number: attempt.number,
    worker: attempt.worker,
    startedAt: toTimestampOrUnset(attempt.startedAt),
    endedAt: toTimestampOrUnset(attempt.endedAt),
    outcome: attempt.outcome as WireAttemptOutcome,
    failure: toFailure(attempt.failure),
  };
}

function toRetryPolicy(retry: RetryPolicy | undefined): WireRetryPolicy | undefined {
  return (
    retry && {
      maxAttempts: retry.maxAttempts,
      initialDelay: toDuration(retry.initialDelay),
      factor: retry.factor,
      maxDelay: toDuration(retry.maxDelay),
      jitter: retry.jitter,
      maxCrashes: retry.maxCrashes,
    }
  );
}
