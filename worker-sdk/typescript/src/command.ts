// The command `drover-worker`: the tasks of a module, served until a signal. What a program would say in code is said by
// flags and by the module's default export.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { setEntryModule } from "./isolation.js";
import { jsonLogger } from "./log.js";
import type { QueueOption, WorkerOptions } from "./options.js";
import { SessionError } from "./session-error.js";
import type { AnyTask } from "./task.js";
import { VERSION } from "./version.js";
import { Worker } from "./worker.js";

export const exits = { done: 0, failed: 1, usage: 2 } as const;

const help = `drover-worker ${VERSION}: serves the Drover tasks of a module

usage: drover-worker MODULE [options]

MODULE is a JavaScript file (or TypeScript, where Node can read it). Every task that it exports is served, alone or in an
array. Its default export may be options of a worker: { onStart, onStop, around, logger, tasks, ... }.
A flag wins over what the module says.

  -q, --queues NAMES       queues to take jobs from, comma between; NAME=WEIGHT gives one a share of 1 to 100 (default)
  -c, --concurrency N      handlers at a time: 1 to 10000 (10)
      --prefetch N         jobs held beyond that; pays for very short jobs only (0)
  -a, --address ADDRESSES  brokers, host:port, comma between (DROVER_ADDRESS, else 127.0.0.1:50051)
  -n, --namespace NAME     (the broker's)
      --name NAME          who works, for people (host:pid)
      --drain SECONDS      what running handlers get after a signal (20)
  -l, --log-level LEVEL    debug, info, warn, error or silent (DROVER_LOG_LEVEL, else info)
      --list               say which tasks the module has, and end
  -h, --help               this text
      --version

The first SIGTERM or SIGINT drains: no more jobs, running ones may finish, the rest is given back. The second ends at once.

Exit codes: 0 stopped in good order, 1 could not start, broke or was ended by a second signal, 2 wrong usage

example: drover-worker ./dist/tasks.js --queues mail=3,default --concurrency 50 --log-level debug
`;

class UsageError extends Error {}

/** Runs the command, and answers with its exit code. */
export async function run(args: readonly string[], out: (text: string) => void): Promise<number> {
  try {
    const { values, positionals } = parsed(args);
    if (values.help) return said(out, help);
    if (values.version) return said(out, `${VERSION}\n`);
    const [module, ...more] = positionals;
    if (module === undefined) throw new UsageError("which module? drover-worker ./tasks.js");
    if (more.length > 0) throw new UsageError(`one module is enough: what is ${more.join(" ")}?`);
    const { tasks, options } = await load(module);
    if (tasks.length === 0) throw new UsageError(`${module} exports no task: make some with defineTask`);
    if (values.list) return said(out, tasks.map(({ name }) => `${name}\n`).join(""));
    const worker = new Worker({ ...options, ...flagged(values), tasks });
    await worker.run();
    return exits.done;
  } catch (error) {
    if (error instanceof UsageError || error instanceof RangeError) return failed(error, exits.usage);
    if (error instanceof SessionError || error instanceof LoadError) return failed(error, exits.failed);
    throw error;
  }
}

function said(out: (text: string) => void, text: string): number {
  out(text);
  return exits.done;
}

function failed(error: Error, code: number): number {
  process.stderr.write(`drover-worker: ${error.message}\n`);
  return code;
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        queues: { type: "string", short: "q" },
        concurrency: { type: "string", short: "c" },
        prefetch: { type: "string" },
        address: { type: "string", short: "a" },
        namespace: { type: "string", short: "n" },
        name: { type: "string" },
        drain: { type: "string" },
        "log-level": { type: "string", short: "l" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(". ", 1)[0]}; see --help`);
  }
}

type Flags = ReturnType<typeof parsed>["values"];

function flagged(flags: Flags): WorkerOptions {
  const { queues, address, namespace, name } = flags;
  const [concurrency, prefetch] = [whole(flags, "concurrency"), whole(flags, "prefetch")];
  const drain = whole(flags, "drain");
  const level = flags["log-level"];
  return {
    ...(queues !== undefined && { queues: queues.split(",").map(queue) }),
    ...(concurrency !== undefined && { concurrency }),
    ...(prefetch !== undefined && { prefetch }),
    ...(address !== undefined && { addresses: address.split(",").map((each) => each.trim()) }),
    ...(namespace !== undefined && { namespace }),
    ...(name !== undefined && { name }),
    ...(drain !== undefined && { drainTimeout: drain * 1_000 }),
    ...(level !== undefined && { logger: jsonLogger(level) }),
  };
}

function whole(flags: Flags, name: "concurrency" | "prefetch" | "drain"): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  if (!/^[0-9]+$/.test(text)) throw new UsageError(`--${name} ${text}: not a whole number`);
  return Number(text);
}

function queue(text: string): QueueOption {
  const [name = "", weight] = text.trim().split("=");
  if (name === "") throw new UsageError("--queues: a name is missing");
  if (weight === undefined) return name;
  if (!/^[0-9]+$/.test(weight)) throw new UsageError(`--queues ${text}: a weight is a whole number`);
  return { name, weight: Number(weight) };
}

class LoadError extends Error {}

async function load(module: string): Promise<{ tasks: AnyTask[]; options: WorkerOptions }> {
  const url = pathToFileURL(resolve(module)).href;
  setEntryModule(url);
  let exported: Record<string, unknown>;
  try {
    exported = await import(url);
  } catch (error) {
    throw new LoadError(`cannot load ${module}: ${(error as Error).stack ?? error}`);
  }
  const options = isOptions(exported.default) ? exported.default : {};
  const found = [...Object.values(exported).flat(), ...(options.tasks ?? [])].filter(isTask);
  return { tasks: [...new Set(found)], options };
}

function isTask(value: unknown): value is AnyTask {
  return typeof value === "function" && "handler" in value && "defaults" in value && "options" in value;
}

function isOptions(value: unknown): value is WorkerOptions {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
