// Queues as people handle them: pausing, resuming, purging.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { JobRef } from "../../broker/src/core/job.js";
import {
  type Asked,
  ack,
  lease,
  leaseOne,
  refused,
  specOf,
  stateOf,
  submit,
  succeeded,
} from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let first: RunningBroker;
  let second: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [first, second] = await scene.pair({ holdAfter: 500, buffered: 800 });
  });
  afterAll(() => scene.close());

  async function fill(count: number, asked: Asked): Promise<JobRef[]> {
    const specs = Array.from({ length: count }, () => specOf(asked));
    return (await first.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
  }
  const existing = async (refs: readonly JobRef[]) =>
    (await first.api.jobs.status(refs, false)).filter((view) => view !== undefined).length;
  const purge = (queue: string, how: { task?: string; includeScheduled?: boolean; dryRun?: boolean } = {}) =>
    first.api.queues.purge({ queue, task: undefined, includeScheduled: false, dryRun: false, ...how });

  describe("pause", () => {
    test("stops a queue at every broker, lanes to come included, until it is resumed", async () => {
      const queue = freshTask("queue");
      const [old, fresh] = [freshTask(), freshTask()];
      await fill(2, { task: old, queue });
      const worker = await SessionWorker.attach(second, [old, fresh], {
        queues: [{ queue, weight: 1 }],
        credit: 1,
      });
      const running = await worker.next();
      await first.api.queues.pause(queue);
      expect((await second.api.queues.get(queue)).paused).toBe(true);
      // A new lane of the queue, made by the broker that did not pause it.
      await submit(second, { task: fresh, queue });
      await worker.settle(running.leaseId);
      for (const broker of [first, second]) {
        expect(await lease(broker, [old, fresh], { queues: [queue], maxJobs: 5, wait: 700 })).toEqual([]);
      }
      expect(worker.grants).toHaveLength(1);
      for (const task of [old, fresh]) {
        const { stream, name } = scene.lane(task, queue);
        expect((await scene.jsm.consumers.info(stream, name)).paused).toBe(true);
      }
      await second.api.queues.resume(queue);
      for (let i = 0; i < 2; i++) await worker.settle((await worker.next()).leaseId);
      worker.leave();
    });

    test("takes back what waits in a buffer, and lets a running job finish", async () => {
      const queue = freshTask("queue");
      const tasks = [freshTask(), freshTask()];
      for (const task of tasks) await submit(first, { task, queue });
      const worker = await SessionWorker.attach(first, tasks, { queues: [{ queue, weight: 1 }], credit: 1 });
      for (const _ of tasks) await worker.settle((await worker.next()).leaseId);
      const refs = [];
      for (const task of tasks) refs.push((await submit(first, { task, queue })).ref);
      const running = await worker.next();
      await first.api.queues.pause(queue);
      await worker.settle(running.leaseId);
      const waiting = refs.find(({ task }) => task !== running.ref.task);
      if (waiting === undefined) throw new Error("both ran");
      const { stream, name } = scene.lane(waiting.task, queue);
      await until("nothing to be out", async () => {
        const { num_ack_pending, num_pending } = await scene.jsm.consumers.info(stream, name);
        return num_ack_pending === 0 && num_pending === 1;
      });
      expect(worker.grants).toHaveLength(3);
      expect(await stateOf(first, waiting)).toBe("READY");
      await first.api.queues.resume(queue);
      const last = await worker.next();
      expect([last.ref, last.attempt]).toEqual([waiting, 1]);
      await worker.settle(last.leaseId);
      worker.leave();
    });

    test("of one queue leaves the others alone, and survives the brokers", async () => {
      const [paused, open] = [freshTask("queue"), freshTask("queue")];
      const task = freshTask();
      await fill(1, { task, queue: paused });
      await fill(1, { task, queue: open });
      await first.api.queues.pause(paused);
      const newcomer = await scene.broker();
      const grants = await lease(newcomer, task, { queues: [paused, open], maxJobs: 2 });
      expect(grants.map(({ spec }) => spec.queue)).toEqual([open]);
      expect(await ack(newcomer, grants[0]?.token ?? "")).toBe("SUCCEEDED");
      await scene.stop(newcomer);
    });
  });

  describe("purge", () => {
    test("removes what is ready, after saying how much that is", async () => {
      const queue = freshTask("queue");
      const task = freshTask();
      const ready = [
        ...(await fill(20, { task, queue, priority: 1 })),
        ...(await fill(10, { task: freshTask(), queue })),
      ];
      const later = await fill(7, { task, queue, delay: 60_000 });
      const elsewhere = await fill(3, { task, queue: freshTask("queue") });
      expect(await purge(queue, { dryRun: true })).toEqual({ ready: 30, scheduled: 0 });
      expect(await existing(ready)).toBe(30);
      expect(await purge(queue)).toEqual({ ready: 30, scheduled: 0 });
      expect([await existing(ready), await existing(later), await existing(elsewhere)]).toEqual([0, 7, 3]);
      expect((await first.api.queues.get(queue)).ready).toBe(0);
      // The queue is open for business again.
      const { ref } = await submit(first, { task, queue });
      expect((await leaseOne(first, task, { queues: [queue] })).ref).toEqual(ref);
    });

    test("with what is scheduled removes that as well", async () => {
      const queue = freshTask("queue");
      const refs = [
        ...(await fill(4, { task: freshTask(), queue })),
        ...(await fill(6, { task: freshTask(), queue, delay: 60_000 })),
      ];
      expect(await purge(queue, { includeScheduled: true, dryRun: true })).toEqual({
        ready: 4,
        scheduled: 6,
      });
      expect(await purge(queue, { includeScheduled: true })).toEqual({ ready: 4, scheduled: 6 });
      expect(await existing(refs)).toBe(0);
    });

    test("of one task leaves the queue's other tasks alone", async () => {
      const queue = freshTask("queue");
      const [mine, other] = [freshTask(), freshTask()];
      const gone = await fill(5, { task: mine, queue });
      const kept = await fill(5, { task: other, queue });
      expect(await purge(queue, { task: mine })).toEqual({ ready: 5, scheduled: 0 });
      expect([await existing(gone), await existing(kept)]).toEqual([0, 5]);
    });

    test("leaves a running job, its ticket and its outcome alone", async () => {
      const queue = freshTask("queue");
      const task = freshTask();
      const worker = await SessionWorker.attach(second, task, { queues: [{ queue, weight: 1 }], credit: 1 });
      const refs = await fill(6, { task, queue });
      const running = await worker.next();
      // It waits until the run is held in the store and its ticket acked.
      expect((await purge(queue)).ready).toBe(5);
      expect(await existing(refs)).toBe(1);
      await worker.settle(running.leaseId);
      expect(await stateOf(first, running.ref)).toBe("SUCCEEDED");
      worker.leave();
    });

    test("keeps records, and what is submitted while it goes on is not lost", async () => {
      const queue = freshTask("queue");
      const task = freshTask();
      const [done] = await fill(1, { task, queue });
      await ack(first, (await leaseOne(first, task, { queues: [queue] })).token);
      const old = await fill(50, { task, queue });
      const purging = purge(queue);
      const during = (
        await Promise.all(Array.from({ length: 50 }, () => submit(second, { task, queue })))
      ).map(({ ref }) => ref);
      const { ready } = await purging;
      expect(await existing(old)).toBe(0);
      expect(ready).toBeGreaterThanOrEqual(50);
      expect((await existing(during)) + ready - 50).toBe(50);
      expect(await stateOf(first, done as JobRef)).toBe("SUCCEEDED");
      const later = await fill(3, { task, queue });
      expect(await existing(later)).toBe(3);
    });

    test("of a queue nobody knows is refused", async () => {
      const unknown = freshTask("queue");
      expect(await refused(purge(unknown))).toBe("QUEUE_NOT_FOUND");
      expect(await refused(first.api.queues.get(unknown))).toBe("QUEUE_NOT_FOUND");
    });
  });

  test("a queue tells what lies in it", async () => {
    const queue = freshTask("queue");
    const task = freshTask();
    await fill(3, { task, queue, priority: 9 });
    await fill(2, { task, queue, priority: 0, delay: 60_000 });
    const { token } = await leaseOne(second, task, { queues: [queue] });
    const view = await first.api.queues.get(queue);
    expect(view).toMatchObject({ ready: 2, running: 1, scheduled: 2 });
    expect(view.lanes).toContainEqual({ task, priority: 9, ready: 2 });
    expect((await second.api.queues.list()).map(({ name }) => name)).toContain(queue);
    await ack(second, token);
  });
});
