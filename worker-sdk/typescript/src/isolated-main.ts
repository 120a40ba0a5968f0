// The program of a thread or process for isolated runs: imports the module that defines the task, and runs its handler for
// one lease at a time. It has no connection of its own: all goes through the worker that started it.

import { isMainThread, parentPort, Worker as Thread } from "node:worker_threads";
import { decode, encode } from "@drover/proto/sdk/payload";
import { Lease } from "@drover/proto/v1/worker_service";
import { TaskContext } from "./context.js";
import {
  HardTimeLimitExceeded,
  type Interrupted,
  JobCancelled,
  LeaseLost,
  Permanent,
  SoftTimeLimitExceeded,
  WorkerDraining,
} from "./errors.js";
import type { FlowInput } from "./inputs.js";
import { invoke } from "./invoke.js";
import { becomeIsolated, type FromIsolated, type RunHooks, type ToIsolated } from "./isolation.js";
import type { Logger, LogLevel } from "./log.js";
import { type Report, reportOfError, succeeded } from "./outcomes.js";
import type { AnyTask } from "./task.js";

interface Current {
  readonly context: TaskContext;
  readonly task: AnyTask;
  interrupted: Interrupted | undefined;
  inputs: ((answer: Extract<ToIsolated, { kind: "inputs" }>) => void) | undefined;
}

const module = process.argv[2] ?? "";
const tasks = new Map<string, AnyTask>();
let current: Current | undefined;
let hooks: RunHooks = {};

const workerStarted = new Promise<void>((resolve) => {
  becomeIsolated({
    defined: (task) => tasks.set(task.name, task),
    workerStarted: (of) => {
      hooks = of;
      resolve();
    },
  });
});
// A module that starts a worker is never done with its own import, and its tasks are defined by then.
const ready = Promise.race([workerStarted, imported()]).then(() => hooks.onStart?.());
// Told by the first run.
ready.catch(() => {});

listen((message) => {
  if (message.kind === "run") void run(message.task, Lease.decode(message.lease));
  else if (message.kind === "interrupt") interrupt(message.why);
  else current?.inputs?.(message);
});
process.on("uncaughtException", (error) => fall(error)).on("unhandledRejection", (error) => fall(error));
if (isMainThread) outliveNobody();

async function imported(): Promise<void> {
  const { default: options }: { default?: RunHooks } = await import(module);
  if (typeof options === "object" && options !== null) hooks = options;
}

async function run(name: string, lease: Lease): Promise<void> {
  send({ kind: "report", report: await reportOf(name, lease), last: false });
  current = undefined;
}

async function reportOf(name: string, lease: Lease): Promise<Report> {
  let task: AnyTask | undefined;
  try {
    await ready;
    task = tasks.get(name);
    if (task === undefined)
      throw new Permanent(
        `${module} does not define task ${name}: give the task the option module: import.meta.url`,
      );
    const context = contextOf(lease);
    current = { context, task, interrupted: undefined, inputs: undefined };
    const result = await invoke(task, decode(lease.payload), context, hooks.around);
    return succeeded(encode(result));
  } catch (error) {
    return reportOfError(error, task?.options ?? {}, current?.interrupted);
  }
}

function contextOf(lease: Lease): TaskContext {
  return new TaskContext(lease, {
    logger: logger(),
    onProgress: ({ value, detail }) => send({ kind: "progress", value, detail }),
    inputs: () => {
      send({ kind: "inputs" });
      return new Promise<readonly FlowInput[]>((resolve, reject) => {
        if (current === undefined) return;
        current.inputs = ({ inputs, error }) =>
          inputs === undefined ? reject(new Error(error)) : resolve(inputs);
      });
    },
  });
}

const reasons: Record<string, (new () => Interrupted) | undefined> = {
  JobCancelled,
  SoftTimeLimitExceeded,
  HardTimeLimitExceeded,
  LeaseLost,
  WorkerDraining,
};

function interrupt(name: string): void {
  const Reason = reasons[name];
  if (current === undefined || Reason === undefined) return;
  current.interrupted = new Reason();
  current.context.interrupt(current.interrupted);
}

/** What no handler catches ends its run, and this with it: who knows what is left. */
function fall(error: unknown): void {
  if (current !== undefined) {
    const report = reportOfError(error, current.task.options, current.interrupted);
    send({ kind: "report", report, last: true }, () => process.exit(1));
  } else process.exit(1);
}

function logger(): Logger {
  const tell = (level: LogLevel) => (fields: object, message: string) => {
    let text = "{}";
    try {
      text = JSON.stringify(fields);
    } catch {
      // Not JSON (a cycle, a bigint): the line is told without.
    }
    send({ kind: "log", level, fields: text, message });
  };
  return { debug: tell("debug"), info: tell("info"), warn: tell("warn"), error: tell("error") };
}

function send(message: FromIsolated, sent?: () => void): void {
  if (parentPort === null) process.send?.(message, undefined, undefined, () => sent?.());
  else {
    parentPort.postMessage(message);
    sent?.();
  }
}

function listen(hear: (message: ToIsolated) => void): void {
  if (parentPort === null) process.on("message", hear);
  else parentPort.on("message", hear);
}

/** A process: signals are for the worker, which decides what becomes of this; and without a worker nobody would end a
 *  handler that never yields. */
function outliveNobody(): void {
  process.on("SIGTERM", () => {}).on("SIGINT", () => {});
  process.on("disconnect", () => process.exit(1));
  const watch = `setInterval(() => process.ppid !== ${process.ppid} && process.kill(process.pid, "SIGKILL"), 500)`;
  new Thread(watch, { eval: true }).unref();
}
