// A job as this package speaks of it: plain objects, Dates and the words of the contract, ready for a status page.

import { decode } from "@drover/proto/sdk/payload";
import { toDate, toMillis } from "@drover/proto/sdk/time";
import {
  type Job,
  type Payload,
  type RetryPolicy,
  AttemptOutcome as WireAttemptOutcome,
  FailureReason as WireFailureReason,
  JobState as WireJobState,
} from "@drover/proto/v1/job";

/** The name of an enum's value without the enum's own: JOB_STATE_READY is READY. */
type Short<Name, Prefix extends string> = Name extends `${Prefix}_${infer Rest}` ? Rest : never;

/** UNSPECIFIED also stands for what a newer broker says and this version does not know. */
export type JobState = Short<keyof typeof WireJobState, "JOB_STATE">;
export type FailureReason = Short<keyof typeof WireFailureReason, "FAILURE_REASON">;
export type AttemptOutcome = Short<keyof typeof WireAttemptOutcome, "ATTEMPT_OUTCOME">;

export interface Failure {
  readonly reason: FailureReason;
  /** The error's type as its language names it. */
  readonly type: string;
  readonly message: string;
  readonly stack: string;
}

export interface Progress {
  readonly value: number | undefined;
  readonly detail: unknown;
  readonly reportedAt: Date | undefined;
}

export interface Attempt {
  /** From 1. */
  readonly number: number;
  readonly worker: string;
  readonly startedAt: Date | undefined;
  readonly endedAt: Date | undefined;
  readonly outcome: AttemptOutcome;
  readonly failure: Failure | undefined;
}

/** In ms and as the broker has it, with `retries` one less than the runs. */
export interface RetryStatus {
  readonly retries: number;
  readonly initialDelay: number | undefined;
  readonly factor: number | undefined;
  readonly maxDelay: number | undefined;
  readonly jitter: number | undefined;
  readonly maxCrashes: number | undefined;
}

export interface JobStatus<R = unknown> {
  readonly id: string;
  readonly task: string;
  readonly key: string;
  readonly queue: string;
  /** 0 to 9, 9 is the most urgent. */
  readonly priority: number;
  readonly state: JobState;
  /** SUCCEEDED, FAILED or CANCELLED. */
  readonly finished: boolean;
  /** Number of the current or last attempt; 0 before the first. */
  readonly attempt: number;
  /** Attempts that ended in a failure or at a time limit. */
  readonly failures: number;
  /** Attempts that ended without any report. */
  readonly crashes: number;
  readonly submittedAt: Date | undefined;
  /** When it is to run (next). */
  readonly dueAt: Date | undefined;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
  readonly startBy: Date | undefined;
  /** Who runs it or ran it last; empty before that. */
  readonly worker: string;
  readonly progress: Progress | undefined;
  /** Where it was asked for: a JSON value, or bytes of another content type. */
  readonly payload: unknown;
  /** Once SUCCEEDED: a JSON value, or bytes of another content type. */
  readonly result: R | undefined;
  /** Once FAILED; of a RETRYING job the last one. */
  readonly failure: Failure | undefined;
  /** The last 20 attempts that ended. */
  readonly history: readonly Attempt[];
  readonly labels: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly retry: RetryStatus | undefined;
  /** In ms. */
  readonly softTimeLimit: number | undefined;
  /** In ms. */
  readonly hardTimeLimit: number | undefined;
  readonly cancelRequested: boolean;
  /** Empty = none. */
  readonly concurrencyKey: string;
  /** Rises with every stored change. */
  readonly revision: number;
}

const ENDED = new Set([
  WireJobState.JOB_STATE_SUCCEEDED,
  WireJobState.JOB_STATE_FAILED,
  WireJobState.JOB_STATE_CANCELLED,
]);

export function hasEnded(job: Job): boolean {
  return ENDED.has(job.state);
}

export function jobState(state: WireJobState): JobState {
  return short(WireJobState, "JOB_STATE_", state) as JobState;
}

export function wireState(state: JobState): WireJobState {
  return WireJobState[`JOB_STATE_${state}`];
}

export function jobStatus<R>(job: Job): JobStatus<R> {
  return {
    id: job.id,
    task: job.task,
    key: job.key,
    queue: job.queue,
    priority: job.priority,
    state: jobState(job.state),
    finished: hasEnded(job),
    attempt: job.attempt,
    failures: job.failures,
    crashes: job.crashes,
    submittedAt: toDate(job.submittedAt),
    dueAt: toDate(job.dueAt),
    startedAt: toDate(job.startedAt),
    finishedAt: toDate(job.finishedAt),
    startBy: toDate(job.startBy),
    worker: job.worker,
    progress: progress(job.progress),
    payload: value(job.payload),
    result: value(job.result) as R | undefined,
    failure: failureOf(job.failure),
    history: job.history.map((attempt) => ({
      number: attempt.number,
      worker: attempt.worker,
      startedAt: toDate(attempt.startedAt),
      endedAt: toDate(attempt.endedAt),
      outcome: short(WireAttemptOutcome, "ATTEMPT_OUTCOME_", attempt.outcome) as AttemptOutcome,
      failure: failureOf(attempt.failure),
    })),
    labels: job.labels,
    headers: job.headers,
    retry: retry(job.retry),
    softTimeLimit: toMillis(job.softTimeLimit),
    hardTimeLimit: toMillis(job.hardTimeLimit),
    cancelRequested: job.cancelRequested,
    concurrencyKey: job.concurrencyKey,
    revision: job.revision,
  };
}

function progress(of: Job["progress"]): Progress | undefined {
  if (of === undefined) return undefined;
  const detail = of.detail.length === 0 ? undefined : value({ data: of.detail, contentType: "" });
  return { value: of.value, detail, reportedAt: toDate(of.reportedAt) };
}

export function failureOf(of: Job["failure"]): Failure | undefined {
  if (of === undefined) return undefined;
  const { reason, type, message, stack } = of;
  return {
    reason: short(WireFailureReason, "FAILURE_REASON_", reason) as FailureReason,
    type,
    message,
    stack,
  };
}

function retry(of: RetryPolicy | undefined): RetryStatus | undefined {
  if (of === undefined) return undefined;
  return {
    retries: (of.maxAttempts ?? 1) - 1,
    initialDelay: toMillis(of.initialDelay),
    factor: of.factor,
    maxDelay: toMillis(of.maxDelay),
    jitter: of.jitter,
    maxCrashes: of.maxCrashes,
  };
}

/** A status must be readable whatever a worker wrote: what claims to be JSON and is not is given as its bytes. */
function value(payload: Payload | undefined): unknown {
  if (payload === undefined) return undefined;
  try {
    return decode(payload);
  } catch {
    return payload.data;
  }
}

function short(names: Record<number, string>, prefix: string, value: number): string {
  return names[value]?.slice(prefix.length) ?? "UNSPECIFIED";
}
