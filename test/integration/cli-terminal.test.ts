// The command `drover` on a terminal, with somebody in front of it: what it shows there, what it asks, how it is interrupted.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@drover/client";
import { Permanent, Worker } from "@drover/worker";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { freePort } from "../support/nats.js";
import { Terminal, type TerminalOptions } from "../support/terminal.js";
import { until } from "../support/until.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = join(root, "client-sdk/typescript/dist/cli/main.js");
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const ctrlC = "\u0003";
const esc = "\u001b";
/** To the begin of the line, which is emptied. */
const anew = `\r${esc}[2K`;

let broker: Broker;
let client: Client;
let worker: Worker;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "drover-terminal-"));
  broker = await Broker.start();
  client = new Client({ address: broker.address });
  worker = new Worker({ address: broker.address, logger: silent, name: "terminal-worker" });
  worker.task("tty.add", ({ a, b }: { a: number; b: number }) => a + b);
  worker.task("tty.fail", () => {
    throw new Permanent(`${esc}[31mred${esc}[0m and long: ${"x".repeat(100)}`);
  });
  worker.task("tty.hold", (_: unknown, context) => {
    return new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve()));
  });
  await worker.start();
});

afterAll(async () => {
  await worker?.stop();
  client?.close();
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const terminals: Terminal[] = [];
afterEach(() => {
  for (const terminal of terminals.splice(0)) terminal.close();
});

function open(command: readonly string[], options?: TerminalOptions): Terminal {
  const terminal = new Terminal(command, options);
  terminals.push(terminal);
  return terminal;
}

const drover = (args: readonly string[], options?: TerminalOptions) =>
  open([process.execPath, main, "--address", broker.address, ...args], options);

describe("a table on a terminal", () => {
  test("has colours and fits the width, and nothing of a job moves the cursor", async () => {
    await (await client.submit("tty.fail")).wait();
    const terminal = drover(["list", "--state", "failed"], { columns: 60 });
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown).toContain(`${esc}[31mfailed`);
    expect(terminal.lines.filter((line) => [...line].length > 60)).toEqual([]);
    expect(terminal.lines.join("\n")).toMatch(/tty\.fail~\S+ +failed/);
    // All that is left of escapes are those of tables: bold, dim, a colour, and their end.
    const left = ["0", "1", "2", "31", "32", "33"].reduce(
      (text, code) => text.replaceAll(`${esc}[${code}m`, ""),
      terminal.shown,
    );
    expect(left).not.toContain(esc);
  });

  test("has no colours with NO_COLOR", async () => {
    const terminal = drover(["list", "--state", "failed"], { env: { NO_COLOR: "1" } });
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown).not.toContain(esc);
  });
});

describe("a purge asks", () => {
  const filled = async (queue: string) => {
    await client.submitBatch([1, 2, 3].map(() => ({ task: "tty.nobody", queue })));
    const terminal = drover(["queue", "purge", queue]);
    await terminal.shows(`Remove 3 ready jobs of ${queue}, without a record? [y/N]`);
    return terminal;
  };

  test("and removes nothing unless the answer is yes", async () => {
    const terminal = await filled("kept");
    terminal.type("\n");
    expect(await terminal.ended).toBe(1);
    expect(terminal.shown).toContain("nothing was removed");
    expect((await client.queues.get("kept")).ready).toBe(3);
  });

  test("and does what it was told", async () => {
    const terminal = await filled("gone");
    terminal.type("y\n");
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown).toContain("removed 3 ready jobs of gone");
    expect((await client.queues.get("gone")).ready).toBe(0);
  });

  test("and Ctrl-C is no yes", async () => {
    const terminal = await filled("left");
    terminal.type(ctrlC);
    expect(await terminal.ended).toBe(130);
    expect((await client.queues.get("left")).ready).toBe(3);
  });
});

test("who waits for a job and has enough leaves by Ctrl-C; the job goes on", async () => {
  const terminal = drover(["run", "tty.hold", "--key", "left"]);
  await terminal.shows("tty.hold~left");
  const job = client.job("tty.hold~left");
  await until("it to run", async () => (await job.status()).state === "RUNNING");
  terminal.type(ctrlC);
  expect(await terminal.ended).toBe(130);
  expect(terminal.shown).toContain("interrupted; tty.hold~left goes on");
  expect((await job.status()).state).toBe("RUNNING");
  await job.cancel();
});

test("work on many shows how far it is, on a line that is gone afterwards", async () => {
  const file = join(folder, "many.ndjson");
  writeFileSync(file, '{"a":1,"b":1}\n'.repeat(2_500));
  const submitted = drover(["submit", "tty.nobody", "--lines", file, "-q", "many"]);
  expect(await submitted.ended).toBe(0);
  expect(submitted.shown).toContain(`${anew}1,000 submitted`);
  expect(submitted.shown.endsWith(`${anew}2,500 submitted\r\n`)).toBe(true);
  const listed = drover(["list", "-q", "many", "--limit", "1500"]);
  expect(await listed.ended).toBe(0);
  expect(listed.shown).toContain(`${anew}1,000 read${anew}`);
  const counted = drover(["cancel", "-q", "many", "--dry-run"]);
  expect(await counted.ended).toBe(0);
  expect(counted.shown).toContain(`${anew}cancel: `);
  expect(counted.lines.join("\n")).toContain("cancel would meet 2,500 jobs; nothing was changed");
  const cancelled = drover(["cancel", "-q", "many"]);
  expect(await cancelled.ended).toBe(0);
  expect(cancelled.shown).toContain(`${anew}cancel: `);
  expect(cancelled.shown.endsWith(`${anew}cancel: 2,500 jobs\r\n`)).toBe(true);
});

test("top draws queues with rates and ages, and workers; Ctrl-C gives the shell its screen back", async () => {
  await client.submitBatch([{ task: "tty.nobody", queue: "waiting" }]);
  const terminal = drover(["top", "--every", "100ms"], { columns: 72, rows: 20 });
  await until("two pictures", () => terminal.shown.split("terminal-worker").length > 2);
  const adding = Array.from({ length: 50 }, () => client.submit("tty.add", { a: 1, b: 1 }));
  await Promise.all(adding.map(async (job) => (await job).wait()));
  await terminal.shows(/default +open +0 .* [1-9]\d*(\.\d)? +[1-9]\d*(\.\d)? /);
  await terminal.shows(/waiting +open +1 +[\d.]+ (s|min) /);
  terminal.type(ctrlC);
  expect(await terminal.ended).toBe(0);
  expect(terminal.shown).toContain(`${esc}[?1049h`);
  expect(terminal.shown.trimEnd().endsWith(`${esc}[?25h${esc}[?1049l`)).toBe(true);
  expect(terminal.lines.filter((line) => [...line].length > 72)).toEqual([]);
});

test("a bash that has its completion script completes commands, flags and their words", async () => {
  const shim = join(folder, "drover");
  writeFileSync(shim, `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`);
  chmodSync(shim, 0o755);
  const env = { PATH: `${folder}:${process.env.PATH}`, HISTFILE: "" };
  const terminal = open(["bash", "--norc", "--noprofile", "-i"], { env });
  await terminal.shows(/[#$] $/);
  terminal.type("bind 'set bell-style none'; source <(drover completion bash); echo taught | tr t T\n");
  await terminal.shows("TaughT");
  terminal.type("echo drover\u0015drover que\t");
  await terminal.shows("drover queue ");
  terminal.type("pur\t");
  await terminal.shows("drover queue purge ");
  terminal.type("mail --dr\t");
  await terminal.shows("purge mail --dry-run ");
  terminal.type("\u0015drover list --state cancel\t");
  await terminal.shows("list --state cancelled ");
  terminal.type("\u0015exit\n");
  await terminal.ended;
});

test("dev runs a broker with all it needs and a log to read, until Ctrl-C", async () => {
  const port = await freePort();
  const env = { DROVER_HTTP_PORT: String(await freePort()) };
  const data = join(folder, "dev");
  const command = [process.execPath, main, "dev", "--port", String(port), "--data-dir", data];
  const terminal = open(command, { env, cwd: root, columns: 200 });
  await terminal.shows("ready");
  expect(terminal.shown).toContain("embedded nats-server started");
  expect(terminal.lines.filter((line) => line.startsWith("{"))).toEqual([]);
  const user = new Client({ address: `127.0.0.1:${port}` });
  try {
    expect((await (await user.submit("tty.nobody")).status()).state).toBe("READY");
  } finally {
    user.close();
  }
  terminal.type(ctrlC);
  expect(await terminal.ended).toBe(0);
  await terminal.shows("stopped");
});
