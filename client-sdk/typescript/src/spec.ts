// From what a submitter writes to what the broker takes. Only what cannot be put on the wire is refused here; the limits
// are the broker's, and it names them.

import { encode, PayloadError } from "@drover/proto/sdk/payload";
import { conform, type InputOf, type OutputOf, type Schema } from "@drover/proto/sdk/schema";
import { toDuration } from "@drover/proto/sdk/time";
import type { Duration, JobSpec, RetryPolicy, Timestamp } from "@drover/proto/v1";
import { InvalidArgumentError } from "./errors.js";

/** How often and when a failed job runs again. What is unset takes the broker's default, named in brackets. */
export interface RetryOptions {
  /** Runs after the first: 0 to 999 (3 = four runs). */
  readonly retries?: number;
  /** Wait after the first failure, in ms: 0 to 30 days (1 s). */
  readonly initialDelay?: number;
  /** What the wait is multiplied by after each further failure: 1 to 100 (2). */
  readonly factor?: number;
  /** Upper bound of the wait, in ms: initialDelay to 30 days (10 min). */
  readonly maxDelay?: number;
  /** Share by which each wait is spread: 0 to 1 (0.1). */
  readonly jitter?: number;
  /** Runs that may end without any report: 0 to 100 (3). 0 = at most once. */
  readonly maxCrashes?: number;
}

/** What a task may fix for all its jobs; a submit overrides it field by field. */
export interface SubmitDefaults {
  /** Unset: what the broker's routes say, else `default`. */
  readonly queue?: string;
  /** 0 to 9, 9 is the most urgent. Unset: what the routes say, else 5. */
  readonly priority?: number;
  readonly retry?: RetryOptions;
  /** After this long a run is told to finish, in ms: 1 ms to 30 days. */
  readonly softTimeLimit?: number;
  /** After this long a run is over and has failed, in ms: 1 ms to 30 days. */
  readonly hardTimeLimit?: number;
  /** How long the record is kept once the job ended, in ms: 0 (no result is kept) or 10 min to 365 days. */
  readonly resultRetention?: number;
  /** For people and filters: at most 16. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface JobOptions extends SubmitDefaults {
  /** The job's name inside its task: a second submit of the same key gives the same job. Default: a new UUIDv7. */
  readonly key?: string;
  /** Wait before the first run, in ms: 0 to 10 years. Not together with runAt. */
  readonly delay?: number;
  /** Time of the first run, never earlier. */
  readonly runAt?: Date;
  /** A job whose first run has not begun by then fails as EXPIRED. */
  readonly startBy?: Date;
  /** At most one job of the task with this key, apart from the job's own: a submit that finds one gives that job. */
  readonly unique?: {
    readonly key: string;
    /** From the submit on, whatever becomes of the job, in ms: 1 s to 30 days. Unset: until the job has ended. */
    readonly period?: number;
  };
  /** A later submit of the same key replaces the job while it waits, and starts its wait anew. Needs a key. */
  readonly debounce?: {
    /** From the last submit to the run, in ms: 1 ms to 30 days. */
    readonly wait: number;
    /** From the first submit to the run at the latest, in ms: wait to 30 days. Unset: no bound. */
    readonly maxWait?: number;
  };
  /** Jobs of the task that share it run so many at a time (the task's or queue's `concurrencyPerKey`, else 1), others flow
   *  past them. A customer, an account: a name. */
  readonly concurrencyKey?: string;
  /** For programs (trace context and the like), handed to the worker as they are. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A task to submit to, by the name it has; what @drover/worker's defineTask gives fits as it is. P is what is submitted, R
 *  what comes back, H what the handler gets once the payload's schema has been through it. */
export interface TaskRef<P = unknown, R = unknown, H = P> {
  readonly name: string;
  readonly defaults?: SubmitDefaults;
  readonly schemas?: TaskSchemas;
  /** Never there at run time; carries the types. */
  readonly "~types"?: { readonly payload: P; readonly result: R; readonly handled: H };
}

/** Any Standard Schema of what travels: a payload that does not fit is refused by submit(), and by a worker that was given
 *  the same task. */
export interface TaskSchemas<P extends Schema = Schema, R extends Schema = Schema> {
  readonly payload?: P | undefined;
  readonly result?: R | undefined;
}

/** Names a task whose handler lives elsewhere, with schemas of its payload and result, whose types it takes. */
export function taskRef<P extends Schema, R extends Schema = Schema>(
  name: string,
  options: SubmitDefaults & { readonly payload: P; readonly result?: R },
): TaskRef<InputOf<P>, OutputOf<R>, OutputOf<P>>;
/** Names a task whose handler lives elsewhere, with the types of its payload and result. */
export function taskRef<P = unknown, R = unknown>(name: string, defaults?: SubmitDefaults): TaskRef<P, R>;
export function taskRef(name: string, options: SubmitDefaults & TaskSchemas = {}): TaskRef {
  const { payload, result, ...defaults } = options;
  return { name, defaults, schemas: { payload, result } };
}

/** Whether the payload fits, where the task has a schema for it. Undefined where there is nothing to wait for.
 *  @throws InvalidArgumentError with the path of each field that does not fit */
export function checkPayload(task: TaskRef | string, payload: unknown): unknown {
  const schema = typeof task === "string" ? undefined : task.schemas?.payload;
  if (schema === undefined) return undefined;
  return conform(schema, payload, "payload", (misfits) =>
    InvalidArgumentError.ofFields(
      misfits.map(({ path, message }) => ({ field: path, description: message })),
    ),
  );
}

/** @throws InvalidArgumentError for a time, duration or payload that cannot be sent. */
export function jobSpec(
  task: TaskRef | string,
  payload: unknown,
  options: JobOptions,
  newKey: () => string,
): JobSpec {
  const { name, defaults = {} } = typeof task === "string" ? { name: task } : task;
  const merged: JobOptions = { ...defaults, ...withoutUnset(options) };
  if (merged.debounce !== undefined && merged.key === undefined) {
    throw InvalidArgumentError.of(
      "debounce",
      "needs a key: later submits replace the waiting job of the same key",
    );
  }
  return {
    task: name,
    key: merged.key ?? newKey(),
    queue: merged.queue,
    priority: merged.priority,
    payload: payloadOf(payload),
    delay: duration("delay", merged.delay),
    runAt: timestamp("run_at", merged.runAt),
    startBy: timestamp("start_by", merged.startBy),
    retry: retryPolicy({ ...defaults.retry, ...withoutUnset(options.retry ?? {}) }),
    softTimeLimit: duration("soft_time_limit", merged.softTimeLimit),
    hardTimeLimit: duration("hard_time_limit", merged.hardTimeLimit),
    resultRetention: duration("result_retention", merged.resultRetention),
    labels: { ...defaults.labels, ...options.labels },
    headers: { ...options.headers },
    concurrencyKey: merged.concurrencyKey ?? "",
    unique: merged.unique && {
      key: merged.unique.key,
      period: duration("unique.period", merged.unique.period),
    },
    debounce: merged.debounce && {
      wait: duration("debounce.wait", merged.debounce.wait),
      maxWait: duration("debounce.max_wait", merged.debounce.maxWait),
    },
  };
}

// One message holds at most 4 MiB, and the broker names its own limit (512 KiB) for whatever reaches it.
const SENDABLE = 3 * 1024 * 1024;

function payloadOf(value: unknown): JobSpec["payload"] {
  try {
    const payload = encode(value);
    if (payload.data.length <= SENDABLE) return payload;
  } catch (error) {
    if (error instanceof PayloadError) throw InvalidArgumentError.of("payload", error.message);
    throw error;
  }
  throw InvalidArgumentError.of("payload", "over 512 KiB; store it elsewhere and submit a reference");
}

function retryPolicy(retry: RetryOptions): RetryPolicy | undefined {
  if (Object.keys(retry).length === 0) return undefined;
  const { retries } = retry;
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0)) {
    throw InvalidArgumentError.of("retry.retries", `${retries} is not a whole number from 0`);
  }
  return {
    maxAttempts: retries === undefined ? undefined : retries + 1,
    initialDelay: duration("retry.initial_delay", retry.initialDelay),
    factor: retry.factor,
    maxDelay: duration("retry.max_delay", retry.maxDelay),
    jitter: retry.jitter,
    maxCrashes: retry.maxCrashes,
  };
}

function duration(field: string, ms: number | undefined): Duration | undefined {
  if (ms === undefined) return undefined;
  if (!Number.isFinite(ms)) throw InvalidArgumentError.of(field, `${ms} is not a number of milliseconds`);
  return toDuration(ms);
}

export function timestamp(field: string, date: Date | undefined): Timestamp | undefined {
  if (date === undefined) return undefined;
  const ms = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw InvalidArgumentError.of(field, "not a valid Date");
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - seconds * 1000) * 1e6 };
}

/** So that `{ queue: undefined }` means the same as `{}`. */
function withoutUnset<T extends object>(options: T): Partial<T> {
  const set: Partial<T> = {};
  for (const name in options) {
    if (options[name] !== undefined) set[name] = options[name];
  }
  return set;
}
