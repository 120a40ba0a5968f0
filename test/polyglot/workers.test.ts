// What every worker SDK does alike: the conformance list of worker-sdk/README.md, held against real worker processes of each
// language and a real broker.

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Client,
  chord,
  type JobHandle,
  type JobOptions,
  type JobState,
  type JobStatus,
  RawPayload,
  step,
} from "@drover/client";
import { parseJson } from "@drover/proto/sdk/json-text";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { linesOf } from "../support/diary.js";
import { LaterBroker } from "../support/later-broker.js";
import { NatsServer } from "../support/nats.js";
import { until } from "../support/until.js";
import { buildWorkers, type FixtureOptions, FixtureWorker, languages } from "./fixture-worker.js";

/** For whatever is waited for: machines may be busy. */
const patience = 45_000;

const goldenFile = new URL("../contract/golden/payloads.json", import.meta.url);
const golden: { name: string; text: string }[] = JSON.parse(readFileSync(goldenFile, "utf8")).values;

let nats: NatsServer;
let broker: Broker;
let client: Client;
let folder: string;
let fresh = 0;
const workers: FixtureWorker[] = [];

beforeAll(async () => {
  await buildWorkers();
  folder = mkdtempSync(join(tmpdir(), "drover-polyglot-"));
  nats = await NatsServer.start();
  // A worker of Python takes a while to be back: its leases are to wait for it.
  broker = await Broker.start({ natsUrl: nats.url, env: { DROVER_SESSION_GRACE: "10s" } });
  client = new Client({ address: broker.address });
}, 300_000);

afterEach(async () => {
  for (const worker of workers) if (worker.running) worker.kill("SIGKILL");
  await Promise.all(workers.splice(0).map((worker) => worker.ended()));
});

afterAll(async () => {
  client?.close();
  await broker?.stop();
  await nats?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.each(languages)("a worker in %s", (language) => {
  /** A worker on a queue of its own, attached. */
  async function attached(options: Partial<FixtureOptions> = {}): Promise<FixtureWorker & { queue: string }> {
    fresh += 1;
    const { queue = `${language}-${fresh}`, address = broker.address } = options;
    const name = `${language}-worker-${fresh}`;
    const worker = FixtureWorker.start(language, { ...options, address, queue, name });
    workers.push(worker);
    await until(
      `${name} to attach`,
      async () => {
        if (!worker.running) throw new Error(`${name} has ended:\n${worker.lines.join("\n")}`);
        return registered(name);
      },
      patience,
    );
    return Object.assign(worker, { queue });
  }

  /** A job that waits for open(), and what it has noted of itself so far. */
  async function gated(queue: string, options: JobOptions = {}) {
    fresh += 1;
    const [gate, diary] = [join(folder, `gate-${fresh}`), join(folder, `diary-${fresh}`)];
    const job = await client.submit(
      "gate",
      { gate, diary },
      { queue, retry: { initialDelay: 0 }, ...options },
    );
    const noted = () => linesOf(diary);
    await until("the handler to begin", () => noted().length > 0, patience);
    return { job, noted, open: () => writeFileSync(gate, "") };
  }

  test("registers its tasks and runs a job, and says so in its log without the payload", async () => {
    const worker = await attached();
    const { items } = await client.inspect.registered();
    expect(items.find(({ task }) => task === "echo")?.workers).toContain(worker.name);
    const job = await client.submit("echo", { value: "a secret" }, { queue: worker.queue });
    const done = await ended(job, "SUCCEEDED");
    expect(done).toMatchObject({ result: "a secret", attempt: 1, failures: 0, worker: worker.name });
    const told = (event: string) =>
      worker.lines.some((line) => line.includes(`"${event}"`) && line.includes(job.id));
    await until("the log", () => told("task_started") && told("task_completed"));
    expect(worker.lines.join("\n")).not.toContain("a secret");
  });

  test("reports progress that is seen while the job runs", async () => {
    const { queue } = await attached();
    const { job, open } = await gated(queue);
    const seen = await until("progress", async () => {
      const status = await job.status();
      return status.progress !== undefined && status;
    });
    expect(seen).toMatchObject({ state: "RUNNING", progress: { value: 0.5, detail: { step: "half" } } });
    open();
    expect(await ended(job, "SUCCEEDED")).toMatchObject({ result: "opened" });
  });

  test("a temporary error is retried until the job succeeds", async () => {
    const { queue } = await attached();
    const retry = { retries: 3, initialDelay: 50, jitter: 0 };
    const job = await client.submit("flaky", { failures: 2 }, { queue, retry });
    const { result, failures, history } = await ended(job, "SUCCEEDED");
    expect({ result, failures }).toEqual({ result: 3, failures: 2 });
    expect(history.map(({ outcome }) => outcome)).toEqual(["FAILED", "FAILED", "SUCCEEDED"]);
    expect(history[0]?.failure).toMatchObject({ reason: "ERROR", message: "not yet" });
    expect(history[0]?.failure?.type).toMatch(/Error|errors/);
  });

  test("a job that never succeeds fails when its retries are used up", async () => {
    const { queue } = await attached();
    const retry = { retries: 1, initialDelay: 0 };
    const job = await client.submit("flaky", { failures: 9 }, { queue, retry });
    expect(await ended(job, "FAILED")).toMatchObject({ failures: 2, failure: { reason: "ERROR" } });
  });

  test.each([
    { task: "marked", type: /Permanent|errors/, why: "a handler says so" },
    { task: "ruled", type: /NoSuchUser/i, why: "its type is ruled to be so" },
  ])("an error is permanent where $why: no retry", async ({ task, type }) => {
    const { queue } = await attached();
    const { attempt, failures, failure } = await ended(await client.submit(task, {}, { queue }), "FAILED");
    expect({ attempt, failures }).toEqual({ attempt: 1, failures: 1 });
    expect(failure).toMatchObject({ reason: "PERMANENT", message: "no user 42" });
    expect(failure?.type).toMatch(type);
  });

  test("the handler's own wait goes before the policy's, and counts as a failure", async () => {
    const { queue } = await attached();
    const hour = 3_600_000;
    const retry = { initialDelay: hour, maxDelay: hour };
    const job = await client.submit("again", { milliseconds: 400 }, { queue, retry });
    const { result, failures, history } = await ended(job, "SUCCEEDED");
    expect({ result, failures }).toEqual({ result: 2, failures: 1 });
    expect(history[0]?.failure?.message).toContain("come back later");
    expect(Number(history[1]?.startedAt) - Number(history[0]?.endedAt)).toBeGreaterThanOrEqual(400);
  });

  test("a cancelled run is interrupted, and the job is cancelled", async () => {
    const { queue } = await attached();
    const { job, noted } = await gated(queue);
    expect(await job.cancel()).toEqual({ outcome: "REQUESTED", previousState: "RUNNING" });
    const { history } = await ended(job, "CANCELLED");
    expect(history.map(({ outcome }) => outcome)).toEqual(["CANCELLED"]);
    expect(noted()).toEqual(["began 1", "interrupted 1"]);
  });

  test("SIGTERM lets a running job finish, takes no other, and ends with 0", async () => {
    const worker = await attached();
    const { job, noted, open } = await gated(worker.queue);
    worker.kill("SIGTERM");
    await until("the worker to drain", async () => (await registered(worker.name))?.draining, patience);
    const next = await client.submit("echo", { value: 1 }, { queue: worker.queue });
    open();
    expect(await worker.ended()).toBe(0);
    expect(await ended(job, "SUCCEEDED")).toMatchObject({ result: "opened", attempt: 1 });
    expect(noted()).toEqual(["began 1", "returned 1"]);
    expect(await next.status()).toMatchObject({ state: "READY", history: [] });
  });

  test("what outlasts the drain is given back without penalty, and runs elsewhere", async () => {
    const worker = await attached({ drain: 0.2 });
    const { job, noted, open } = await gated(worker.queue);
    worker.kill("SIGTERM");
    expect(await worker.ended()).toBe(0);
    expect(await job.status()).toMatchObject({ state: "READY", failures: 0, crashes: 0 });
    open();
    const other = await attached({ queue: worker.queue });
    const { history, failures, crashes } = await ended(job, "SUCCEEDED");
    expect({ failures, crashes }).toEqual({ failures: 0, crashes: 0 });
    expect(history.map(({ outcome, worker: by }) => [outcome, by])).toEqual([
      ["RELEASED", worker.name],
      ["SUCCEEDED", other.name],
    ]);
    expect(noted()).toEqual(["began 1", "interrupted 1", "began 2", "returned 2"]);
  });

  test.each(["SIGKILL", "SIGTERM"] as const)(
    "a running job outlives its broker's restart (%s) and does not run twice",
    async (signal) => {
      const { queue, name } = await attached();
      const { job, noted, open } = await gated(queue);
      await broker.kill(signal);
      await broker.restart();
      await until(`${name} to be back`, () => registered(name), patience);
      await until("the lease to be taken up", async () => (await job.status()).state === "RUNNING", patience);
      open();
      expect(await ended(job, "SUCCEEDED")).toMatchObject({ attempt: 1, failures: 0, crashes: 0 });
      expect(noted()).toEqual(["began 1", "returned 1"]);
    },
  );

  describe("on a broker that gives a silent worker 5 s, and one that has gone 1 s", () => {
    let strict: Broker;

    beforeAll(async () => {
      strict = await Broker.start({ natsUrl: nats.url, env: { DROVER_SESSION_TIMEOUT: "5s" } });
    });
    afterAll(() => strict?.stop());

    test.each([
      { what: "keeps its job", restart: false },
      { what: "keeps its job, though its broker is killed meanwhile", restart: true },
    ])("a handler that computes for far longer $what", async ({ restart }) => {
      const { queue } = await attached({ address: strict.address });
      fresh += 1;
      const diary = join(folder, `diary-${fresh}`);
      const payload = { milliseconds: 8_000, diary };
      const job = await client.submit("busy", payload, { queue, retry: { retries: 0 } });
      await until("the handler to begin", () => linesOf(diary).length > 0, patience);
      if (restart) {
        await strict.kill("SIGKILL");
        await strict.restart();
      }
      const { result, attempt, crashes } = await ended(job, "SUCCEEDED");
      expect({ result, attempt, crashes }).toEqual({ result: 1, attempt: 1, crashes: 0 });
      expect(linesOf(diary)).toEqual(["began 1"]);
    });

    test("the jobs of a worker that is killed run elsewhere", async () => {
      const worker = await attached({ address: strict.address });
      const jobs = await Promise.all([gated(worker.queue), gated(worker.queue)]);
      worker.kill("SIGKILL");
      await worker.ended();
      const other = await attached({ address: strict.address, queue: worker.queue });
      for (const { open } of jobs) open();
      for (const { job, noted } of jobs) {
        const { history, failures, crashes } = await ended(job, "SUCCEEDED");
        expect({ failures, crashes }).toEqual({ failures: 0, crashes: 1 });
        expect(history.map(({ outcome, worker: by }) => [outcome, by])).toEqual([
          ["CRASHED", worker.name],
          ["SUCCEEDED", other.name],
        ]);
        expect(noted()).toEqual(["began 1", "began 2", "returned 2"]);
      }
    });
  });

  test("an outcome that the broker could not hear is told to the one that comes after it", async () => {
    const { queue } = await attached();
    const { job, noted, open } = await gated(queue);
    await broker.kill("SIGKILL");
    open();
    await until("the handler to return", () => noted().includes("returned 1"), patience);
    await broker.restart();
    expect(await ended(job, "SUCCEEDED")).toMatchObject({ result: "opened", attempt: 1, crashes: 0 });
    expect(noted()).toEqual(["began 1", "returned 1"]);
  });

  const rarities = 'żółć 🦆 中文 \u0000 \u2028 \ud83d\ude80 " \\ </script>';
  test.each([
    { what: "rare characters", value: rarities },
    { what: "nested values", value: { [rarities]: [null, true, -0.5, { "": [] }], list: [[], {}] } },
    { what: "whole numbers up to 2^53", value: [2 ** 53 - 1, -(2 ** 53 - 1), 0] },
    { what: "nothing", value: null },
  ])("$what come back as they were sent", async ({ value }) => {
    const { queue } = await attached();
    const job = await client.submit("echo", { value }, { queue });
    expect((await ended(job, "SUCCEEDED")).result).toEqual(value);
  });

  test("golden values come back as the same values", async () => {
    const { queue } = await attached();
    const jobs = await Promise.all(
      golden.map(({ text }) => {
        const payload = new RawPayload(Buffer.from(`{"value":${text}}`), "application/json");
        return client.submit("echo", payload, { queue });
      }),
    );
    for (const [index, { name, text }] of golden.entries()) {
      const { result } = await ended(jobs[index] ?? expect.unreachable(name), "SUCCEEDED");
      expect(result, name).toEqual(parseJson(text));
    }
  });

  test("no more jobs are leased than there are slots, and the next one as soon as one is free", async () => {
    const { queue, name } = await attached({ concurrency: 1 });
    const first = await gated(queue);
    const second = await client.submit("echo", { value: 2 }, { queue });
    expect((await registered(name))?.running).toBe(1);
    expect(await second.status()).toMatchObject({ state: "READY", attempt: 0 });
    first.open();
    expect(await ended(second, "SUCCEEDED")).toMatchObject({ result: 2, attempt: 1 });
  });

  test("queues share a worker by their weights", async () => {
    const [heavy, light] = [`${language}-heavy-${++fresh}`, `${language}-light-${fresh}`];
    await attached({ queue: `${heavy}=3,${light}`, concurrency: 1 });
    const first = await gated(heavy);
    const of = (queue: string) =>
      Array.from({ length: 40 }, () => ({ task: "echo", payload: { value: 1 }, queue }));
    const jobs = (await client.submitBatch([...of(heavy), ...of(light)])).map((submitted) =>
      submitted.ok ? submitted.job : expect.unreachable(String(submitted.error)),
    );
    first.open();
    const runs = await Promise.all(jobs.map((job) => ended(job, "SUCCEEDED")));
    const early = runs
      .sort((a, b) => Number(a.startedAt) - Number(b.startedAt))
      .slice(0, 40)
      .filter(({ queue }) => queue === heavy);
    // 30, but for runs that start in the same millisecond.
    expect(early.length).toBeGreaterThanOrEqual(27);
    expect(early.length).toBeLessThanOrEqual(33);
  });

  test("a soft time limit interrupts the run, which fails as its handler says", async () => {
    const { queue } = await attached();
    const { job, noted } = await gated(queue, { softTimeLimit: 1_000, retry: { retries: 0 } });
    const { failure } = await ended(job, "FAILED");
    expect(failure?.reason).toBe("ERROR");
    expect(noted()).toEqual(["began 1", "interrupted 1"]);
  });

  test("a hard time limit ends the attempt, whose late outcome counts for nothing", async () => {
    const { queue } = await attached();
    const { job, open } = await gated(queue, { hardTimeLimit: 1_000, retry: { retries: 0 } });
    expect((await ended(job, "FAILED")).failure).toMatchObject({ reason: "TIME_LIMIT" });
    open();
    const after = await client.submit("echo", { value: 1 }, { queue });
    await ended(after, "SUCCEEDED");
    expect(await job.status()).toMatchObject({ state: "FAILED", failures: 1 });
  });

  test("a payload at its limit of 512 KiB arrives whole", async () => {
    const { queue } = await attached();
    const around = Buffer.byteLength(JSON.stringify({ value: "" }));
    // Two bytes each, and one for the rest.
    const value = "é".repeat((512 * 1024 - around) / 2) + "x".repeat((512 * 1024 - around) % 2);
    const { result } = await ended(await client.submit("measure", { value }, { queue }), "SUCCEEDED");
    const sha256 = createHash("sha256").update(value).digest("hex");
    expect(result).toEqual({ bytes: Buffer.byteLength(value), sha256 });
  });

  test("a result at its limit of 256 KiB is kept, a byte more fails the job", async () => {
    const { queue } = await attached();
    const value = "x".repeat(256 * 1024 - '""'.length);
    const whole = await client.submit("echo", { value }, { queue });
    expect((await ended(whole, "SUCCEEDED")).result).toBe(value);
    const larger = await client.submit("echo", { value: `${value}x` }, { queue });
    expect((await ended(larger, "FAILED")).failure).toMatchObject({ reason: "RESULT_TOO_LARGE" });
  });

  test("a callback gets inputs of several pages, whole and in their order", async () => {
    const { queue } = await attached();
    // Together over 256 KiB, which come with the lease, and over 3 MiB, which is a page.
    const letters = [..."abcdefghijklmnopqrst"];
    const size = 200 * 1024;
    const flow = await client.flows.submit(
      chord(
        letters.map((letter) => step("echo", { value: letter.repeat(size) }, { queue })),
        step("sizes", {}, { queue }),
      ),
    );
    expect(await flow.result({ timeout: patience })).toEqual(letters.map((letter) => `${letter}${size}`));
  });

  test("10,000 jobs at a time all succeed, each with its own result", async () => {
    const { queue } = await attached({ concurrency: 10_000 });
    const items = Array.from({ length: 10_000 }, (_, value) => ({ task: "echo", payload: { value }, queue }));
    const submitted = await client.submitBatch(items, { timeout: patience });
    const jobs = await Promise.all(
      submitted.map((result) => {
        if (!result.ok) throw result.error;
        return result.job.wait({ timeout: patience });
      }),
    );
    expect(jobs.filter(({ state, attempt }) => state !== "SUCCEEDED" || attempt !== 1)).toEqual([]);
    expect(jobs.map(({ result }) => result)).toEqual(items.map(({ payload }) => payload.value));
  });

  test("fields, messages and enum values of a later version do no harm", async () => {
    const later = await LaterBroker.inFrontOf(broker.address);
    try {
      const worker = await attached({ address: later.address });
      const job = await client.submit("echo", { value: 7 }, { queue: worker.queue });
      expect(await ended(job, "SUCCEEDED")).toMatchObject({ result: 7, attempt: 1 });
      // The reason of this cancel is one that nobody knows: it is taken for a request.
      const cancelled = await gated(worker.queue);
      await cancelled.job.cancel();
      await ended(cancelled.job, "CANCELLED");
      expect(cancelled.noted()).toEqual(["began 1", "interrupted 1"]);
      worker.kill("SIGTERM");
      expect(await worker.ended()).toBe(0);
    } finally {
      later.close();
    }
  });
});

async function ended(job: JobHandle, state: JobState): Promise<JobStatus> {
  const status = await job.wait({ timeout: patience });
  expect(status.state, `${job.id}: ${JSON.stringify(status.failure)}`).toBe(state);
  return status;
}

/** What the broker knows of a worker. */
async function registered(name: string) {
  const { items } = await client.inspect.workers();
  return items.find((worker) => worker.name === name);
}
