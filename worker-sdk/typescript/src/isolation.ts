// Runs in a thread or process of their own: what both ends have to agree on. A handler is a closure and cannot be sent, so
// the other end imports the module that defines the task and runs it there.

import { pathToFileURL } from "node:url";
import type { FlowInput } from "./inputs.js";
import type { Around } from "./invoke.js";
import type { LogLevel } from "./log.js";
import type { Report } from "./outcomes.js";
import type { AnyTask } from "./task.js";

export type Isolation = "process" | "thread";
/** A URL or the path of a file. */
export type ModuleRef = string | URL;

export type ToIsolated =
  | { readonly kind: "run"; readonly task: string; readonly lease: Uint8Array }
  /** `why`: the name of the class. */
  | { readonly kind: "interrupt"; readonly why: string }
  | { readonly kind: "inputs"; readonly inputs: readonly FlowInput[] | undefined; readonly error: string };

export type FromIsolated =
  | { readonly kind: "progress"; readonly value: number | undefined; readonly detail: Uint8Array }
  /** `fields` is JSON: not everything that can be logged can be sent. */
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly fields: string;
      readonly message: string;
    }
  | { readonly kind: "inputs" }
  /** `last`: what reports it ends now. */
  | { readonly kind: "report"; readonly report: Report; readonly last: boolean };

/** What a worker has around the runs of its tasks, and needs before the first of them. */
export interface RunHooks {
  readonly around?: Around | undefined;
  readonly onStart?: (() => void | Promise<void>) | undefined;
}

/** What a thread or process for isolated runs listens for while it imports the module of its task. */
export interface IsolatedHost {
  defined(task: AnyTask): void;
  /** The module makes a worker and starts it: here it must not, but its hooks are those of the runs. */
  workerStarted(hooks: RunHooks): void;
}

// Of the process, not of this module: there may be two copies of the package.
const HOST = Symbol.for("drover.isolated-host");
type Global = typeof globalThis & { [HOST]?: IsolatedHost };

/** Undefined in an ordinary program. */
export function isolated(): IsolatedHost | undefined {
  return (globalThis as Global)[HOST];
}

export function becomeIsolated(host: IsolatedHost): void {
  (globalThis as Global)[HOST] = host;
}

let entry: string | undefined;

/** Where tasks are defined that do not say so themselves. Default: the module the program began with. */
export function setEntryModule(module: ModuleRef): void {
  entry = urlOf(module);
}

/** @throws Error where there is no such module: in a REPL, in a program given with -e */
export function moduleOf(task: AnyTask): string {
  const { module = entry ?? process.argv[1] } = task.options;
  if (module === undefined)
    throw new Error(`task ${task.name} is to run isolated: give it the option module: import.meta.url`);
  return urlOf(module);
}

function urlOf(module: ModuleRef): string {
  if (module instanceof URL) return module.href;
  return /^[a-z]+:\/\//i.test(module) ? module : pathToFileURL(module).href;
}
