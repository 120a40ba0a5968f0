import { describe, expect, expectTypeOf, test } from "vitest";
import { JobHandle, type SubmittedJob } from "../../../client-sdk/typescript/src/handle.js";
import { EagerClient } from "../../../worker-sdk/typescript/src/eager.js";
import { EagerJob } from "../../../worker-sdk/typescript/src/eager-job.js";
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

describe("an eager job", () => {
  test("has all that a real handle has", () => {
    const own = Object.getOwnPropertyNames(JobHandle.prototype).filter((name) => name !== "constructor");
    expect(own).toContain("redrive");
    for (const name of own) expect(EagerJob.prototype, name).toHaveProperty(name);
    // Its answers, too, and what is no method.
    expectTypeOf<EagerJob<number>>().toExtend<Pick<SubmittedJob<number>, keyof SubmittedJob<number>>>();
  });

  test("tells how it stands", async () => {
    const { client } = eager(async (_, context) => {
      context.progress(0.5, { attempt: context.attempt });
      throw new TypeError("not yet");
    });
    const options = {
      key: "k",
      queue: "mail",
      retry: { retries: 1 },
      labels: { a: "b" },
      headers: { c: "d" },
    };
    const job = await client.submit("demo", { n: 1 }, options);
    const failure = { reason: "ERROR", type: "TypeError", message: "not yet", stack: expect.anything() };
    const status = await job.status({ includePayload: true });
    expect(status).toMatchObject({
      id: "demo~k",
      task: "demo",
      key: "k",
      queue: "mail",
      priority: 5,
      state: "FAILED",
      finished: true,
      attempt: 2,
      failures: 2,
      payload: { n: 1 },
      failure,
      progress: { value: 0.5, detail: { attempt: 2 } },
      history: [
        { number: 1, outcome: "FAILED", failure },
        { number: 2, outcome: "FAILED", failure },
      ],
      labels: { a: "b" },
      headers: { c: "d" },
      retry: { retries: 1, factor: 2 },
    });
    expect((await job.wait()).payload).toBeUndefined();
    const watched = [];
    for await (const told of job.watch()) watched.push(told);
    expect(watched).toEqual([{ ...status, payload: undefined }]);
    expect(await job.explain()).toMatchObject({ state: "FAILED", summary: "demo~k has ended: FAILED" });
    expect(await job.cancel()).toEqual({ outcome: "ALREADY_FINISHED", previousState: "FAILED" });
    await expect(job.move({ queue: "other" })).rejects.toMatchObject({
      name: "NotWaitingError",
      reason: "NOT_WAITING",
      message: "demo~k is FAILED: only a job that waits can be moved",
    });
  });

  test("runs again when it is redriven, with its failures at zero and its attempts numbered on", async () => {
    let open = false;
    const { client } = eager(
      (_, { attempt, failures }) => {
        if (!open) throw new Error("closed");
        return { attempt, failures };
      },
      { retry: { retries: 1 } },
    );
    const job = await client.submit("demo", {}, { key: "k" });
    const same = await client.submit("demo", {}, { key: "k" });
    expect(await job.redrive()).toMatchObject({ state: "FAILED", attempt: 4, failures: 2 });
    open = true;
    const status = await job.redrive();
    expect(status).toMatchObject({ state: "SUCCEEDED", attempt: 5, failures: 0 });
    expect(status.history.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
    expect(await same.result()).toEqual({ attempt: 5, failures: 0 });
    expect(waits(same)).toEqual([undefined]);
    await expect(job.redrive()).rejects.toMatchObject({ name: "NotFailedError", reason: "NOT_FAILED" });
  });
});
