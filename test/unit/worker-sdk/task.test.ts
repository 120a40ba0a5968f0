import { readFileSync } from "node:fs";
import { PayloadError } from "@drover/proto/sdk/payload";
import { describe, expect, test } from "vitest";
import { detachedContext } from "../../../worker-sdk/typescript/src/context.js";
import { jsonLogger } from "../../../worker-sdk/typescript/src/log.js";
import { capacityOf, queuesOf } from "../../../worker-sdk/typescript/src/options.js";
import { defineTask } from "../../../worker-sdk/typescript/src/task.js";
import { VERSION } from "../../../worker-sdk/typescript/src/version.js";
import { Worker } from "../../../worker-sdk/typescript/src/worker.js";

const sum = defineTask({
  name: "math.sum",
  handler: ({ a, b }: { a: number; b: number }) => a + b,
  queue: "numbers",
  retry: { retries: 3, initialDelay: 60_000, factor: 2, jitter: 0 },
  concurrency: 5,
  permanentErrors: [TypeError],
});

describe("a task", () => {
  test("is called like the function it is, without a broker", async () => {
    expect(await sum({ a: 1, b: 2 })).toBe(3);
  });

  test("has the task's name as its own", () => {
    expect(sum.name).toBe("math.sum");
  });

  test("carries what a submit is to take from it, and not what concerns the worker", () => {
    expect(sum.defaults).toEqual({
      queue: "numbers",
      retry: { retries: 3, initialDelay: 60_000, factor: 2, jitter: 0 },
    });
  });

  test("has a context in a test that says what the test wants", async () => {
    const reports: unknown[] = [];
    const task = defineTask({
      name: "demo",
      handler: (_: unknown, context) => {
        context.progress(0.5, { step: context.attempt });
        return context.labels.tenant;
      },
    });
    const onProgress = (value: number | undefined, detail: unknown) => void reports.push([value, detail]);
    const context = detachedContext("demo", { attempt: 3, labels: { tenant: "a" }, onProgress });
    expect(await task({}, context)).toBe("a");
    expect(reports).toEqual([[0.5, { step: 3 }]]);
  });

  test.each(["", "a b", "a/b", "x".repeat(129)])("may not be called %j", (name) => {
    expect(() => defineTask({ name, handler: () => {} })).toThrow(RangeError);
  });
});

describe("progress", () => {
  const context = detachedContext("demo");
  test("is a finite number", () => {
    expect(() => context.progress(Number.NaN)).toThrow(RangeError);
    expect(() => context.progress(Number.POSITIVE_INFINITY)).toThrow(RangeError);
  });
  test("has a detail of at most 4 KiB", () => {
    expect(() => context.progress(0, "x".repeat(5_000))).toThrow(PayloadError);
    expect(() => context.progress(0, "x".repeat(4_000))).not.toThrow();
  });
});

describe("a context's signal", () => {
  test("that is asked for after the interruption is aborted already", () => {
    const context = detachedContext("demo");
    const why = new PayloadError("any");
    context.interrupt(why);
    expect(context.signal.reason).toBe(why);
  });
});

describe("a worker", () => {
  test("serves a task name once", () => {
    const worker = new Worker({ tasks: [sum] });
    expect(() => worker.task("math.sum", () => {})).toThrow("has a handler already");
  });

  test("without tasks does not start", async () => {
    await expect(new Worker().start()).rejects.toThrow("has no tasks");
  });

  test("that was never started stops at once", async () => {
    await new Worker({ tasks: [sum] }).stop();
  });

  test.each`
    options                                    | problem
    ${{ concurrency: 0 }}                      | ${"concurrency 0"}
    ${{ concurrency: 1.5 }}                    | ${"concurrency 1.5"}
    ${{ concurrency: 10_001 }}                 | ${"concurrency 10001"}
    ${{ concurrency: 9_000, prefetch: 2_000 }} | ${"prefetch 2000"}
    ${{ prefetch: -1 }}                        | ${"prefetch -1"}
  `("refuses $problem", ({ options, problem }) => {
    expect(() => capacityOf(options)).toThrow(problem);
  });

  test("takes from the queue `default` unless told otherwise, and weighs all alike unless told otherwise", () => {
    expect(queuesOf({})).toEqual([{ queue: "default", weight: 1 }]);
    expect(queuesOf({ queues: ["a", { name: "b", weight: 3 }] })).toEqual([
      { queue: "a", weight: 1 },
      { queue: "b", weight: 3 },
    ]);
    expect(() => queuesOf({ queues: [{ name: "a", weight: 101 }] })).toThrow(RangeError);
    expect(() => queuesOf({ queues: [] })).toThrow(RangeError);
  });

  test("names the version of its package", () => {
    const file = new URL("../../../worker-sdk/typescript/package.json", import.meta.url);
    expect(VERSION).toBe(JSON.parse(readFileSync(file, "utf8")).version);
  });
});

describe("the default logger", () => {
  test("writes one line of JSON per event, from its level up", () => {
    const lines: string[] = [];
    const logger = jsonLogger("info", (line) => void lines.push(line));
    logger.debug({ a: 1 }, "unheard");
    logger.child?.({ job_id: "t~k" }).info({ a: 1 }, "heard");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { level: "info", time: expect.any(String), msg: "heard", job_id: "t~k", a: 1 },
    ]);
  });

  test("survives what has no JSON", () => {
    const lines: string[] = [];
    jsonLogger("info", (line) => void lines.push(line)).info({ big: 1n }, "heard");
    expect(JSON.parse(lines[0] ?? "").msg).toBe("heard");
  });

  test("refuses a level that is none", () => {
    expect(() => jsonLogger("loud")).toThrow(RangeError);
  });
});
