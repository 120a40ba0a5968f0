// Handlers that nobody can stop from outside, in a thread or process of their own: whatever they do, the job has a readable
// outcome, the slot is free again and the worker goes on.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, chain, type JobHandle, type JobState, step } from "@drover/client";
import { Lease } from "@drover/proto/v1";
import { type AnyTask, defineTask, JobCancelled, Worker } from "@drover/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IsolatedRuns } from "../../worker-sdk/typescript/dist/isolated-runs.js";
import { Broker } from "../support/broker.js";
import { isAlive } from "../support/child-processes.js";
import { linesOf } from "../support/diary.js";
import { until } from "../support/until.js";

const lines: [string, Record<string, unknown>][] = [];
const log = (fields: object, message: string) => void lines.push([message, { ...fields }]);
const logger = { debug: log, info: log, warn: log, error: log };
const patience = 45_000;
const once = { retry: { retries: 0 } };

let broker: Broker;
let client: Client;
let worker: Worker;
let folder: string;
let tasks: AnyTask[];
let fresh = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "drover-isolation-"));
  broker = await Broker.start({ env: { DROVER_SESSION_TIMEOUT: "4s" } });
  client = new Client({ address: broker.address });
  worker = new Worker({ address: broker.address, logger });
  const fixture = new URL("../support/isolated-tasks.mjs", import.meta.url);
  const { register }: { register: (worker: Worker) => void } = await import(fixture.href);
  register(worker);
  ({ tasks } = await import(fixture.href));
  worker.register(
    defineTask({ name: "elsewhere", handler: () => 1, isolation: "process", module: fixture }),
    defineTask({ name: "nowhere", handler: () => 1, isolation: "thread", module: "/no/such/module.mjs" }),
  );
  await worker.start();
});

afterAll(async () => {
  await worker?.stop();
  client?.close();
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function ended(job: JobHandle, state: JobState) {
  const status = await job.wait({ timeout: patience });
  expect(status.state, `${job.id}: ${JSON.stringify(status.failure)}`).toBe(state);
  return status;
}

const file = (name: string) => join(folder, `${name}-${++fresh}`);
const allSlotsFree = () => until("the slot to be free", () => worker.running === 0);

describe.each(["process", "thread"] as const)("in a %s of its own", (isolation) => {
  const submit = (name: string, payload: unknown = {}, options: object = once) =>
    client.submit(`${isolation}.${name}`, payload, options);

  test("a handler runs away from the worker, in one that is used again", async () => {
    const first = await ended(await submit("where", {}, { labels: { tenant: "a" } }), "SUCCEEDED");
    expect(first.result).toMatchObject({ attempt: 1, labels: { tenant: "a" } });
    const { pid, threadId } = first.result as { pid: number; threadId: number };
    if (isolation === "process") expect(pid).not.toBe(process.pid);
    else expect([pid, threadId > 0]).toEqual([process.pid, true]);
    expect((await ended(await submit("where"), "SUCCEEDED")).result).toMatchObject({ pid, threadId });
  });

  test("a handler that never yields is ended at its hard time limit, and its slot is free", async () => {
    const job = await submit("busy", {}, { ...once, hardTimeLimit: 500 });
    expect((await ended(job, "FAILED")).failure).toMatchObject({ reason: "TIME_LIMIT" });
    await allSlotsFree();
  });

  test("a handler that never yields starves neither its session nor other handlers", async () => {
    const began = file("began");
    // For longer than a session may be silent.
    const job = await submit("busy", { began, ms: 7_000 });
    await until("it to begin", () => linesOf(began).length > 0, patience);
    await ended(await submit("where"), "SUCCEEDED");
    expect(await ended(job, "SUCCEEDED")).toMatchObject({ result: "computed", attempt: 1, crashes: 0 });
  });

  test("a handler that does not listen is ended for real some time after a cancel", async () => {
    const began = file("began");
    const job = await submit("busy", { began });
    await until("it to begin", () => linesOf(began).length > 0, patience);
    expect(await job.cancel()).toMatchObject({ outcome: "REQUESTED" });
    await ended(job, "CANCELLED");
    await allSlotsFree();
  });

  test("a handler that exits fails its job with the exit code, and the worker goes on", async () => {
    const { failure, crashes } = await ended(await submit("exits", { code: 7 }), "FAILED");
    expect(failure).toMatchObject({ reason: "ERROR", type: "IsolatedRunEnded" });
    expect(failure?.message).toContain("exit code 7");
    expect(crashes).toBe(0);
    await ended(await submit("where"), "SUCCEEDED");
  });

  test("an error that no handler catches is the failure of the run", async () => {
    const { failure } = await ended(await submit("uncaught"), "FAILED");
    expect(failure).toMatchObject({ type: "RangeError", message: "thrown where nobody listens" });
  });

  test.each([
    { name: "text", type: "string", message: "just a text" },
    { name: "nothing", type: "undefined", message: "undefined" },
    { name: "opaque", type: "object", message: "{}" },
  ])("what is no error can be thrown: $name", async ({ name, type, message }) => {
    const { failure } = await ended(await submit(name), "FAILED");
    expect(failure).toMatchObject({ reason: "ERROR", type, message });
  });

  test("a result that has no JSON fails the job for good", async () => {
    const { failure, attempt } = await ended(await submit("cycle", {}, {}), "FAILED");
    expect(failure).toMatchObject({ reason: "PERMANENT", type: "PayloadError" });
    expect(attempt).toBe(1);
  });

  test("a handler that returns nothing has the result null", async () => {
    expect((await ended(await submit("returnsNothing"), "SUCCEEDED")).result).toBeNull();
  });

  test("permanent errors, rules and retries hold as they do elsewhere", async () => {
    expect((await ended(await submit("permanent", {}, {}), "FAILED")).failure?.reason).toBe("PERMANENT");
    const ruled = await ended(await submit("ruled", {}, {}), "FAILED");
    expect(ruled.failure).toMatchObject({ reason: "PERMANENT", type: "CardExpired" });
    expect((await ended(await submit("again", {}, {}), "SUCCEEDED")).result).toBe(2);
  });

  test.each([
    { why: "a cancel", name: "JobCancelled", options: once, state: "CANCELLED" as const },
    {
      why: "the soft time limit",
      name: "SoftTimeLimitExceeded",
      options: { ...once, softTimeLimit: 6_000 },
      state: "FAILED" as const,
    },
  ])("progress and log lines come out, and $why goes in", async ({ name, options, state }) => {
    const diary = file("diary");
    const job = await submit("told", { diary }, options);
    const seen = await until("progress", async () => (await job.status()).progress, patience);
    expect(seen).toMatchObject({ value: 0.5, detail: { step: "waiting" } });
    await until("the log", () =>
      lines.find(([text, { job_id }]) => text === "in there" && job_id === job.id),
    );
    if (state === "CANCELLED") await job.cancel();
    await ended(job, state);
    expect(readFileSync(diary, "utf8")).toBe(name);
  });

  test("a run that has ended, and is to be interrupted or ended all the same, leaves the next one alone", async () => {
    const runs = new IsolatedRuns();
    const task = tasks.find(({ name }) => name === `${isolation}.where`) as AnyTask;
    const lease = Lease.create({ task: task.name, attempt: 1 });
    const events = { logger, onProgress: () => undefined, inputs: async () => [] };
    try {
      const first = runs.start(task, lease, events);
      await first.report;
      const second = runs.start(task, lease, events);
      first.interrupt(new JobCancelled());
      first.terminate();
      expect(await second.report).toEqual(await first.report);
    } finally {
      runs.close();
    }
  });

  test("what came before it in a flow is there", async () => {
    const before = step(`${isolation}.returnsNothing`);
    const flow = await client.flows.submit(chain(before, step(`${isolation}.inputs`, {})));
    expect(await flow.result({ timeout: patience })).toEqual([null]);
  });
});

test("a process that a signal ends fails its job with the signal, and the worker goes on", async () => {
  const { failure, crashes } = await ended(
    await client.submit("process.dies", { signal: "SIGSEGV" }, once),
    "FAILED",
  );
  expect(failure).toMatchObject({ reason: "ERROR", type: "IsolatedRunEnded" });
  expect(failure?.message).toContain("SIGSEGV");
  expect(crashes).toBe(0);
  await ended(await client.submit("process.where", {}, once), "SUCCEEDED");
});

test("what a handler has started ends with its process", async () => {
  const mark = file("mark");
  const job = await client.submit("process.forks", { mark }, once);
  const pid = Number(await until("it to begin", () => linesOf(mark)[0], patience));
  await job.cancel();
  await ended(job, "CANCELLED");
  await until("what it has started to be gone", () => !isAlive(pid));
});

test.each([
  { task: "elsewhere", message: "does not define task elsewhere" },
  { task: "nowhere", message: "/no/such/module.mjs" },
])("a module without the task is told by name: $task", async ({ task, message }) => {
  const { failure } = await ended(await client.submit(task, {}, once), "FAILED");
  expect(failure?.message).toContain(message);
});
