// Payloads and results at their limits. Above 16 KiB a payload lies beside its job, once.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { FailureReason, type JobRef } from "../../broker/src/core/job.js";
import { ack, bytes, failure, leaseOne, status, submit, text } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { until } from "../support/until.js";

const KiB = 1024;
const sized = (length: number) => bytes(`"${"x".repeat(length - 2)}"`);

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker();
  });
  afterAll(() => scene.close());

  const gone = (ref: JobRef) =>
    until("the body to be dropped", async () => (await scene.body(ref)) === undefined);

  test.each([
    { length: 16 * KiB, beside: undefined },
    { length: 16 * KiB + 1, beside: 16 * KiB + 1 },
    { length: 512 * KiB, beside: 512 * KiB },
  ])("a payload of $length bytes arrives whole, at every attempt", async ({ length, beside }) => {
    const task = freshTask();
    const data = sized(length);
    const { ref } = await submit(broker, {
      task,
      payload: { data, contentType: "application/x-test" },
      retry: { initialDelay: 50, jitter: 0 },
    });
    expect(await scene.body(ref)).toBe(beside);
    for (const report of [{ type: "release" } as const, failure()]) {
      const grant = await leaseOne(broker, task);
      expect(grant.payload?.type).toBe("application/x-test");
      expect(Buffer.compare(grant.payload?.data ?? bytes(""), data)).toBe(0);
      await ack(broker, grant.token, report);
      // What is rewritten at each transition stays small.
      if (beside !== undefined) expect((await scene.current(ref)).data.length).toBeLessThan(2 * KiB);
    }
    const seen = await status(broker, ref, true);
    expect(Buffer.compare(seen.payload?.data ?? bytes(""), data)).toBe(0);
    const grant = await leaseOne(broker, task);
    expect(grant.attempt).toBe(3);
    expect(await ack(broker, grant.token)).toBe("SUCCEEDED");
    await gone(ref);
  });

  test("a large payload goes with its cancelled job, and stays with a dead letter for its redrive", async () => {
    const task = freshTask();
    const payload = { data: sized(20 * KiB), contentType: "" };
    const waiting = await submit(broker, { task, payload });
    await broker.api.jobs.cancel(waiting.ref, "");
    await gone(waiting.ref);
    const failing = await submit(broker, { task, payload, retry: { maxAttempts: 1 } });
    await ack(broker, (await leaseOne(broker, task)).token, failure());
    await broker.parts.bodies.sweep();
    expect(await scene.body(failing.ref)).toBe(20 * KiB);
    await broker.api.jobs.redrive(failing.ref);
    const again = await leaseOne(broker, task);
    expect(again.payload?.data.length).toBe(20 * KiB);
    await ack(broker, again.token);
    await gone(failing.ref);
  });

  test("a body that its job left behind is found by the sweep; one that is needed is not touched", async () => {
    const task = freshTask();
    const kept = await submit(broker, { task, payload: { data: sized(30 * KiB), contentType: "" } });
    const orphan = { task, key: "orphan" };
    const done = await submit(broker, { task: freshTask() });
    await ack(broker, (await leaseOne(broker, done.ref.task)).token);
    const left = [orphan, done.ref];
    for (const ref of left) await scene.nc.request(scene.subjects.body(ref), sized(20 * KiB));
    expect(await broker.parts.bodies.sweep()).toBe(2);
    for (const ref of left) expect(await scene.body(ref)).toBe(undefined);
    expect(await scene.body(kept.ref)).toBe(30 * KiB);
  });

  test.each([
    { length: 256 * KiB, state: "SUCCEEDED", reason: undefined },
    { length: 256 * KiB + 1, state: "FAILED", reason: FailureReason.RESULT_TOO_LARGE },
  ])("a result of $length bytes makes a job $state, also beside the largest payload", async (row) => {
    const task = freshTask();
    const { ref } = await submit(broker, {
      task,
      payload: { data: sized(512 * KiB), contentType: "" },
    });
    const { token } = await leaseOne(broker, task);
    const result = { data: sized(row.length), type: "", externalSize: 0 };
    expect(await ack(broker, token, { type: "success", result })).toBe(row.state);
    const { job } = (await status(broker, ref)).stored;
    expect(job.failure?.reason).toBe(row.reason);
    if (row.reason === undefined) expect(text(job.result?.data).length).toBe(row.length);
  });

  test("the largest history, payload and result fit into one message together", async () => {
    const task = freshTask();
    const payload = { data: sized(16 * KiB), contentType: "" };
    const { ref } = await submit(broker, { task, payload, retry: { maxAttempts: 30 } });
    const worst = {
      reason: FailureReason.ERROR,
      type: "t".repeat(1_000),
      message: "ü".repeat(9_000),
      stack: "€".repeat(50_000),
    };
    for (let attempt = 1; attempt <= 21; attempt++) {
      const { token } = await leaseOne(broker, task);
      expect(await ack(broker, token, { type: "failure", failure: worst, retryAfter: 0 })).toBe("READY");
    }
    const result = { data: sized(256 * KiB), type: "", externalSize: 0 };
    expect(await ack(broker, (await leaseOne(broker, task)).token, { type: "success", result })).toBe(
      "SUCCEEDED",
    );
    expect((await status(broker, ref)).stored.job.history).toHaveLength(20);
  });
});
