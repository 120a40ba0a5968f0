import type { InputOf, OutputOf, Schema } from "@drover/proto/sdk/schema";
import { detachedContext, type TaskContext } from "./context.js";
import { invoke } from "./invoke.js";
import { type Isolation, isolated, type ModuleRef } from "./isolation.js";
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

/** What concerns the worker, not the submitter. */
export interface RunOptions extends FailureRules {
  /** How many of this task at a time in one worker: 1 to 10,000; unset = no bound but the worker's. */
  readonly concurrency?: number;
  /** Where its runs take place: in a thread or a process of their own they are ended for real at the hard time limit and at
   *  a cancel, and may compute for as long as they like. Unset: in the worker itself. */
  readonly isolation?: Isolation;
  /** Of an isolated task: the module that defines it, `import.meta.url`. Default: the module the program began with. */
  readonly module?: ModuleRef;
}

export interface TaskOptions extends TaskDefaults, RunOptions {}

/** What has to fit before the handler runs, and after. */
export interface Schemas {
  readonly payload?: Schema | undefined;
  readonly result?: Schema | undefined;
}

/** A task as both sides know it, without its handler: what @drover/client's taskRef gives. P is what is submitted, R what
 *  comes back, H what the handler gets once the schema has been through it. */
export interface TaskContract<P = unknown, R = unknown, H = P> {
  readonly name: string;
  readonly defaults?: TaskDefaults;
  readonly schemas?: Schemas;
  /** Never there at run time. */
  readonly "~types"?: { readonly payload: P; readonly result: R; readonly handled: H };
}

/** A task and its handler. Calling it runs the handler right here, without a broker. Its `name` is the task's. */
export interface Task<P = unknown, R = unknown, H = P> {
  (payload: P, context?: TaskContext): Promise<R>;
  readonly name: string;
  readonly handler: Handler<H, R>;
  readonly options: TaskOptions;
  readonly defaults: TaskDefaults;
  readonly schemas: Schemas;
  /** Never there at run time; carries the types to @drover/client. */
  readonly "~types"?: { readonly payload: P; readonly result: R; readonly handled: H };
}

/** A task as lists hold it, whatever its payload is. */
// biome-ignore lint/suspicious/noExplicitAny: a handler's parameter is contravariant, so only any fits every task
export type AnyTask = Task<any, any, any>;

const NAME = /^[A-Za-z0-9_.-]{1,128}$/;

/** What stays with the worker; all else is for whoever submits. */
const ofRuns: Readonly<Record<keyof RunOptions, true>> = {
  concurrency: true,
  permanentErrors: true,
  isPermanent: true,
  isolation: true,
  module: true,
};

interface Definition<H, R> extends TaskOptions {
  readonly name: string;
  readonly payload?: Schema | undefined;
  readonly result?: Schema | undefined;
  readonly handler: Handler<H, R>;
}

/** With a schema of its payload, and perhaps one of its result; types are taken from them.
 *  @throws RangeError for a bad name, concurrency or isolation. */
export function defineTask<S extends Schema, R = unknown>(
  definition: TaskOptions & {
    readonly name: string;
    readonly payload: S;
    readonly result?: Schema<R>;
    readonly handler: Handler<OutputOf<S>, R>;
  },
): Task<InputOf<S>, R, OutputOf<S>>;
/** @throws RangeError for a bad name, concurrency or isolation. */
export function defineTask<P = unknown, R = unknown>(
  definition: TaskOptions & { readonly name: string; readonly handler: Handler<P, R> },
): Task<P, R>;
export function defineTask<P, R, H>(definition: Definition<H, R>): Task<P, R, H> {
  return made(definition);
}

function made<P, R, H>(definition: Definition<H, R>): Task<P, R, H> {
  const { name, handler, payload, result, ...options } = definition;
  const { concurrency } = options;
  const defaults = Object.fromEntries(
    Object.entries(options).filter(([option]) => !Object.hasOwn(ofRuns, option)),
  ) as TaskDefaults;
  if (!NAME.test(name))
    throw new RangeError(`task name ${JSON.stringify(name)}: use 1 to 128 of A-Z a-z 0-9 _ . -`);
  if (
    concurrency !== undefined &&
    !(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 10_000)
  ) {
    throw new RangeError(`task ${name}: concurrency ${concurrency} is not between 1 and 10,000`);
  }
  const call = async (payload: P, context?: TaskContext): Promise<R> =>
    (await invoke(task, payload, context ?? detachedContext(name))) as R;
  Object.defineProperty(call, "name", { value: name });
  const task = Object.assign(call, { handler, options, defaults, schemas: { payload, result } }) as Task<
    P,
    R,
    H
  >;
  isolated()?.defined(task);
  return task;
}

/** Gives a task that was defined without a handler the one it has. Its defaults and schemas are the contract's.
 *  @throws RangeError for a bad name, concurrency or isolation. */
export function implement<P, R, H = P>(
  contract: TaskContract<P, R, H>,
  handler: Handler<H, R>,
  options: RunOptions = {},
): Task<P, R, H> {
  const { name, defaults = {}, schemas = {} } = contract;
  return made({ ...defaults, ...options, ...schemas, name, handler });
}
