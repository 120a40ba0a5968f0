// The command drover-worker, as the process that people run, against the broker that @drover/worker/testing starts.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client } from "@drover/client";
import { startDrover, type TestDrover } from "@drover/worker/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { endAll } from "../support/child-processes.js";
import { linesOf } from "../support/diary.js";
import { until } from "../support/until.js";

const command = fileURLToPath(new URL("../../worker-sdk/typescript/dist/main.js", import.meta.url));
const module = fileURLToPath(new URL("../support/command-tasks.mjs", import.meta.url));
const patience = 45_000;

let drover: TestDrover;
let client: Client;
let folder: string;
let fresh = 0;
const started: ChildProcess[] = [];

beforeAll(async () => {
  drover = await startDrover();
  client = new Client({ address: drover.address });
  folder = mkdtempSync(join(tmpdir(), "drover-command-"));
});

afterEach(() => endAll(started, "SIGKILL"));

afterAll(async () => {
  client?.close();
  await drover?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [command, ...args], {
    env: { ...process.env, DROVER_ADDRESS: drover.address, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on("line", (line) => lines.push(line));
  // Not before all that it said is read.
  const ended = once(child, "close").then(([code, signal]) => code ?? signal);
  return { child, lines, ended, text: () => lines.join("\n") };
}

const file = () => join(folder, `file-${++fresh}`);

describe("drover-worker", () => {
  test("serves the tasks of a module from the queues that it is told, and drains on SIGTERM", async () => {
    const diary = file();
    const flags = ["--queues", "letters=3,parcels", "--concurrency", "4", "--name", "by-command"];
    const worker = start([module, ...flags], { DIARY: diary });
    const job = await client.submit("command.hello", { name: "Ada" }, { queue: "parcels" });
    expect(await job.result({ timeout: patience })).toBe("Hello, Ada!");
    expect(await job.status()).toMatchObject({ worker: "by-command" });
    const found = (await client.inspect.workers()).items.find(({ name }) => name === "by-command");
    expect(found).toMatchObject({ queues: ["letters", "parcels"], credit: 4 });

    const gate = file();
    const slow = await client.submit("command.gate", { gate }, { queue: "letters" });
    await until("it to run", () => linesOf(diary).includes("began"), patience);
    worker.child.kill("SIGTERM");
    await until("the drain", () => worker.text().includes("worker_draining"), patience);
    writeFileSync(gate, "");
    expect(await worker.ended).toBe(0);
    expect(await slow.status()).toMatchObject({ state: "SUCCEEDED", attempt: 1 });
    expect(linesOf(diary)).toEqual(["started", "began", "stopped"]);
  });

  test("ends at once at the second signal, with 1", async () => {
    const diary = file();
    const worker = start([module, "-q", "second"], { DIARY: diary });
    await client.submit("command.gate", { gate: file() }, { queue: "second" });
    await until("it to run", () => linesOf(diary).includes("began"), patience);
    worker.child.kill("SIGTERM");
    await until("the drain", () => worker.text().includes("worker_draining"), patience);
    worker.child.kill("SIGTERM");
    expect(await worker.ended).toBe(1);
  });

  test("finds isolated tasks in the module it was given", async () => {
    const worker = start([module, "-q", "apart"]);
    const job = await client.submit<number>("command.apart", {}, { queue: "apart" });
    const pid = await job.result({ timeout: patience });
    expect([worker.child.pid, process.pid]).not.toContain(pid);
  });

  test.each([
    { level: "debug", told: true },
    { level: "warn", told: false },
  ])("logs from the level that it is told: $level", async ({ level, told }) => {
    const queue = `log-${level}`;
    const worker = start([module, "-q", queue, "--log-level", level]);
    await (await client.submit("command.hello", {}, { queue })).result({ timeout: patience });
    worker.child.kill("SIGTERM");
    expect(await worker.ended).toBe(0);
    expect(worker.text().includes('"task_completed"')).toBe(told);
  });

  test("says which tasks a module has", async () => {
    const { ended, lines } = start([module, "--list"]);
    expect(await ended).toBe(0);
    expect(lines.sort()).toEqual(["command.apart", "command.gate", "command.hello"]);
  });

  test("explains itself", async () => {
    const { ended, text } = start(["--help"]);
    expect(await ended).toBe(0);
    for (const word of ["--queues", "--concurrency", "--log-level", "SIGTERM", "Exit codes", "example:"])
      expect(text()).toContain(word);
  });

  test.each([
    { args: [], said: "which module?" },
    { args: [module, "other.mjs"], said: "one module is enough" },
    { args: [module, "--speed", "9"], said: "--speed" },
    { args: [module, "--concurrency", "many"], said: "--concurrency many: not a whole number" },
    { args: [module, "--concurrency", "0"], said: "concurrency 0 is not between 1 and 10,000" },
    { args: [module, "--queues", "a=b"], said: "a weight is a whole number" },
    { args: [module, "--log-level", "loud"], said: "log level loud" },
    { args: [command.replace("main.js", "log.js")], said: "exports no task" },
  ])("wrong usage ends with 2 and one line: $args", async ({ args, said }) => {
    const { ended, lines } = start(args);
    expect(await ended).toBe(2);
    expect(lines).toEqual([expect.stringContaining(said)]);
  });

  test("a module that cannot be loaded ends it with 1 and says why", async () => {
    const { ended, text } = start(["/no/such/tasks.js"]);
    expect(await ended).toBe(1);
    expect(text()).toContain("cannot load /no/such/tasks.js");
  });
});
