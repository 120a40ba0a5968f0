// Cancelling: what waits will not run, what runs is asked to end, what has ended stays.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import {
  ack,
  failure,
  lease,
  leaseOne,
  specOf,
  stateOf,
  status,
  submit,
  succeeded,
} from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

const quick = { holdAfter: 600, lease: 10_000, renewEvery: 700, buffered: 500 };
/** What a ticket under way to one broker may need to meet the news of its cancel through another, ms. */
const goneRound = 5_000;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let first: RunningBroker;
  let second: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [first, second] = await scene.pair(quick);
  });
  afterAll(() => scene.close());

  test("a READY job is cancelled by one batch, and its lane brings nothing but a tombstone", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    expect(await first.api.jobs.cancel(ref, "wrong order")).toEqual({
      outcome: "cancelled",
      previous: "READY",
    });
    const lying = await scene.lying(ref);
    expect(lying.map(({ phase, data }) => [phase, data.length > 0])).toEqual([
      ["ready", false],
      ["cancelled", true],
    ]);
    expect(lying[0]?.headers.get("Nats-Batch-Id")).toBe(lying[1]?.headers.get("Nats-Batch-Id"));
    expect(await lease(second, task, { wait: 600 })).toEqual([]);
    const { state, stored } = await status(second, ref);
    expect([state, stored.job.cancelReason, stored.job.attempt]).toEqual(["CANCELLED", "wrong order", 0]);
  });

  test.each([
    { state: "SCHEDULED", prepare: async () => undefined, delay: 60_000 },
    {
      state: "RETRYING",
      prepare: async (task: string) => {
        await ack(first, (await leaseOne(first, task)).token, failure(1, 60_000));
      },
      delay: undefined,
    },
  ])("a $state job is cancelled, and its schedule is gone with it", async ({ state, prepare, delay }) => {
    const task = freshTask();
    const { ref } = await submit(first, { task, delay });
    await prepare(task);
    expect(await stateOf(first, ref)).toBe(state);
    expect(await second.api.jobs.cancel(ref, "")).toEqual({ outcome: "cancelled", previous: state });
    expect((await scene.lying(ref)).map(({ phase }) => phase)).not.toContain("later");
    expect(await stateOf(first, ref)).toBe("CANCELLED");
  });

  test.each(["SUCCEEDED", "FAILED", "CANCELLED"])("a %s job stays as it is", async (state) => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    if (state === "CANCELLED") await first.api.jobs.cancel(ref, "the first");
    else await ack(first, (await leaseOne(first, task)).token, state === "FAILED" ? failure(2) : undefined);
    const before = await scene.current(ref);
    expect(await second.api.jobs.cancel(ref, "the second")).toEqual({
      outcome: "already-finished",
      previous: state,
    });
    expect((await scene.current(ref)).rev).toBe(before.rev);
  });

  test.each([
    { where: "this broker", by: () => first },
    { where: "another broker", by: () => second },
  ])("a running job's worker is told through $where and may answer", async ({ by }) => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await SessionWorker.attach(first, task);
    const { leaseId } = await worker.next();
    expect(await by().api.jobs.cancel(ref, "stop")).toEqual({ outcome: "requested", previous: "RUNNING" });
    expect(worker.cancels).toEqual([{ leaseId, reason: "requested" }]);
    expect(await status(second, ref)).toMatchObject({ state: "RUNNING", cancelRequested: true });
    // Asked twice, told once.
    expect(await by().api.jobs.cancel(ref, "stop")).toMatchObject({ outcome: "requested" });
    await worker.settle(leaseId, { type: "cancelled" });
    expect(worker.cancels).toHaveLength(1);
    const { state, stored } = await status(second, ref);
    expect([state, stored.job.cancelReason, stored.job.history[0]?.outcome]).toEqual([
      "CANCELLED",
      "stop",
      6,
    ]);
    worker.leave();
  });

  test.each([
    { report: { type: "success", result: undefined } as const, state: "SUCCEEDED" },
    { report: failure(), state: "CANCELLED" },
    { report: { type: "release" } as const, state: "CANCELLED" },
    { report: { type: "snooze", delay: 60_000 } as const, state: "CANCELLED" },
  ])("a $report.type reported after a cancel request makes the job $state", async ({ report, state }) => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const { token } = await leaseOne(first, task);
    await first.api.jobs.cancel(ref, "");
    expect(await ack(first, token, report)).toBe(state);
  });

  test("a worker that does not answer loses the job: it is cancelled after the grace", async () => {
    const impatient = await scene.broker({ ...quick, cancelGrace: 500 });
    await scene.acquainted();
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await SessionWorker.attach(impatient, task);
    const { leaseId, token } = await worker.next();
    await second.api.jobs.cancel(ref, "");
    await until("the job to be cancelled", async () => (await stateOf(second, ref)) === "CANCELLED");
    // The record is there a moment before the worker is told of it.
    await until("the worker to be told", () => worker.cancels.length === 2);
    expect(worker.cancels.map(({ reason }) => reason)).toEqual(["requested", "lease-lost"]);
    worker.report(leaseId);
    await until("the report to be refused", () => worker.refused.length > 0);
    expect(await ack(second, token)).toBe("JOB_CANCELLED");
    expect(await stateOf(first, ref)).toBe("CANCELLED");
    worker.leave();
    await scene.stop(impatient);
  });

  test("the wish outlives the broker that holds the job", async () => {
    const dying = await scene.broker(quick);
    const task = freshTask();
    const { ref } = await submit(dying, { task });
    const worker = await SessionWorker.attach(dying, task);
    await worker.next();
    await scene.acquainted();
    expect(await second.api.jobs.cancel(ref, "")).toMatchObject({ outcome: "requested" });
    await scene.stop(dying);
    await until("the job to be cancelled", async () => (await stateOf(first, ref)) === "CANCELLED");
    expect(await lease(first, task, { wait: 300 })).toEqual([]);
  });

  test("a ticket that waits in a broker's buffer is dropped with its job", async () => {
    // A worker that can take one job gets one; the probe on the other lane brings a second to the buffer.
    const [high, low] = [freshTask(), freshTask()];
    const warm = [await submit(first, { task: high }), await submit(first, { task: low })];
    const worker = await SessionWorker.attach(first, [high, low], { credit: 1 });
    for (const _ of warm) {
      const { leaseId } = await worker.next();
      await worker.settle(leaseId);
    }
    const two = [await submit(first, { task: high }), await submit(first, { task: low })];
    const running = await worker.next();
    const waiting = two.find(({ ref }) => ref.task !== running.ref.task);
    if (waiting === undefined) throw new Error("both run");
    await first.api.jobs.cancel(waiting.ref, "");
    await worker.settle(running.leaseId);
    await elapsed(700);
    expect(worker.grants).toHaveLength(3);
    expect(await stateOf(first, waiting.ref)).toBe("CANCELLED");
    worker.leave();
  });

  test("of jobs cancelled while workers drain them, each ends one way and none starts once its cancel has gone round", async () => {
    const task = freshTask();
    const specs = Array.from({ length: 400 }, () => specOf({ task }));
    const refs = (await first.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
    const started = new Map<string, number>();
    const run = (grant: { ref: { key: string }; leaseId: number }, worker: SessionWorker) => {
      started.set(grant.ref.key, performance.now());
      setTimeout(() => worker.report(grant.leaseId), 5);
    };
    const workers = await Promise.all(
      [first, second].map((broker) => SessionWorker.attach(broker, task, { credit: 8, run })),
    );
    const answered = new Map<string, number>();
    await Promise.all(
      refs.map(async (ref, i) => {
        const { outcome } = await (i % 2 === 0 ? first : second).api.jobs.cancel(ref, "");
        if (outcome === "cancelled") answered.set(ref.key, performance.now());
      }),
    );
    const { done } = await first.api.jobs.wait(refs, "all", 20_000, new AbortController().signal);
    expect(done).toBe(true);
    expect(answered.size).toBeGreaterThan(0);
    for (const view of await first.api.jobs.status(refs, false)) {
      const key = view?.stored.job.spec?.key ?? "";
      expect(["SUCCEEDED", "CANCELLED"]).toContain(view?.state);
      if (!answered.has(key)) continue;
      expect(view?.state).toBe("CANCELLED");
      expect(view?.stored.job.history).toEqual([]);
      expect(started.get(key) ?? 0).toBeLessThan((answered.get(key) ?? 0) + goneRound);
    }
    for (const worker of workers) worker.leave();
  });
});
