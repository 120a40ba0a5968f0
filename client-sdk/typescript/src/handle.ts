import { decode } from "@drover/proto/sdk/payload";
import { type Job, JobState as WireJobState } from "@drover/proto/v1/job";
import { JobServiceService, CancelOutcome as WireCancelOutcome } from "@drover/proto/v1/job_service";
import type { Caller, CallOptions } from "./call.js";
import { InvalidArgumentError, JobCancelledError, JobFailedError } from "./errors.js";
import { type Explanation, explanation } from "./explanation.js";
import { type JobState, type JobStatus, jobState, jobStatus } from "./job.js";
import type { Lookup } from "./lookup.js";
import type { Submitted } from "./submit.js";
import type { WaitOptions, Waits } from "./wait.js";
import { watchJob } from "./watch.js";

export type CancelOutcome =
  /** It waited and will not run. */
  | "CANCELLED"
  /** It runs; its worker is told, and within about 10 s it has ended one way or the other. */
  | "REQUESTED"
  /** It had ended; nothing was changed. */
  | "ALREADY_FINISHED"
  | "UNSPECIFIED";

export interface Cancelled {
  readonly outcome: CancelOutcome;
  /** What the job was when the cancel arrived. */
  readonly previousState: JobState;
}

/** Where a job waits. */
export interface Place {
  readonly queue?: string;
  /** 0 to 9, 9 is the most urgent. */
  readonly priority?: number;
}

export interface StatusOptions extends CallOptions {
  readonly includePayload?: boolean;
}

export interface WatchOptions {
  /** How long the watch goes on while no broker answers, in ms. Default 30 s. */
  readonly timeout?: number;
  /** Ends the watch, not the job. */
  readonly signal?: AbortSignal;
}

/** @internal What handles need of their client. */
export interface JobCalls {
  readonly caller: Caller;
  readonly lookup: Lookup;
  readonly waits: Waits;
}

const JOB_ID = /^([A-Za-z0-9_.-]{1,128})~([A-Za-z0-9_.-]{1,128})$/;

/** A job by its id. Making one asks the broker nothing; each method does. */
export class JobHandle<R = unknown> {
  /** `<task>~<key>`, fit for a URL path as it is. */
  readonly id: string;
  readonly task: string;
  readonly key: string;
  readonly #calls: JobCalls;

  /** @throws InvalidArgumentError when the id is none */
  constructor(id: string, calls: JobCalls) {
    const parts = JOB_ID.exec(id);
    if (parts === null)
      throw InvalidArgumentError.of("id", `${JSON.stringify(id)} is no job id: it is <task>~<key>`);
    this.id = id;
    this.task = parts[1] as string;
    this.key = parts[2] as string;
    this.#calls = calls;
  }

  /** The job as it stands. @throws JobNotFoundError, CallError */
  async status(options: StatusOptions = {}): Promise<JobStatus<R>> {
    const { includePayload = false, timeout = this.#calls.caller.timeout } = options;
    return jobStatus(await this.#calls.lookup.status(this.id, includePayload, timeout));
  }

  /** The job once it has ended, in whichever way. Without a timeout this waits for as long as it takes, also for a
   *  broker to come back. @throws ResultTimeoutError, JobNotFoundError, CallError */
  async wait(options: WaitOptions = {}): Promise<JobStatus<R>> {
    return jobStatus(await this.#calls.waits.wait(this.id, options));
  }

  /** What the handler returned: a JSON value, or bytes of another content type; null where no result is kept.
   *  @throws JobFailedError, JobCancelledError, ResultTimeoutError, JobNotFoundError, CallError */
  async result(options: WaitOptions = {}): Promise<R> {
    const job = await this.#calls.waits.wait(this.id, options);
    return resultOf(job) as R;
  }

  /** Cancels the job if it waits, asks for its end if it runs. The reason is kept in its record.
   *  @throws JobNotFoundError, CallError */
  async cancel(reason = "", options: CallOptions = {}): Promise<Cancelled> {
    const request = { id: this.id, reason };
    const answer = await this.#calls.caller.call(JobServiceService.cancel, request, options);
    const outcome = WireCancelOutcome[answer.outcome]?.slice("CANCEL_OUTCOME_".length) ?? "UNSPECIFIED";
    return { outcome: outcome as CancelOutcome, previousState: jobState(answer.previousState) };
  }

  /** The job now and after each change, until it has ended. Changes in quick succession may be told as one.
   *  @throws JobNotFoundError, CallError, the signal's reason */
  async *watch(options: WatchOptions = {}): AsyncGenerator<JobStatus<R>, void> {
    for await (const job of watchJob(this.#calls.caller.brokers, this.id, options)) yield jobStatus<R>(job);
  }

  /** Makes a failed job ready again, with fresh counters. Tried once: a second try could not tell its own success from
   *  a job that had not failed. @throws NotFailedError, JobNotFoundError, CallError */
  async redrive(options: CallOptions = {}): Promise<JobStatus<R> | undefined> {
    const request = { id: this.id };
    const { job } = await this.#calls.caller.once(JobServiceService.redrive, request, options);
    return job === undefined ? undefined : jobStatus(job);
  }

  /** Why the job is not running, and when it can at the earliest. @throws JobNotFoundError, CallError */
  async explain(options: CallOptions = {}): Promise<Explanation> {
    return explanation(await this.#calls.caller.call(JobServiceService.explain, { id: this.id }, options));
  }

  /** Puts the job, which has to wait, into another queue or under another priority; what is left out stays. Its id stays
   *  too. @throws NotWaitingError, JobNotFoundError, OverloadedError, CallError */
  async move(to: Place, options: CallOptions = {}): Promise<JobStatus<R>> {
    const request = { id: this.id, queue: to.queue, priority: to.priority };
    const { job } = await this.#calls.caller.call(JobServiceService.move, request, options);
    if (job === undefined) throw new Error("the broker answered a move without the job");
    return jobStatus(job);
  }
}

function resultOf(job: Job): unknown {
  switch (job.state) {
    case WireJobState.JOB_STATE_SUCCEEDED:
      return decode(job.result);
    case WireJobState.JOB_STATE_CANCELLED:
      throw new JobCancelledError(jobStatus(job));
    default:
      throw new JobFailedError(jobStatus(job));
  }
}

/** A job that was just submitted. */
export class SubmittedJob<R = unknown> extends JobHandle<R> {
  /** A job of this key was there already, and this is that one. */
  readonly deduplicated: boolean;
  /** What the broker said it was: SCHEDULED or READY for a new job. */
  readonly submittedAs: JobState;

  constructor(submitted: Submitted, calls: JobCalls) {
    super(submitted.id, calls);
    this.deduplicated = submitted.deduplicated;
    this.submittedAs = jobState(submitted.state);
  }
}
