// What becomes of a job, from its submit to its record.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Report } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { FailureReason, type JobRef } from "../../broker/src/core/job.js";
import {
  ack,
  bytes,
  failure,
  lease,
  leaseOne,
  refused,
  stateOf,
  status,
  submit,
  success,
  text,
} from "../support/job-calls.js";
import { freshTask, type Lying, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const minute = 60_000;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker({ hardLimitGrace: 200, cancelGrace: 500 }, { DROVER_SESSION_GRACE: "0s" });
  });
  afterAll(() => scene.close());

  const now = () => broker.parts.store.clock.now();
  /** From the end of the last attempt to the next, ms. */
  const waitOf = ({ stored }: Lying) => (stored?.job.dueAt ?? 0) - (stored?.job.history.at(-1)?.endedAt ?? 0);
  const ended = (ref: JobRef) =>
    until(`${ref.task} to end`, async () => {
      const view = await status(broker, ref);
      return view.stored.job.finishedAt > 0 && view;
    });

  test("a job is READY, then RUNNING with its worker, then SUCCEEDED with its result", async () => {
    const task = freshTask();
    const made = await submit(broker, { task, payload: { data: bytes('{"n":1}'), contentType: "" } });
    expect(made).toMatchObject({ deduplicated: false, state: "READY" });
    expect((await status(broker, made.ref)).state).toBe("READY");
    const grant = await leaseOne(broker, task, { worker: "me:1" });
    expect(grant).toMatchObject({ ref: made.ref, attempt: 1, failures: 0 });
    expect(text(grant.payload?.data)).toBe('{"n":1}');
    const running = await status(broker, made.ref);
    expect([running.state, running.running?.worker]).toEqual(["RUNNING", "me:1"]);
    expect(await ack(broker, grant.token, success('"done"'))).toBe("SUCCEEDED");
    const { job } = (await status(broker, made.ref)).stored;
    expect(text(job.result?.data)).toBe('"done"');
    expect(job.history).toMatchObject([{ number: 1, worker: "me:1", outcome: 1 }]);
    expect(job.finishedAt).toBeGreaterThanOrEqual(job.history[0]?.startedAt ?? Number.POSITIVE_INFINITY);
    expect(await lease(broker, task, { wait: 300 })).toEqual([]);
  });

  const reports: { name: string; report: Report; state: string; counts: object }[] = [
    { name: "success", report: success(), state: "SUCCEEDED", counts: { failures: 0, attempt: 1 } },
    { name: "a failure", report: failure(), state: "RETRYING", counts: { failures: 1, attempt: 2 } },
    {
      name: "a permanent failure",
      report: failure(FailureReason.PERMANENT),
      state: "FAILED",
      counts: { failures: 1, attempt: 1 },
    },
    {
      name: "a failure to retry at once",
      report: failure(FailureReason.ERROR, 0),
      state: "READY",
      counts: { failures: 1, attempt: 2 },
    },
    {
      name: "a time limit",
      report: failure(FailureReason.TIME_LIMIT),
      state: "RETRYING",
      counts: { failures: 1, attempt: 2 },
    },
    {
      name: "a release",
      report: { type: "release" },
      state: "READY",
      counts: { failures: 0, crashes: 0, attempt: 2 },
    },
    {
      name: "a snooze",
      report: { type: "snooze", delay: minute },
      state: "SCHEDULED",
      counts: { failures: 0, crashes: 0, attempt: 2 },
    },
  ];
  test.each(reports)("$name makes a job $state", async ({ report, state, counts }) => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, retry: { initialDelay: minute } });
    const grant = await leaseOne(broker, task);
    expect(await ack(broker, grant.token, report)).toBe(state);
    const view = await status(broker, ref);
    expect(view.state).toBe(state);
    expect(view.stored.job).toMatchObject(counts);
    expect(view.stored.job.history).toHaveLength(1);
  });

  test("a delayed job is SCHEDULED and never starts early", async () => {
    const tasks = [freshTask(), freshTask(), freshTask()];
    const due = new Map<string, number>();
    for (const [i, task] of tasks.entries()) {
      const { ref, state } = await submit(broker, { task, delay: 400 + 300 * i });
      expect(state).toBe("SCHEDULED");
      due.set(task, (await status(broker, ref)).stored.job.dueAt);
    }
    for (const task of tasks) {
      const grant = await leaseOne(broker, task);
      expect(now()).toBeGreaterThanOrEqual(due.get(task) ?? Number.POSITIVE_INFINITY);
      expect(await ack(broker, grant.token)).toBe("SUCCEEDED");
    }
  });

  test("a failing job waits longer each time, then is a dead letter with its history", async () => {
    const task = freshTask();
    const retry = { maxAttempts: 3, initialDelay: 200, factor: 2, jitter: 0 };
    const { ref } = await submit(broker, {
      task,
      retry,
      payload: { data: bytes("[1]"), contentType: "" },
    });
    for (const wait of [200, 400]) {
      const grant = await leaseOne(broker, task);
      const heard = await scene.overhear(ref);
      expect(await ack(broker, grant.token, failure())).toBe("RETRYING");
      expect(waitOf(await heard("later"))).toBe(wait);
    }
    const last = await leaseOne(broker, task);
    expect([last.attempt, last.failures]).toEqual([3, 2]);
    expect(await ack(broker, last.token, failure())).toBe("FAILED");
    const { stored, payload } = await status(broker, ref, true);
    expect(stored.job.history.map(({ number, outcome }) => [number, outcome])).toEqual([
      [1, 2],
      [2, 2],
      [3, 2],
    ]);
    for (const [i, attempt] of stored.job.history.slice(1).entries()) {
      expect(attempt.startedAt - (stored.job.history[i]?.endedAt ?? 0)).toBeGreaterThanOrEqual(200 * 2 ** i);
    }
    expect(stored.job.failure).toMatchObject({
      reason: FailureReason.ERROR,
      type: "Boom",
      message: "it broke",
    });
    expect(text(payload?.data)).toBe("[1]");
  });

  test("retry_after of a failure takes the place of the policy's wait", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, retry: { initialDelay: minute } });
    const grant = await leaseOne(broker, task);
    const heard = await scene.overhear(ref);
    expect(await ack(broker, grant.token, failure(FailureReason.ERROR, 300))).toBe("RETRYING");
    expect(waitOf(await heard("later"))).toBe(300);
    expect((await leaseOne(broker, task)).attempt).toBe(2);
  });

  test("a snoozed job comes back after its delay, however often", async () => {
    const task = freshTask();
    await submit(broker, { task, retry: { maxAttempts: 1, maxCrashes: 1 } });
    for (let attempt = 1; attempt <= 3; attempt++) {
      const grant = await leaseOne(broker, task);
      expect([grant.attempt, grant.failures]).toEqual([attempt, 0]);
      expect(await ack(broker, grant.token, { type: "snooze", delay: 150 })).toBe("SCHEDULED");
    }
  });

  test("a job whose first run has not begun by start_by fails as EXPIRED without running", async () => {
    const task = freshTask();
    const startBy = now() + 2_000;
    const { ref } = await submit(broker, { task, startBy });
    await until("start_by to pass", () => now() > startBy);
    expect(await lease(broker, task, { wait: 1_000 })).toEqual([]);
    const { state, stored } = await ended(ref);
    expect([state, stored.job.failure?.reason]).toEqual(["FAILED", FailureReason.EXPIRED]);
    expect(stored.job).toMatchObject({ attempt: 0, history: [] });
  });

  test("start_by is for the first run: a retry may come later", async () => {
    const task = freshTask();
    const startBy = now() + 4_000;
    await submit(broker, { task, startBy });
    const grant = await leaseOne(broker, task);
    await ack(broker, grant.token, { type: "snooze", delay: 4_100 });
    expect((await leaseOne(broker, task)).attempt).toBe(2);
    expect(now()).toBeGreaterThan(startBy);
  });

  test("a run over its hard limit is ended by the broker and counts as a failure", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, hardLimit: 300, retry: { maxAttempts: 1 } });
    const worker = await SessionWorker.attach(broker, task);
    const grant = await worker.next();
    const { state, stored } = await ended(ref);
    expect([state, stored.job.failure?.reason]).toEqual(["FAILED", FailureReason.TIME_LIMIT]);
    await until("the worker to be told", () => worker.cancels.length > 0);
    expect(worker.cancels).toEqual([{ leaseId: grant.leaseId, reason: "time-limit" }]);
    expect(await ack(broker, grant.token)).toBe("ALREADY_REPORTED");
    worker.leave();
  });

  test("an at-most-once job is held as LOST-to-be before its worker sees it, and never runs twice", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, retry: { maxCrashes: 0 } });
    const worker = await SessionWorker.attach(broker, task);
    await worker.next();
    const lying = await scene.current(ref);
    expect([lying.phase, lying.stored?.job.hold?.lostOnExpiry]).toEqual(["held-a", true]);
    worker.vanish();
    const { state, stored } = await ended(ref);
    expect([state, stored.job.failure?.reason]).toEqual(["FAILED", FailureReason.LOST]);
    expect(await lease(broker, task, { wait: 500 })).toEqual([]);
  });

  test("a result that nobody wants is not kept, the record is", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, key: "once", retention: 0 });
    const grant = await leaseOne(broker, task);
    expect(await ack(broker, grant.token, success('"big"'))).toBe("SUCCEEDED");
    const view = await status(broker, ref);
    expect([view.state, view.stored.job.result]).toEqual(["SUCCEEDED", undefined]);
    expect(await submit(broker, { task, key: "once" })).toMatchObject({
      deduplicated: true,
      state: "SUCCEEDED",
    });
  });

  test.each([
    { report: success('"r"'), state: "SUCCEEDED" },
    { report: failure(FailureReason.PERMANENT), state: "FAILED" },
  ])("a $state record with a retention of its own is kept for just that long", async ({ report, state }) => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, retention: 20 * minute });
    const grant = await leaseOne(broker, task);
    expect(await ack(broker, grant.token, report)).toBe(state);
    const lying = await scene.current(ref);
    expect([lying.phase, lying.headers.get("Nats-TTL")]).toEqual(["kept", "1200s"]);
    expect(await stateOf(broker, ref)).toBe(state);
  });

  test("labels and headers come with the lease and stand in the record", async () => {
    const task = freshTask();
    const labels = { tenant: "acme", "team.name": "ü" };
    const headers = { traceparent: "00-abc-def-01" };
    const { ref } = await submit(broker, { task, labels, headers });
    const grant = await leaseOne(broker, task);
    expect(grant.spec).toMatchObject({ labels, headers });
    await ack(broker, grant.token);
    expect((await status(broker, ref)).stored.job.spec).toMatchObject({ labels, headers });
  });

  test("a dead letter is redriven with fresh counters, its payload and its history", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, {
      task,
      key: "k",
      retry: { maxAttempts: 1 },
      payload: { data: bytes("[7]"), contentType: "" },
    });
    await ack(broker, (await leaseOne(broker, task)).token, failure());
    const view = await broker.api.jobs.redrive(ref);
    expect(view.stored.job).toMatchObject({ failures: 0, crashes: 0, finishedAt: 0 });
    const again = await leaseOne(broker, task);
    expect([again.attempt, again.failures, text(again.payload?.data)]).toEqual([2, 0, "[7]"]);
    expect(await ack(broker, again.token)).toBe("SUCCEEDED");
    const { job } = (await status(broker, ref)).stored;
    expect(job.history.map(({ number, outcome }) => [number, outcome])).toEqual([
      [1, 2],
      [2, 1],
    ]);
    expect(await refused(broker.api.jobs.redrive(ref))).toBe("NOT_FAILED");
  });

  test("a job keeps its last 20 attempts", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task });
    for (let attempt = 1; attempt <= 23; attempt++) {
      const grant = await leaseOne(broker, task);
      expect(grant.attempt).toBe(attempt);
      await ack(broker, grant.token, { type: "release" });
    }
    const { history } = (await status(broker, ref)).stored.job;
    expect(history.map(({ number }) => number)).toEqual(Array.from({ length: 20 }, (_, i) => i + 4));
  });

  test("a job nobody knows is nobody's", async () => {
    const ref = { task: freshTask(), key: "none" };
    expect(await broker.api.jobs.status([ref], false)).toEqual([undefined]);
    expect(await refused(broker.api.jobs.cancel(ref, ""))).toBe("JOB_NOT_FOUND");
    expect(await refused(broker.api.jobs.redrive(ref))).toBe("JOB_NOT_FOUND");
  });
});
