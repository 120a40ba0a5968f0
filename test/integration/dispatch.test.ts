// Who gets what next: strict priority, turns among equals, weights among queues, and no polling.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Grant } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { specOf, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

const priorities = Array.from({ length: 10 }, (_, i) => i);

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker();
  });
  afterAll(() => scene.close());

  async function submitAll(specs: ReturnType<typeof specOf>[]): Promise<void> {
    for (const answer of await broker.api.jobs.submit(specs, "return")) succeeded(answer);
  }
  /** Runs one job at a time, in the order in which they are handed out. */
  async function drainSlowly(tasks: readonly string[], queues: readonly string[], count: number) {
    const run = ({ leaseId }: Grant, worker: SessionWorker) => worker.report(leaseId);
    const worker = await SessionWorker.attach(broker, tasks, {
      queues: queues.map((queue) => ({ queue, weight: 1 })),
      credit: 1,
      run,
    });
    await until("all jobs to have run", () => worker.recorded.length === count, 25_000);
    worker.leave();
    return worker.grants;
  }

  test("one slow worker drains 30 lanes in strict order of priority, first in first out in each", async () => {
    const tasks = [freshTask(), freshTask(), freshTask()];
    const queue = freshTask("queue");
    const specs = tasks.flatMap((task) =>
      priorities.flatMap((priority) =>
        [0, 1, 2].map((i) => specOf({ task, queue, priority, key: `p${priority}-${i}` })),
      ),
    );
    // Submitted in no order of priority at all.
    const mixed = specs.map((spec, i) => ({ spec, at: (i * 37) % specs.length })).sort((a, b) => a.at - b.at);
    await submitAll(mixed.map(({ spec }) => spec));
    const order = await drainSlowly(tasks, [queue], specs.length);
    expect(order.map(({ spec }) => spec.priority)).toEqual(
      priorities.flatMap((priority) => new Array<number>(9).fill(9 - priority)),
    );
    for (const task of tasks) {
      for (const priority of priorities) {
        const submitted = mixed.filter(({ spec }) => spec.task === task && spec.priority === priority);
        const ran = order.filter(({ spec }) => spec.task === task && spec.priority === priority);
        expect(ran.map(({ ref }) => ref.key)).toEqual(submitted.map(({ spec }) => spec.key));
      }
    }
  });

  test("an urgent job overtakes all that waits, from the very next lease on", async () => {
    const [calm, urgent] = [freshTask(), freshTask()];
    await submitAll(Array.from({ length: 200 }, () => specOf({ task: calm, priority: 2 })));
    const worker = await SessionWorker.attach(broker, [calm, urgent], { credit: 1 });
    for (let i = 0; i < 20; i++) {
      const { leaseId } = await worker.next();
      if (i % 5 === 4) {
        const { ref } = await submit(broker, { task: urgent, priority: 8 });
        // Its ticket comes by the request that is open on its lane.
        await until("the ticket to be there", () =>
          broker.parts.dispatcher.isBuffered(`${ref.task}~${ref.key}`),
        );
        await worker.settle(leaseId);
        const next = await worker.next();
        expect(next.ref.task).toBe(urgent);
        await worker.settle(next.leaseId);
      } else await worker.settle(leaseId);
    }
    worker.leave();
  });

  test("tasks of one priority take turns", async () => {
    const tasks = [freshTask(), freshTask(), freshTask()];
    // The first has been waiting for longest, and has most.
    await submitAll(
      tasks.flatMap((task, n) =>
        Array.from({ length: n === 0 ? 30 : 10 }, () => specOf({ task, priority: 4 })),
      ),
    );
    const order = await drainSlowly(tasks, ["default"], 50);
    for (const task of tasks) {
      expect(order.slice(0, 24).filter(({ ref }) => ref.task === task).length).toBeGreaterThanOrEqual(6);
    }
  });

  test("a worker's queues share it by weight", async () => {
    const task = freshTask();
    const [heavy, light] = [freshTask("queue"), freshTask("queue")];
    await submitAll(
      [heavy, light].flatMap((queue) => Array.from({ length: 60 }, () => specOf({ task, queue }))),
    );
    const order: string[] = [];
    const worker = await SessionWorker.attach(broker, task, {
      queues: [
        { queue: heavy, weight: 3 },
        { queue: light, weight: 1 },
      ],
      credit: 1,
      run: ({ leaseId, spec }, w) => {
        order.push(spec.queue);
        w.report(leaseId);
      },
    });
    await until("some to have run", () => order.length >= 60);
    const share = order.slice(0, 60).filter((queue) => queue === heavy).length;
    expect(share).toBeGreaterThanOrEqual(38);
    expect(share).toBeLessThanOrEqual(52);
    await until("all to have run", () => order.length === 120);
    worker.leave();
  });

  test("a worker is only ever handed tasks that it registered, from queues that it named", async () => {
    const [mine, other] = [freshTask(), freshTask()];
    const queue = freshTask("queue");
    await submitAll([
      specOf({ task: other, priority: 9 }),
      specOf({ task: mine, queue, priority: 9 }),
      specOf({ task: mine, priority: 0 }),
    ]);
    const worker = await SessionWorker.attach(broker, mine, { credit: 5 });
    await worker.settle((await worker.next()).leaseId);
    await elapsed(500);
    expect(worker.grants.map(({ ref, spec }) => [ref.task, spec.queue])).toEqual([[mine, "default"]]);
    worker.leave();
  });

  test("an idle worker polls nothing, and gets a job as it comes", async () => {
    const tasks = Array.from({ length: 10 }, () => freshTask());
    await submitAll(tasks.map((task) => specOf({ task })));
    await drainSlowly(tasks, ["default"], 10);
    const worker = await SessionWorker.attach(broker, tasks);
    const asked: string[] = [];
    const lanes = new Set(tasks.map((task) => scene.lane(task).name));
    const subscription = scene.nc.subscribe("$JS.API.CONSUMER.MSG.NEXT.*.*", {
      callback: (_, { subject }) => {
        if (lanes.has(subject.split(".").at(-1) ?? "")) asked.push(subject);
      },
    });
    // Every request on a lane stays open for 5 s: in 6 s there are two of each, at most three at the edges.
    const since = performance.now();
    const lapsed = () => Math.ceil((performance.now() - since) / 5_000) + 1;
    await elapsed(6_000);
    expect(asked.length).toBeLessThanOrEqual(lapsed() * tasks.length);
    const waits: number[] = [];
    for (const task of tasks) {
      const submitted = performance.now();
      await submit(broker, { task });
      const { leaseId } = await worker.next();
      waits.push(performance.now() - submitted);
      await worker.settle(leaseId);
    }
    // By the next request it would be up to 5 s; the machine may have stood still during one or two.
    expect(waits.filter((ms) => ms > 1_500).length).toBeLessThanOrEqual(2);
    // One new request for each that was answered, and what lapsed meanwhile.
    expect(asked.length).toBeLessThanOrEqual((lapsed() + 2) * tasks.length);
    subscription.unsubscribe();
    worker.leave();
  });

  test("many workers are kept busy, and each job goes to one of them", async () => {
    const tasks = [freshTask(), freshTask()];
    await submitAll(tasks.flatMap((task) => Array.from({ length: 400 }, () => specOf({ task }))));
    const workers = await Promise.all(
      Array.from({ length: 8 }, () =>
        SessionWorker.attach(broker, tasks, {
          credit: 10,
          run: ({ leaseId }, worker) => void elapsed(5).then(() => worker.report(leaseId)),
        }),
      ),
    );
    await until(
      "all to be done",
      () => workers.reduce((sum, { recorded }) => sum + recorded.length, 0) === 800,
      25_000,
    );
    const ran = workers.flatMap(({ grants }) => grants.map(({ ref }) => `${ref.task}~${ref.key}`));
    expect(new Set(ran).size).toBe(ran.length);
    for (const worker of workers) {
      expect(worker.grants.length).toBeGreaterThan(0);
      worker.leave();
    }
  });
});
