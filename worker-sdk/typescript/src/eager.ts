// Runs jobs where they are submitted: no broker, no network, no waiting. Retries, permanent errors, snoozes and what fits
// into a payload are as they are with a broker; what takes time there takes none here, but is told.

import { randomUUID } from "node:crypto";
import { decode, encode } from "@drover/proto/sdk/payload";
import { toMillis } from "@drover/proto/sdk/time";
import { FailureReason } from "@drover/proto/v1/job";
import { type DetachedRun, detachedContext } from "./context.js";
import { type Around, invoke } from "./invoke.js";
import { type Report, reportOfError, succeeded } from "./outcomes.js";
import type { AnyTask, TaskContract, TaskDefaults, TaskRetry } from "./task.js";

/** The broker's defaults. */
const RETRY = { retries: 3, initialDelay: 1_000, factor: 2, maxDelay: 600_000, maxCrashes: 3 };
/** Attempts after which a job that is snoozed or released each time is given up. */
const MOST_ATTEMPTS = 1_000;

export interface EagerOptions extends TaskDefaults, Pick<DetachedRun, "headers" | "inputs" | "onProgress"> {
  /** A second submit of a key gives the job that is there. */
  readonly key?: string;
}

export interface EagerAttempt {
  readonly outcome: "SUCCEEDED" | "FAILED" | "SNOOZED" | "RELEASED";
  /** What a broker would have let pass before the next attempt, in ms, without its jitter; undefined for the last. */
  readonly nextAfter: number | undefined;
}

/** What result() throws of a job that failed: as JobFailedError of @drover/client has it. */
export class EagerFailure extends Error {
  override readonly name = "JobFailedError";
  constructor(
    readonly jobId: string,
    readonly reason: "ERROR" | "PERMANENT",
    readonly failure: { readonly type: string; readonly message: string; readonly stack: string },
  ) {
    super(`job ${jobId} failed: ${failure.type}: ${failure.message}`);
  }
}

/** A job that has ended. */
export class EagerJob<R = unknown> {
  readonly #end: R | EagerFailure;
  constructor(
    readonly id: string,
    /** A job of this key was there already, and this is that one. */
    readonly deduplicated: boolean,
    readonly attempts: readonly EagerAttempt[],
    end: R | EagerFailure,
  ) {
    this.#end = end;
  }

  get state(): "SUCCEEDED" | "FAILED" {
    return this.#end instanceof EagerFailure ? "FAILED" : "SUCCEEDED";
  }

  /** @throws EagerFailure */
  result(): Promise<R> {
    return this.#end instanceof EagerFailure ? Promise.reject(this.#end) : Promise.resolve(this.#end);
  }
}

/** Stands in for @drover/client's Client where all that is asked of it is submit(task, payload).result(). */
export class EagerClient {
  readonly #tasks = new Map<string, AnyTask>();
  readonly #jobs = new Map<string, EagerJob>();
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
    const id = `${name}~${options.key ?? randomUUID()}`;
    const there = this.#jobs.get(id);
    if (there !== undefined) return new EagerJob(id, true, there.attempts, (await endOf(there)) as R);
    const job = await this.#run<R>(task, id, encode(payload), options);
    this.#jobs.set(id, job);
    return job;
  }

  async #run<R>(
    task: AnyTask,
    id: string,
    payload: ReturnType<typeof encode>,
    options: EagerOptions,
  ): Promise<EagerJob<R>> {
    const retry = { ...RETRY, ...task.defaults.retry, ...options.retry };
    const attempts: EagerAttempt[] = [];
    for (let failures = 0; attempts.length < MOST_ATTEMPTS; ) {
      const labels = { ...task.defaults.labels, ...options.labels };
      const { headers, inputs, onProgress } = options;
      const run: DetachedRun = {
        jobId: id,
        attempt: attempts.length + 1,
        failures,
        maxAttempts: retry.retries + 1,
        labels,
        ...(headers && { headers }),
        ...(inputs && { inputs }),
        ...(onProgress && { onProgress }),
      };
      const report = await this.#attempt(task, payload, run);
      if (report.$case === "success") {
        attempts.push({ outcome: "SUCCEEDED", nextAfter: undefined });
        return new EagerJob(id, false, attempts, decode(report.value.result) as R);
      }
      if (report.$case !== "failure") {
        const snoozed = report.$case === "snooze";
        const nextAfter = snoozed ? toMillis(report.value.delay) : 0;
        attempts.push({ outcome: snoozed ? "SNOOZED" : "RELEASED", nextAfter });
        continue;
      }
      const { reason, type, message, stack, retryAfter } = report.value;
      failures++;
      const permanent = reason === FailureReason.FAILURE_REASON_PERMANENT;
      if (permanent || failures > retry.retries) {
        attempts.push({ outcome: "FAILED", nextAfter: undefined });
        const why = permanent ? "PERMANENT" : "ERROR";
        return new EagerJob<R>(id, false, attempts, new EagerFailure(id, why, { type, message, stack }));
      }
      attempts.push({ outcome: "FAILED", nextAfter: toMillis(retryAfter) ?? delay(retry, failures) });
    }
    throw new Error(`job ${id} did not end in ${MOST_ATTEMPTS} attempts`);
  }

  async #attempt(task: AnyTask, payload: ReturnType<typeof encode>, run: DetachedRun): Promise<Report> {
    try {
      const context = detachedContext(task.name, run);
      return succeeded(encode(await invoke(task, decode(payload), context, this.#around)));
    } catch (error) {
      return reportOfError(error, task.options, undefined);
    }
  }
}

function delay(
  { initialDelay, factor, maxDelay }: Required<Omit<TaskRetry, "jitter">>,
  failures: number,
): number {
  return Math.min(maxDelay, initialDelay * factor ** (failures - 1));
}

async function endOf(job: EagerJob): Promise<unknown> {
  return job.result().catch((error: unknown) => error);
}
