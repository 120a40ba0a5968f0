import { type AccessOptions, channelOf, metadataOf } from "@drover/proto/sdk/access";
import { type AddressOptions, addressesOf } from "@drover/proto/sdk/addresses";
import { JobState as WireJobState } from "@drover/proto/v1/job";
import { JobServiceService } from "@drover/proto/v1/job_service";
import { Brokers } from "./brokers.js";
import { Caller, type CallOptions } from "./call.js";
import type { CallError } from "./errors.js";
import { Flows } from "./flows.js";
import { type JobCalls, JobHandle, SubmittedJob } from "./handle.js";
import { Inspect } from "./inspect.js";
import { type JobState, type JobStatus, jobStatus, wireState } from "./job.js";
import { newKey } from "./key.js";
import { Lookup } from "./lookup.js";
import { Queues } from "./queues.js";
import { Routes } from "./routes.js";
import { Schedules } from "./schedules.js";
import { checkPayload, type JobOptions, jobSpec, type TaskRef } from "./spec.js";
import { type OnConflict, type Submission, Submitter } from "./submit.js";
import { Tasks } from "./tasks.js";
import { traced } from "./tracing.js";
import { Waits } from "./wait.js";

export interface ClientOptions extends AddressOptions, AccessOptions {
  /** What a call may take, retries included, in ms: default 10,000. */
  readonly timeout?: number;
  /** Single submits that may wait in this process at a time: default 50,000. Beyond it submit() throws
   *  ClientBusyError. */
  readonly maxPending?: number;
}

export interface SubmitOptions extends JobOptions, CallOptions {
  /** What happens when the task has a job of this key already: default `return-existing`. */
  readonly onConflict?: OnConflict;
}

export interface BatchItem extends JobOptions {
  readonly task: TaskRef | string;
  readonly payload?: unknown;
}

/** What became of one item of a batch. */
export type BatchResult =
  | { readonly ok: true; readonly job: SubmittedJob }
  | { readonly ok: false; readonly error: Error };

export interface ListFilter {
  readonly state?: JobState;
  readonly task?: string;
  readonly queue?: string;
  readonly includePayload?: boolean;
  /** Jobs per call: 1 to 1,000, default 100. */
  readonly pageSize?: number;
}

export interface JobPage {
  readonly jobs: readonly JobStatus[];
  /** Undefined: that was the last page. */
  readonly nextPageToken: string | undefined;
}

const TIMEOUT = 10_000;
const MAX_PENDING = 50_000;

/** Submits jobs and asks after them. One per process is enough: it gathers concurrent calls into batches by itself. */
export class Client {
  readonly flows: Flows;
  readonly queues: Queues;
  readonly tasks: Tasks;
  readonly routes: Routes;
  readonly schedules: Schedules;
  readonly inspect: Inspect;
  readonly #brokers: Brokers;
  readonly #caller: Caller;
  readonly #submitter: Submitter;
  readonly #calls: JobCalls & { readonly lookup: Lookup; readonly waits: Waits };

  /** Connects when it is first needed. @throws RangeError for a bad address; an error of the file system for a
   *  file of `tls` */
  constructor(options: ClientOptions = {}) {
    const { timeout = TIMEOUT, maxPending = MAX_PENDING } = options;
    const shared = typeof options.metadata !== "function" && options.credentials === undefined;
    this.#brokers = new Brokers(addressesOf(options), channelOf(options), () => metadataOf(options), shared);
    this.#caller = new Caller(this.#brokers, timeout);
    this.#submitter = new Submitter(this.#brokers, maxPending);
    this.#calls = { caller: this.#caller, lookup: new Lookup(this.#caller), waits: new Waits(this.#brokers) };
    this.flows = new Flows(this.#caller);
    this.queues = new Queues(this.#caller);
    this.tasks = new Tasks(this.#caller);
    this.routes = new Routes(this.#caller);
    this.schedules = new Schedules(this.#caller);
    this.inspect = new Inspect(this.#caller);
  }

  /** Resolves once the job is durable. Retried within the timeout while brokers are away or full; the key makes that
   *  safe. @throws InvalidArgumentError, JobExistsError, UnavailableError, OverloadedError, DeadlineExceededError,
   *  ClientBusyError */
  submit<P, R>(task: TaskRef<P, R, unknown>, payload: P, options?: SubmitOptions): Promise<SubmittedJob<R>>;
  submit<R = unknown>(task: string, payload?: unknown, options?: SubmitOptions): Promise<SubmittedJob<R>>;
  async submit<R>(
    task: TaskRef | string,
    payload?: unknown,
    options: SubmitOptions = {},
  ): Promise<SubmittedJob<R>> {
    const { onConflict = "return-existing", timeout = this.#caller.timeout } = options;
    await checkPayload(task, payload);
    const submission = this.#submission(task, payload, options, timeout);
    const submitted = await traced(
      `submit ${submission.spec.task}`,
      [submission.spec],
      () => this.#submitter.submit(submission, onConflict),
      ({ id }) => id,
    );
    return new SubmittedJob(submitted, this.#calls);
  }

  /** Any number of jobs; each succeeds or fails on its own, and the results are in their order. The timeout is for all
   *  of them: default 10 s, or 1 ms a job if that is more. */
  async submitBatch(
    items: readonly BatchItem[],
    options: CallOptions & { readonly onConflict?: OnConflict } = {},
  ): Promise<BatchResult[]> {
    const { onConflict = "return-existing", timeout = Math.max(this.#caller.timeout, items.length) } =
      options;
    const results: BatchResult[] = new Array(items.length);
    const sent: number[] = [];
    const submissions: Submission[] = [];
    for (const [index, { task, payload, ...job }] of items.entries()) {
      try {
        await checkPayload(task, payload);
        submissions.push(this.#submission(task, payload, job, timeout));
        sent.push(index);
      } catch (error) {
        results[index] = { ok: false, error: error as CallError };
      }
    }
    const settled = await traced(
      "submit batch",
      submissions.map(({ spec }) => spec),
      () => this.#submitter.submitAll(submissions, onConflict),
      () => undefined,
    );
    for (const [at, index] of sent.entries()) {
      const outcome = settled[at];
      if (outcome === undefined) continue;
      results[index] =
        outcome.status === "fulfilled"
          ? { ok: true, job: new SubmittedJob(outcome.value, this.#calls) }
          : { ok: false, error: outcome.reason };
    }
    return results;
  }

  /** A job by its id, from any process. Asks the broker nothing yet. @throws InvalidArgumentError when it is no id */
  job<R = unknown>(id: string): JobHandle<R> {
    return new JobHandle(id, this.#calls);
  }

  /** All jobs that match, page by page, in the order of their last change. */
  async *list(filter: ListFilter = {}, options: CallOptions = {}): AsyncGenerator<JobStatus, void> {
    let pageToken: string | undefined;
    do {
      const page = await this.listPage({ ...filter, ...(pageToken !== undefined && { pageToken }) }, options);
      yield* page.jobs;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }

  /** One page. It may be shorter than asked for and still not be the last. */
  async listPage(
    filter: ListFilter & { readonly pageToken?: string } = {},
    options: CallOptions = {},
  ): Promise<JobPage> {
    const request = {
      state: filter.state === undefined ? WireJobState.JOB_STATE_UNSPECIFIED : wireState(filter.state),
      task: filter.task ?? "",
      queue: filter.queue ?? "",
      pageSize: filter.pageSize ?? 0,
      pageToken: filter.pageToken ?? "",
      includePayload: filter.includePayload ?? false,
    };
    const answer = await this.#caller.call(JobServiceService.list, request, options);
    return {
      jobs: answer.jobs.map((job) => jobStatus(job)),
      nextPageToken: answer.nextPageToken || undefined,
    };
  }

  /** Closes the connections. Calls that are under way end with an error. */
  close(): void {
    this.#submitter.close();
    this.#calls.lookup.close();
    this.#calls.waits.close();
    this.#brokers.close();
  }

  #submission(task: TaskRef | string, payload: unknown, options: JobOptions, timeout: number): Submission {
    return { spec: jobSpec(task, payload, options, newKey), ownKey: options.key === undefined, timeout };
  }
}
