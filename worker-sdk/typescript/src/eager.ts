// Runs jobs where they are submitted: no broker, no network, no waiting. Retries, permanent errors, snoozes and what fits
// into a payload are as they are with a broker; what takes time there takes none here, but is told.

import { randomUUID } from "node:crypto";
import { decode, encode } from "@drover/proto/sdk/payload";
import { toMillis } from "@drover/proto/sdk/time";
import { FailureReason, type Payload } from "@drover/proto/v1/job";
import { type DetachedRun, detachedContext } from "./context.js";
import {
  type EagerAttempt,
  type EagerEnd,
  EagerJob,
  type EagerJobFailure,
  type EagerRecord,
  type EagerStatus,
} from "./eager-job.js";
import { type Around, invoke } from "./invoke.js";
import { type Report, reportOfError, succeeded } from "./outcomes.js";
import type { AnyTask, TaskContract, TaskDefaults, TaskRetry } from "./task.js";

/** The broker's defaults, but for its jitter. */
const RETRY = { retries: 3, initialDelay: 1_000, factor: 2, maxDelay: 600_000, jitter: 0, maxCrashes: 3 };
const QUEUE = "default";
const PRIORITY = 5;
const WORKER = "eager";
/** Attempts after which a job that is snoozed or released each time is given up. */
const MOST_ATTEMPTS = 1_000;
const HISTORY = 20;

export interface EagerOptions extends TaskDefaults, Pick<DetachedRun, "headers" | "inputs" | "onProgress"> {
  /** A second submit of a key gives the job that is there. */
  readonly key?: string;
}

/** Stands in for @drover/client's Client where all that is asked of it is to submit jobs, and of these what their handles
 *  can be asked. */
export class EagerClient {
  readonly #tasks = new Map<string, AnyTask>();
  readonly #records = new Map<string, EagerRecord<unknown>>();
  readonly #around: Around | undefined;

  constructor(options: { readonly tasks: readonly AnyTask[]; readonly around?: Around }) {
    for (const task of options.tasks) this.#tasks.set(task.name, task);
    this.#around = options.around;
  }

  /** Runs the job to its end. @throws Error for a task it was not given, PayloadError for a payload that cannot be sent */
  submit<P, R>(task: TaskContract<P, R, unknown>, payload: P, options?: EagerOptions): Promise<EagerJob<R>>;
  submit<R = unknown>(task: string, payload?: unknown, options?: EagerOptions): Promise<EagerJob<R>>;
  async submit<R>(
    of: TaskContract | string,
    payload?: unknown,
    options: EagerOptions = {},
  ): Promise<EagerJob<R>> {
    const name = typeof of === "string" ? of : of.name;
    const task = this.#tasks.get(name);
    if (task === undefined) throw new Error(`this eager client has no task ${name}`);
    const key = options.key ?? randomUUID();
    const id = `${name}~${key}`;
    const there = this.#records.get(id);
    if (there !== undefined) return new EagerJob(there as EagerRecord<R>, true);
    const submitted = { task, key, payload: encode(payload), options, around: this.#around };
    const runAgain = (before?: EagerStatus<R>) => new Runs<R>(submitted, before).toTheEnd();
    const record: EagerRecord<R> = { end: await runAgain(), runAgain };
    this.#records.set(id, record as EagerRecord<unknown>);
    return new EagerJob(record, false);
  }
}

interface EagerSubmit {
  readonly task: AnyTask;
  readonly key: string;
  readonly payload: Payload;
  readonly options: EagerOptions;
  readonly around: Around | undefined;
}

/** The runs of a job from its submit or its redrive on. */
class Runs<R> {
  readonly #of: EagerSubmit;
  readonly #id: string;
  readonly #retry: Required<TaskRetry>;
  readonly #labels: Record<string, string>;
  readonly #submittedAt: Date;
  readonly #history: EagerStatus["history"][number][];
  readonly #attempts: EagerAttempt[] = [];
  #attempt: number;
  #failures = 0;
  #startedAt = new Date();
  #progress: EagerStatus["progress"];

  /** A job that ended before is redriven: its attempts are numbered on. */
  constructor(of: EagerSubmit, before: EagerStatus<R> | undefined) {
    this.#of = of;
    this.#id = `${of.task.name}~${of.key}`;
    this.#retry = { ...RETRY, ...of.task.defaults.retry, ...of.options.retry };
    this.#labels = { ...of.task.defaults.labels, ...of.options.labels };
    this.#submittedAt = before?.submittedAt ?? new Date();
    this.#history = [...(before?.history ?? [])];
    this.#attempt = before?.attempt ?? 0;
  }

  async toTheEnd(): Promise<EagerEnd<R>> {
    while (this.#attempts.length < MOST_ATTEMPTS) {
      this.#attempt++;
      this.#startedAt = new Date();
      const report = await this.#run();
      switch (report.$case) {
        case "success":
          this.#ended("SUCCEEDED", undefined);
          return this.#end(decode(report.value.result) as R, undefined);
        case "failure": {
          const { reason, type, message, stack, retryAfter } = report.value;
          const permanent = reason === FailureReason.FAILURE_REASON_PERMANENT;
          const failure = { reason: permanent ? "PERMANENT" : "ERROR", type, message, stack } as const;
          this.#failures++;
          const last = permanent || this.#failures > this.#retry.retries;
          this.#ended("FAILED", last ? undefined : (toMillis(retryAfter) ?? this.#delay()), failure);
          if (last) return this.#end(undefined, failure);
          break;
        }
        case "snooze":
          this.#ended("SNOOZED", toMillis(report.value.delay));
          break;
        default:
          this.#ended("RELEASED", 0);
      }
    }
    throw new Error(`job ${this.#id} did not end in ${MOST_ATTEMPTS} attempts`);
  }

  async #run(): Promise<Report> {
    const { task, payload, around, options } = this.#of;
    const { headers, inputs, onProgress } = options;
    const run: DetachedRun = {
      jobId: this.#id,
      attempt: this.#attempt,
      failures: this.#failures,
      maxAttempts: this.#retry.retries + 1,
      labels: this.#labels,
      ...(headers && { headers }),
      ...(inputs && { inputs }),
      onProgress: (value, detail) => {
        this.#progress = { value, detail, reportedAt: new Date() };
        onProgress?.(value, detail);
      },
    };
    try {
      const context = detachedContext(task.name, run);
      return succeeded(encode(await invoke(task, decode(payload), context, around)));
    } catch (error) {
      return reportOfError(error, task.options, undefined);
    }
  }

  #ended(outcome: EagerAttempt["outcome"], nextAfter: number | undefined, failure?: EagerJobFailure): void {
    this.#attempts.push({ outcome, nextAfter });
    this.#history.push({
      number: this.#attempt,
      worker: WORKER,
      startedAt: this.#startedAt,
      endedAt: new Date(),
      outcome,
      failure,
    });
  }

  #end(result: R | undefined, failure: EagerJobFailure | undefined): EagerEnd<R> {
    const { task, key, payload, options } = this.#of;
    const status: EagerStatus<R> = {
      id: this.#id,
      task: task.name,
      key,
      queue: options.queue ?? task.defaults.queue ?? QUEUE,
      priority: options.priority ?? task.defaults.priority ?? PRIORITY,
      state: failure === undefined ? "SUCCEEDED" : "FAILED",
      finished: true,
      attempt: this.#attempt,
      failures: this.#failures,
      crashes: 0,
      submittedAt: this.#submittedAt,
      dueAt: undefined,
      startedAt: this.#startedAt,
      finishedAt: new Date(),
      startBy: undefined,
      worker: WORKER,
      progress: this.#progress,
      payload: decode(payload),
      result,
      failure,
      history: this.#history.slice(-HISTORY),
      labels: this.#labels,
      headers: options.headers ?? {},
      retry: this.#retry,
      softTimeLimit: options.softTimeLimit ?? task.defaults.softTimeLimit,
      hardTimeLimit: options.hardTimeLimit ?? task.defaults.hardTimeLimit,
      cancelRequested: false,
      concurrencyKey: "",
      revision: 1,
    };
    return { status, attempts: this.#attempts };
  }

  #delay(): number {
    const { initialDelay, factor, maxDelay } = this.#retry;
    return Math.min(maxDelay, initialDelay * factor ** (this.#failures - 1));
  }
}
