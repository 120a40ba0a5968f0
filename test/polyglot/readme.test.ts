// The programs of README.md, run as a stranger would run them.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client } from "@drover/client";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Broker } from "../support/broker.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
/** Go compiles its worker first. */
const patience = 300_000;

let broker: Broker;
let client: Client;
let folder: string;
let env: NodeJS.ProcessEnv;
const workers: ChildProcess[] = [];

beforeAll(async () => {
  broker = await Broker.start();
  client = new Client({ address: broker.address });
  // Inside of the clone, where its packages are found.
  mkdirSync(join(root, ".drover"), { recursive: true });
  folder = mkdtempSync(join(root, ".drover/readme-"));
  const PATH = [join(root, ".drover/tools/bin"), process.env.PATH].join(delimiter);
  env = { ...process.env, PATH, DROVER_ADDRESS: broker.address };
});

afterEach(async () => {
  // A shell or `go run` has children of its own: they are ended as a group.
  for (const worker of workers.splice(0)) {
    if (worker.pid === undefined || worker.exitCode !== null) continue;
    const gone = once(worker, "exit");
    process.kill(-worker.pid, "SIGTERM");
    await gone;
  }
});

afterAll(async () => {
  client?.close();
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The first program of this language under a heading. */
function program(heading: string, language: string): string {
  const section = readme.split(new RegExp(`^### ${heading}$`, "m"))[1] ?? "";
  const found = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(section)?.[1];
  if (found === undefined) throw new Error(`README.md has no ${language} under ${heading}`);
  return found;
}

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function start(command: string, ...args: string[]): void {
  workers.push(
    spawn(command, args, { cwd: root, env, detached: true, stdio: ["ignore", "ignore", "inherit"] }),
  );
}

const node = () => start(process.execPath, written("hello.mjs", program("TypeScript", "js")));

test.each([
  { language: "TypeScript", task: "hello.node", run: node },
  {
    language: "Python",
    task: "hello.python",
    run: () => start(join(root, ".drover/venv/bin/python"), written("hello.py", program("Python", "python"))),
  },
  {
    language: "Go",
    task: "hello.go",
    run: () => start("go", "run", written("hello.go", program("Go", "go"))),
  },
])(
  "the worker in $language says hello",
  async ({ task, run }) => {
    run();
    const job = await client.submit(task, { name: "Ada" });
    expect(await job.result({ timeout: patience })).toBe("Hello, Ada!");
  },
  patience,
);

test("the worker and the client in Bash find each other", async () => {
  // With job control the worker is a group of its own, and is ended with all that it started.
  const script = `set -m\n${program("Bash", "sh")}\nkill %1`;
  const { stdout } = await promisify(execFile)("bash", ["-c", script], { cwd: root, env });
  expect(stdout).toContain('"HELLO, ADA!"');
});

test("the client gets its answer", async () => {
  node();
  const script = written("submit.mjs", program("Submitting", "js"));
  const { stdout } = await promisify(execFile)(process.execPath, [script], { cwd: root, env });
  expect(stdout).toBe("Hello, Ada!\n");
});
