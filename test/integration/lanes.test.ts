// Lanes: one consumer for each (task, queue, priority) in use, made before the first message into it, found by every
// broker, removed when nobody needs it, and made again when somebody does.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Refusal } from "../../broker/src/core/errors.js";
import { sweepRules } from "../../broker/src/jetstream/sweeps.js";
import { ack, lease, leaseOne, refused, specOf, stateOf, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const longest = (name: string) => `${name}.${"x".repeat(127 - name.length)}`;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  const rules = { ...sweepRules };

  beforeEach(async () => {
    scene = await Scene.open({ shards });
  });
  afterEach(async () => {
    Object.assign(sweepRules, rules);
    await scene.close();
  });

  const names = async (broker: RunningBroker): Promise<string[]> => {
    const found: string[] = [];
    for (let shard = 0; shard < shards; shard++) {
      for await (const { config } of broker.parts.store.jsm.consumers.list(scene.subjects.stream(shard))) {
        const task = config.metadata?.["drover-task"];
        if (task !== undefined) found.push(`${task} ${config.metadata?.["drover-priority"]}`);
      }
    }
    return found.sort();
  };

  test("the longest names, with dots in them, work like any other", async () => {
    const broker = await scene.broker();
    const [task, queue, key] = [longest("task"), longest("queue"), longest("key")];
    const twin = task.replaceAll(".", "_");
    const { ref } = await submit(broker, { task, queue, key });
    await submit(broker, { task: twin, queue, key });
    const grant = await leaseOne(broker, task, { queues: [queue] });
    expect([grant.ref, grant.spec.queue]).toEqual([ref, queue]);
    expect(grant.token.length).toBeLessThanOrEqual(512);
    expect(await ack(broker, grant.token)).toBe("SUCCEEDED");
    expect(await stateOf(broker, { task: twin, key })).toBe("READY");
    expect(await lease(broker, task, { queues: [queue], wait: 300 })).toEqual([]);
  });

  test("names that differ in a dot only are different names", async () => {
    const broker = await scene.broker();
    const base = freshTask("mail");
    const tasks = [
      `${base}.send`,
      `${base}_send`,
      `${base}-send`,
      `${base}send`,
      `${base}.send.`,
      `.${base}.send`,
    ];
    for (const task of tasks) await submit(broker, { task, key: "same" });
    for (const task of tasks) {
      const grants = await lease(broker, task, { maxJobs: 5 });
      expect(grants.map(({ ref }) => ref)).toEqual([{ task, key: "same" }]);
    }
  });

  test("there are no more lanes than allowed; who needs one more is told, all others go on", async () => {
    const broker = await scene.broker({}, { DROVER_MAX_LANES: "3" });
    const task = freshTask();
    for (const priority of [1, 2, 3]) await submit(broker, { task, priority });
    expect(await refused(submit(broker, { task, priority: 4 }))).toBe("TOO_MANY_LANES");
    await submit(broker, { task, priority: 2 });
    const mixed = [
      specOf({ task, priority: 1 }),
      specOf({ task, priority: 9 }),
      specOf({ task, priority: 3 }),
    ];
    const answers = await broker.api.jobs.submit(mixed, "return");
    expect(answers.map((answer) => answer instanceof Refusal)).toEqual([false, true, false]);
    expect(await names(broker)).toHaveLength(3);
    const grants = await lease(broker, task, { maxJobs: 10 });
    expect(grants.length).toBeGreaterThan(0);
  });

  test("a lane that is made by one broker is served by all, at once", async () => {
    const [first, second] = [await scene.broker(), await scene.broker()];
    const task = freshTask();
    const worker = await SessionWorker.attach(second, task);
    await submit(first, { task });
    expect((await worker.next(4_000)).ref.task).toBe(task);
    worker.leave();
  });

  test("many brokers that make one lane at the same moment make one lane", async () => {
    const brokers = await Promise.all([scene.broker(), scene.broker(), scene.broker()]);
    const task = freshTask();
    await Promise.all(brokers.flatMap((broker) => Array.from({ length: 5 }, () => submit(broker, { task }))));
    expect(await names(brokers[0] as RunningBroker)).toEqual([`${task} 5`]);
    const { stream, name } = scene.lane(task);
    expect((await scene.jsm.consumers.info(stream, name)).num_pending).toBe(15);
  });

  test("a lane that is deleted under running brokers is made again, and no job of it is lost or doubled", async () => {
    const [first, second] = [await scene.broker(), await scene.broker()];
    const task = freshTask();
    const specs = Array.from({ length: 30 }, () => specOf({ task }));
    const refs = (await first.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
    for (let i = 0; i < 5; i++) await ack(first, (await leaseOne(first, task)).token);
    const { stream, name } = scene.lane(task);
    await scene.jsm.consumers.delete(stream, name);
    await Promise.all([first, second].map((broker) => broker.parts.store.lanes.refresh()));
    const late = (await submit(second, { task })).ref;
    const workers = await Promise.all(
      [first, second].map((broker) =>
        SessionWorker.attach(broker, task, { run: ({ leaseId }, worker) => worker.report(leaseId) }),
      ),
    );
    const { done } = await first.api.jobs.wait([...refs, late], "all", 25_000, new AbortController().signal);
    expect(done).toBe(true);
    const ran = workers.flatMap(({ grants }) => grants.map(({ ref }) => ref.key));
    expect(ran.length).toBe(26);
    expect(new Set(ran).size).toBe(26);
    for (const worker of workers) worker.leave();
  });

  test("an idle lane goes behind a mark, a used one stays, and a job that comes later makes it again", async () => {
    Object.assign(sweepRules, { laneIdle: 0, laneMarked: 0 });
    const broker = await scene.broker();
    const [idle, used] = [freshTask(), freshTask()];
    for (const task of [idle, used]) await submit(broker, { task });
    await ack(broker, (await leaseOne(broker, idle)).token);
    const sweep = async () => {
      await broker.parts.store.lanes.refresh();
      await broker.parts.sweeps.removeIdleLanes();
    };
    await until("the idle lane to be marked", async () => {
      await sweep();
      const { stream, name } = scene.lane(idle);
      const info = await scene.jsm.consumers.info(stream, name).catch(() => undefined);
      return info === undefined || info.config.metadata?.["drover-removing"] !== undefined;
    });
    await until("the idle lane to be removed", async () => {
      await sweep();
      return (await names(broker)).join() === `${used} 5`;
    });
    const { ref } = await submit(broker, { task: idle });
    expect((await leaseOne(broker, idle)).ref).toEqual(ref);
    expect((await leaseOne(broker, used)).ref.task).toBe(used);
  });

  test("a marked lane that is needed again loses its mark before the job is stored", async () => {
    Object.assign(sweepRules, { laneIdle: 0, laneMarked: 60_000 });
    const [first, second] = [await scene.broker(), await scene.broker()];
    const task = freshTask();
    await submit(first, { task });
    await ack(first, (await leaseOne(first, task)).token);
    const { stream, name } = scene.lane(task);
    const marked = async () =>
      (await scene.jsm.consumers.info(stream, name)).config.metadata?.["drover-removing"] !== undefined;
    await until("the mark", async () => {
      await first.parts.store.lanes.refresh();
      await first.parts.sweeps.removeIdleLanes();
      return marked();
    });
    await second.parts.store.lanes.refresh();
    const { ref } = await submit(second, { task });
    expect(await marked()).toBe(false);
    Object.assign(sweepRules, { laneMarked: 0 });
    await first.parts.sweeps.removeIdleLanes();
    expect((await leaseOne(second, task)).ref).toEqual(ref);
  });
});
