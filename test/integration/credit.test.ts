// How much a worker is given at a time, and how little a broker asks of the store while there is nothing to do.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { specOf, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

const pullExpiry = 5_000;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;
  let other: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [broker, other] = [await scene.broker(), await scene.broker()];
  });
  afterAll(() => scene.close());

  async function submitMany(task: string, count: number, more: object = {}, on = broker): Promise<void> {
    const specs = Array.from({ length: count }, () => specOf({ task, ...more }));
    for (const answer of await on.api.jobs.submit(specs, "return")) succeeded(answer);
  }

  test("a worker never holds more of a task than it said, nor more of all than its credit", async () => {
    const [narrow, wide] = [freshTask(), freshTask()];
    for (const task of [narrow, wide]) await submitMany(task, 60);
    const held = new Map<string, number>([
      [narrow, 0],
      [wide, 0],
    ]);
    const most = { [narrow]: 0, [wide]: 0, all: 0 };
    const count = (task: string, by: number) => {
      held.set(task, (held.get(task) ?? 0) + by);
      most[task] = Math.max(most[task] ?? 0, held.get(task) ?? 0);
      most.all = Math.max(most.all, (held.get(narrow) ?? 0) + (held.get(wide) ?? 0));
    };
    const worker = await SessionWorker.attach(
      broker,
      { [narrow]: 2, [wide]: 0 },
      {
        credit: 7,
        run: ({ leaseId, ref }, on) => {
          count(ref.task, 1);
          void elapsed(5).then(() => {
            count(ref.task, -1);
            on.report(leaseId);
          });
        },
      },
    );
    await until("all to be done", () => worker.recorded.length === 120);
    expect(most).toEqual({ [narrow]: 2, [wide]: expect.any(Number), all: expect.any(Number) });
    expect(most.all).toBeLessThanOrEqual(7);
    // The bound of one task is no bound of the other.
    expect(most[wide]).toBeGreaterThanOrEqual(5);
    worker.leave();
  });

  test.each([
    { where: "in their tickets", size: 10_000 },
    { where: "beside their jobs", size: 100_000 },
  ])("a worker holds no more payload than its credit in bytes, for payloads $where", async ({ size }) => {
    const task = freshTask();
    const payload = { data: new Uint8Array(size), contentType: "application/octet-stream" };
    await submitMany(task, 12, { payload });
    const worker = await SessionWorker.attach(broker, task, { credit: 0 });
    worker.session?.credit(100, 3 * size);
    await until("three to come", () => worker.grants.length >= 3);
    await elapsed(500);
    // Only when what it holds is at the bound is it given no more; no job is larger than what it could ever hold.
    expect(worker.grants).toHaveLength(3);
    for (let i = 0; i < 12; i++) await worker.settle((await worker.next()).leaseId);
    expect(worker.grants.every((grant) => grant.payload?.data.length === size)).toBe(true);
    worker.leave();
  });

  test("the next jobs come while outcomes are being stored, until twice the credit is unsettled", async () => {
    const task = freshTask();
    const worker = await SessionWorker.attach(broker, task, { credit: 2 });
    const { journal } = broker.parts.store;
    await submitMany(task, 6);
    const [first, second] = [await worker.next(), await worker.next()];
    journal.disconnected();
    try {
      for (const { leaseId } of [first, second]) worker.report(leaseId);
      const [third, fourth] = [await worker.next(), await worker.next()];
      for (const { leaseId } of [third, fourth]) worker.report(leaseId);
      await elapsed(300);
      expect(worker.grants).toHaveLength(4);
      expect(worker.recorded).toEqual([]);
    } finally {
      journal.reconnected();
    }
    for (let i = 0; i < 2; i++) await worker.settle((await worker.next()).leaseId);
    await until("all to be recorded", () => worker.recorded.length === 6);
    worker.leave();
  });

  test("a report that is refused leaves its job in its place", async () => {
    const task = freshTask();
    const worker = await SessionWorker.attach(broker, task, { credit: 1 });
    await submitMany(task, 2);
    const { leaseId } = await worker.next();
    worker.report(leaseId, { type: "cancelled" });
    await until("it to be refused", () => worker.refused.length === 1);
    await elapsed(300);
    expect(worker.grants).toHaveLength(1);
    await worker.settle(leaseId);
    await worker.settle((await worker.next()).leaseId);
    worker.leave();
  });

  test("credit that is taken back is not used, credit that is given is", async () => {
    const task = freshTask();
    const worker = await SessionWorker.attach(broker, task, { credit: 0 });
    await submitMany(task, 6);
    await elapsed(500);
    expect(worker.grants).toHaveLength(0);
    worker.session?.credit(4, 1 << 20);
    await until("four to come", () => worker.grants.length === 4);
    worker.session?.credit(1, 1 << 20);
    for (let i = 0; i < 3; i++) await worker.settle((await worker.next()).leaseId);
    await elapsed(300);
    expect(worker.grants).toHaveLength(4);
    await worker.settle((await worker.next()).leaseId);
    for (let i = 0; i < 2; i++) await worker.settle((await worker.next()).leaseId);
    worker.leave();
  });

  test("a worker that comes late is given the most urgent first, whoever submitted it", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const priorities = [3, 0, 9, 6, 1, 8];
    for (const on of [other, broker]) {
      for (const priority of priorities) await submitMany(task, 2, { queue, priority }, on);
    }
    const worker = await SessionWorker.attach(broker, task, { queues: [{ queue, weight: 1 }], credit: 1 });
    const order: number[] = [];
    for (let i = 0; i < 24; i++) {
      const { leaseId, spec } = await worker.next();
      order.push(spec.priority);
      await worker.settle(leaseId);
    }
    expect(order).toEqual([...order].sort((a, b) => b - a));
    worker.leave();
  });

  test("jobs that come one by one are asked for once each", async () => {
    const task = freshTask();
    const worker = await SessionWorker.attach(broker, task, { run: ({ leaseId }, on) => on.report(leaseId) });
    await submitMany(task, 1);
    await until("the first to be done", () => worker.recorded.length === 1);
    const lane = () => broker.parts.store.lanes.all().find(({ key }) => key.task === task);
    await until("its lane to be listened to", () => lane()?.probing === true);
    let pulls = 0;
    const subscription = scene.nc.subscribe(`$JS.API.CONSUMER.MSG.NEXT.*.${scene.lane(task).name}`, {
      callback: () => void pulls++,
    });
    await scene.nc.flush();
    const jobs = 30;
    const since = performance.now();
    for (let i = 0; i < jobs; i++) {
      await submitMany(task, 1);
      await until("it to be done", () => worker.recorded.length === i + 2);
    }
    await scene.nc.flush();
    // The other broker listens to the lane as well, and both anew when their requests lapse.
    const lapsed = 2 * Math.ceil((performance.now() - since) / pullExpiry + 1);
    expect(pulls).toBeLessThanOrEqual(jobs + lapsed);
    subscription.unsubscribe();
    worker.leave();
  });

  test("an idle broker asks for each lane once in a pull's time, and a job comes by the request that is open", async () => {
    const tasks = Array.from({ length: 50 }, () => freshTask());
    for (const task of tasks) await submit(broker, { task });
    const worker = await SessionWorker.attach(broker, tasks, {
      credit: 100,
      run: ({ leaseId }, on) => on.report(leaseId),
    });
    await until("the lanes to be empty", () => worker.recorded.length === 50);
    await scene.stop(other);
    // What the lanes were used for just now is swept once.
    await broker.parts.store.lanes.refresh();
    await broker.parts.sweeps.sweepAll();
    const pulls = new Map<string, number>();
    let rest = 0;
    const names = new Map(tasks.map((task) => [scene.lane(task).name, task]));
    const subscription = scene.nc.subscribe("$JS.API.>", {
      callback: (_, { subject }) => {
        const task = subject.includes(".MSG.NEXT.") ? names.get(subject.split(".").at(-1) ?? "") : undefined;
        if (task === undefined) rest++;
        else pulls.set(task, (pulls.get(task) ?? 0) + 1);
      },
    });
    await scene.nc.flush();
    const since = performance.now();
    // Not by chance: a round of retention, which the time may or may not hold.
    await broker.parts.sweeps.retain();
    await elapsed(2 * pullExpiry);
    const passed = performance.now() - since;
    const expiries = Math.ceil(passed / pullExpiry) + 1;
    // One request stays open on each lane and is made again when it lapses; everything else is done for all lanes of a shard
    // at once.
    for (const task of tasks)
      expect([task, pulls.get(task) ?? 0]).toEqual([task, expect.toSatisfy((n) => n <= expiries)]);
    expect([...pulls.values()].reduce((sum, n) => sum + n, 0)).toBeGreaterThan(0);
    // That is: clock, storage, lanes, keys, schedules, flows, and how many jobs are in each phase, every 5 to 10 s, and
    // retention, twice at the most. Nothing of it grows with the lanes.
    expect(rest).toBeLessThanOrEqual((65 * shards * passed) / (2 * pullExpiry));
    for (const task of tasks.slice(0, 2)) {
      const before = pulls.get(task) ?? 0;
      await until("a fresh request", () => (pulls.get(task) ?? 0) > before);
      const submitted = performance.now();
      const known = worker.grants.length;
      await submit(broker, { task });
      await until("the job to come", () => worker.grants.length > known);
      // It came by the request that was open: within that one's time.
      expect(performance.now() - submitted).toBeLessThan(pullExpiry);
    }
    subscription.unsubscribe();
    worker.leave();
  }, 120_000);
});
