// Workers of every language as processes: the programs in workers/, which all serve the same tasks. A language that is not
// here takes part by a command line of its own: DROVER_CONFORMANCE="ruby: bundle exec ruby worker.rb".

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const programs = fileURLToPath(new URL("workers", import.meta.url));
const cache = join(root, ".drover/polyglot");
const goProgram = join(cache, "worker");
const goClient = join(cache, "client");

const commands = new Map<string, readonly string[]>([
  ["typescript", [process.execPath, join(programs, "typescript/worker.mjs")]],
  ["python", [join(root, ".drover/venv/bin/python"), join(programs, "python/worker.py")]],
  ["go", [goProgram]],
  ...given(process.env.DROVER_CONFORMANCE ?? ""),
]);
export const languages: readonly string[] = [...commands.keys()];

const clients = fileURLToPath(new URL("clients", import.meta.url));
/** Of this repository's SDKs only. */
export const clientCommands = {
  typescript: [process.execPath, join(clients, "typescript/client.mjs")],
  python: [join(root, ".drover/venv/bin/python"), join(clients, "python/client.py")],
  go: [goClient],
} as const;

/** Languages from outside, a semicolon between them. */
function given(text: string): [string, string[]][] {
  return text.split(";").flatMap((each): [string, string[]][] => {
    const [, language, command = ""] = /^\s*([\w+#-]+)\s*:\s*(.+?)\s*$/.exec(each) ?? [];
    return language === undefined ? [] : [[language, command.split(/\s+/)]];
  });
}

/** Go's has to be built first. */
export const buildWorkers = () => goBuild(goProgram, join(programs, "go/worker.go"));
export const buildClients = () => goBuild(goClient, join(clients, "go/client.go"));

async function goBuild(program: string, source: string): Promise<void> {
  mkdirSync(cache, { recursive: true });
  await promisify(execFile)("go", ["build", "-o", program, source], { cwd: root });
}

export interface FixtureOptions {
  address: string;
  queue: string;
  name: string;
  concurrency?: number;
  /** What running handlers get when the worker is told to stop, in seconds. */
  drain?: number;
  /** More of its environment. */
  env?: Readonly<Record<string, string>>;
}

export class FixtureWorker {
  /** What it said, a line each. */
  readonly lines: string[] = [];

  private constructor(
    readonly name: string,
    readonly process: ChildProcess,
  ) {
    for (const stream of [process.stdout, process.stderr])
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.lines.push(line));
  }

  static start(language: string, options: FixtureOptions): FixtureWorker {
    const { address, queue, name, concurrency = 10, drain = 20 } = options;
    const [program = "", ...args] = commands.get(language) ?? [];
    const inherited = Object.entries(process.env).filter(([variable]) => !variable.startsWith("DROVER_"));
    const env = {
      ...Object.fromEntries(inherited),
      DROVER_ADDRESS: address,
      FIXTURE_NAME: name,
      FIXTURE_QUEUE: queue,
      FIXTURE_CONCURRENCY: String(concurrency),
      FIXTURE_DRAIN_SECONDS: String(drain),
      ...options.env,
    };
    return new FixtureWorker(name, spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] }));
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Settles with how the process ended: its exit code, or the signal that ended it. */
  async ended(): Promise<number | string | null> {
    if (this.running) await once(this.process, "exit");
    return this.process.exitCode ?? this.process.signalCode;
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}
