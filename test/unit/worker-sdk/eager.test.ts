import { describe, expect, expectTypeOf, test } from "vitest";
import { EagerClient } from "../../../worker-sdk/typescript/src/eager.js";
import { Permanent, Release, Retry, Snooze } from "../../../worker-sdk/typescript/src/errors.js";
import { defineTask, type Handler, type TaskOptions } from "../../../worker-sdk/typescript/src/task.js";

function eager(handler: Handler<unknown, unknown>, options: TaskOptions = {}) {
  const client = new EagerClient({ tasks: [defineTask({ ...options, name: "demo", handler })] });
  return { client, submit: () => client.submit("demo", {}) };
}
const waits = (job: { attempts: readonly { nextAfter: number | undefined }[] }) =>
  job.attempts.map(({ nextAfter }) => nextAfter);
const failing: Handler<unknown, unknown> = () => {
  throw new TypeError("not yet");
};

describe("an eager client", () => {
  test("runs the job at once, with the types of its task", async () => {
    const sum = defineTask({
      name: "sum",
      handler: ({ a, b }: { a: number; b: number }) => a + b,
    });
    const job = await new EagerClient({ tasks: [sum] }).submit(sum, { a: 1, b: 2 });
    const result = await job.result();
    expectTypeOf(result).toEqualTypeOf<number>();
    expect([result, job.state]).toEqual([3, "SUCCEEDED"]);
    expect(job.id).toMatch(/^sum~/);
  });

  test("gives handlers what a broker would: JSON, not the object itself", async () => {
    const { client } = eager((payload) => payload);
    const job = await client.submit("demo", { at: new Date(0), bytes: new Uint8Array([1, 2]) });
    expect(await job.result()).toEqual({ at: "1970-01-01T00:00:00.000Z", bytes: "AQI=" });
  });

  test.each([
    {
      why: "60, 120, 240 s",
      retry: { retries: 3, initialDelay: 60_000, factor: 2, jitter: 0 },
      expected: [60_000, 120_000, 240_000, undefined],
    },
    { why: "the broker's defaults", retry: {}, expected: [1_000, 2_000, 4_000, undefined] },
    {
      why: "a cap",
      retry: { retries: 2, initialDelay: 60_000, factor: 9, maxDelay: 90_000 },
      expected: [60_000, 90_000, undefined],
    },
    { why: "no retry", retry: { retries: 0 }, expected: [undefined] },
  ])("retries as the policy says, without waiting: $why", async ({ retry, expected }) => {
    const job = await eager(failing, { retry }).submit();
    expect(waits(job)).toEqual(expected);
    await expect(job.result()).rejects.toMatchObject({
      name: "JobFailedError",
      reason: "ERROR",
      failure: { type: "TypeError", message: "not yet" },
    });
  });

  test("does not retry what is permanent, by itself or by a rule", async () => {
    const permanent = await eager(() => {
      throw new Permanent("no user 42");
    }).submit();
    expect(waits(permanent)).toEqual([undefined]);
    const ruled = await eager(failing, { permanentErrors: [TypeError] }).submit();
    await expect(ruled.result()).rejects.toMatchObject({ reason: "PERMANENT" });
    expect(waits(ruled)).toEqual([undefined]);
  });

  test("takes the handler's own wait, and counts neither a snooze nor a release as a failure", async () => {
    const job = await eager(
      (_, { attempt, failures }) => {
        if (attempt === 1) throw new Snooze(5_000);
        if (attempt === 2) throw new Release();
        if (attempt === 3) throw new Retry(300_000);
        return failures;
      },
      { retry: { retries: 1 } },
    ).submit();
    expect(waits(job)).toEqual([5_000, 0, 300_000, undefined]);
    expect(await job.result()).toBe(1);
  });

  test("gives one job per key", async () => {
    let runs = 0;
    const { client } = eager(() => ++runs);
    const first = await client.submit("demo", {}, { key: "a" });
    const second = await client.submit("demo", {}, { key: "a" });
    expect([first.deduplicated, second.deduplicated, await second.result()]).toEqual([false, true, 1]);
  });

  test("fails a job whose result has no JSON, and refuses a task it does not know", async () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    await expect((await eager(() => cycle).submit()).result()).rejects.toMatchObject({ reason: "PERMANENT" });
    await expect(eager(() => 1).client.submit("other")).rejects.toThrow("has no task other");
  });
});
