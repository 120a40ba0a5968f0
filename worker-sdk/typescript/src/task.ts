import { detachedContext, type TaskContext } from "./context.js";
import type { FailureRules } from "./outcomes.js";

export type Handler<P, R> = (payload: P, context: TaskContext) => R | Promise<R>;

/** How often and when a failed job runs again. */
export interface TaskRetry {
  /** Runs after the first: 0 to 999. 3 = four runs. */
  readonly retries?: number;
  /** Wait after the first failure, in ms. */
  readonly initialDelay?: number;
  /** What the wait is multiplied by after each further failure: 1 to 100. */
  readonly factor?: number;
  /** Upper bound of the wait, in ms. */
  readonly maxDelay?: number;
  /** Share by which each wait is spread: 0 to 1. */
  readonly jitter?: number;
  /** Runs that may end without any report: 0 to 100. 0 = at most once. */
  readonly maxCrashes?: number;
}

/** How a job of the task is submitted unless the submit says otherwise. @drover/client reads this from the task it is
 *  given. */
export interface TaskDefaults {
  readonly queue?: string;
  /** 0 to 9, 9 is the most urgent. */
  readonly priority?: number;
  readonly retry?: TaskRetry;
  /** In ms. */
  readonly softTimeLimit?: number;
  /** In ms. */
  readonly hardTimeLimit?: number;
  /** How long the record is kept, in ms: 0 or 10 min to 365 days. */
  readonly resultRetention?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface TaskOptions extends TaskDefaults, FailureRules {
  /** How many of this task at a time in one worker: 1 to 10,000; unset = no bound but the worker's. */
  readonly concurrency?: number;
}

/** A task and its handler. Calling it runs the handler right here, without a broker. Its `name` is the task's. */
export interface Task<P = unknown, R = unknown> {
  (payload: P, context?: TaskContext): Promise<R>;
  readonly name: string;
  readonly handler: Handler<P, R>;
  readonly options: TaskOptions;
  readonly defaults: TaskDefaults;
  /** Never there at run time; carries the types to @drover/client. */
  readonly "~types"?: { readonly payload: P; readonly result: R };
}

/** A task as lists hold it, whatever its payload is. */
// biome-ignore lint/suspicious/noExplicitAny: a handler's parameter is contravariant, so only any fits every task
export type AnyTask = Task<any, any>;

const NAME = /^[A-Za-z0-9_.-]{1,128}$/;

/** @throws RangeError for a bad name or concurrency. */
export function defineTask<P = unknown, R = unknown>(
  definition: TaskOptions & { readonly name: string; readonly handler: Handler<P, R> },
): Task<P, R> {
  const { name, handler, ...options } = definition;
  if (!NAME.test(name))
    throw new RangeError(`task name ${JSON.stringify(name)}: use 1 to 128 of A-Z a-z 0-9 _ . -`);
  const { concurrency, permanentErrors: _, isPermanent: __, ...defaults } = options;
  if (
    concurrency !== undefined &&
    !(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 10_000)
  ) {
    throw new RangeError(`task ${name}: concurrency ${concurrency} is not between 1 and 10,000`);
  }
  const call = async (payload: P, context?: TaskContext): Promise<R> =>
    handler(payload, context ?? detachedContext(name));
  Object.defineProperty(call, "name", { value: name });
  return Object.assign(call, { handler, options, defaults }) as Task<P, R>;
}
