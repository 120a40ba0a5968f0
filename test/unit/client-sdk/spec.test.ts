import { describe, expect, expectTypeOf, test } from "vitest";
import { Client } from "../../../client-sdk/typescript/src/client.js";
import { InvalidArgumentError } from "../../../client-sdk/typescript/src/errors.js";
import type { JobHandle } from "../../../client-sdk/typescript/src/handle.js";
import { newKey } from "../../../client-sdk/typescript/src/key.js";
import { type JobOptions, jobSpec, type TaskRef, taskRef } from "../../../client-sdk/typescript/src/spec.js";
import { defineTask } from "../../../worker-sdk/typescript/src/task.js";

const spec = (options: JobOptions = {}, task: TaskRef | string = "mail.send") =>
  jobSpec(task, { to: "a" }, options, () => "made-key");

describe("a submitted job", () => {
  test("has what was written, and leaves the rest to the broker", () => {
    expect(spec()).toEqual({
      task: "mail.send",
      key: "made-key",
      queue: undefined,
      priority: undefined,
      payload: { data: Buffer.from('{"to":"a"}'), contentType: "" },
      delay: undefined,
      runAt: undefined,
      startBy: undefined,
      retry: undefined,
      softTimeLimit: undefined,
      hardTimeLimit: undefined,
      resultRetention: undefined,
      labels: {},
      headers: {},
      concurrencyKey: "",
      unique: undefined,
      debounce: undefined,
    });
  });

  test("keeps the key it was given", () => {
    expect(spec({ key: "invoice-7" }).key).toBe("invoice-7");
  });

  test("may have a unique key, and be debounced under a key of its own", () => {
    expect(spec({ unique: { key: "customer-7", period: 1_500 } }).unique).toEqual({
      key: "customer-7",
      period: { seconds: 1, nanos: 500_000_000 },
    });
    expect(spec({ key: "k", debounce: { wait: 1_000 } }).debounce).toEqual({
      wait: { seconds: 1, nanos: 0 },
      maxWait: undefined,
    });
    // Every submit would have a made key of its own, and replace nothing.
    expect(() => spec({ debounce: { wait: 1_000 } })).toThrow("needs a key");
  });

  test("has its times to the millisecond", () => {
    const { delay, runAt, softTimeLimit } = spec({
      delay: 1_500,
      runAt: new Date("2026-01-02T03:04:05.678Z"),
      softTimeLimit: 1,
    });
    expect(delay).toEqual({ seconds: 1, nanos: 500_000_000 });
    expect(runAt).toEqual({ seconds: Date.UTC(2026, 0, 2, 3, 4, 5) / 1000, nanos: 678_000_000 });
    expect(softTimeLimit).toEqual({ seconds: 0, nanos: 1_000_000 });
  });

  test("may have been due before 1970", () => {
    expect(spec({ runAt: new Date(-1) }).runAt).toEqual({ seconds: -1, nanos: 999_000_000 });
  });

  test("runs once more than it is retried", () => {
    expect(spec({ retry: { retries: 3 } }).retry).toMatchObject({ maxAttempts: 4, maxCrashes: undefined });
    expect(spec({ retry: { retries: 0, maxCrashes: 0 } }).retry).toMatchObject({
      maxAttempts: 1,
      maxCrashes: 0,
    });
  });

  test("takes 60, 120 and 240 s from a policy of 60 s doubled without jitter", () => {
    expect(spec({ retry: { retries: 3, initialDelay: 60_000, factor: 2, jitter: 0 } }).retry).toEqual({
      maxAttempts: 4,
      initialDelay: { seconds: 60, nanos: 0 },
      factor: 2,
      maxDelay: undefined,
      jitter: 0,
      maxCrashes: undefined,
    });
  });

  test.each`
    options                                  | field
    ${{ delay: Number.NaN }}                 | ${"delay"}
    ${{ hardTimeLimit: Infinity }}           | ${"hard_time_limit"}
    ${{ runAt: new Date("never") }}          | ${"run_at"}
    ${{ runAt: "2026-01-01" }}               | ${"run_at"}
    ${{ retry: { retries: 1.5 } }}           | ${"retry.retries"}
    ${{ retry: { initialDelay: Infinity } }} | ${"retry.initial_delay"}
  `("is refused where $field cannot be sent", ({ options, field }) => {
    try {
      spec(options);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidArgumentError);
      expect((error as InvalidArgumentError).fields).toEqual([{ field, description: expect.any(String) }]);
    }
  });

  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  test.each([{ payload: cycle }, { payload: new Uint8Array(4 * 1024 * 1024) }])(
    "is refused with a payload that cannot be sent",
    ({ payload }) => {
      expect(() => jobSpec("t", payload, {}, newKey)).toThrow(InvalidArgumentError);
    },
  );
});

describe("a task's defaults", () => {
  const task = taskRef("mail.send", {
    queue: "mail",
    priority: 3,
    retry: { retries: 5, factor: 3 },
    labels: { team: "a", kind: "mail" },
  });

  test("hold for its jobs", () => {
    expect(spec({}, task)).toMatchObject({ queue: "mail", priority: 3, labels: { team: "a", kind: "mail" } });
  });

  test("are overridden field by field", () => {
    const { queue, priority, retry, labels } = spec(
      { queue: "other", priority: undefined as never, retry: { retries: 0 }, labels: { team: "b" } },
      task,
    );
    expect({ queue, priority, labels }).toEqual({
      queue: "other",
      priority: 3,
      labels: { team: "b", kind: "mail" },
    });
    expect(retry).toMatchObject({ maxAttempts: 1, factor: 3 });
  });

  test("come from the worker's definition as well", () => {
    const defined = defineTask({ name: "math.sum", handler: () => 1, queue: "numbers", concurrency: 3 });
    expect(spec({}, defined)).toMatchObject({ task: "math.sum", queue: "numbers" });
  });
});

test("a task's types hold for payload and result, wherever it was defined", () => {
  const defined = defineTask({ name: "math.sum", handler: async ({ a }: { a: number }) => a });
  const named = taskRef<{ to: string }, boolean>("mail.send");
  const client = new Client();
  // Never called: what is tested is what compiles.
  const submits = () => ({
    defined: client.submit(defined, { a: 1 }),
    named: client.submit(named, { to: "a" }),
    text: client.submit<string>("any.task", { whatever: 1 }),
    // @ts-expect-error a payload of another type
    wrong: client.submit(defined, { a: "1" }),
  });
  type Submits = ReturnType<typeof submits>;
  expectTypeOf<Awaited<Submits["defined"]>>().toExtend<JobHandle<number>>();
  expectTypeOf<Awaited<Submits["named"]>>().toExtend<JobHandle<boolean>>();
  expectTypeOf<Awaited<Submits["text"]>>().toExtend<JobHandle<string>>();
  client.close();
});

describe("a key made here", () => {
  test("is a UUIDv7 of its time", () => {
    expect(newKey(0x0123456789ab, "9f8e7d6c-5b4a-4321-8abc-def012345678")).toBe(
      "01234567-89ab-7321-8abc-def012345678",
    );
    expect(newKey()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("sorts by time and is never the same", () => {
    const keys = Array.from({ length: 1_000 }, (_, i) => newKey(1_700_000_000_000 + i));
    expect([...keys].sort()).toEqual(keys);
    expect(new Set(Array.from({ length: 10_000 }, () => newKey())).size).toBe(10_000);
  });
});
