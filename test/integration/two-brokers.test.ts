// Brokers are alike: whatever is asked of one is true at the other.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import {
  ack,
  bytes,
  failure,
  leaseOne,
  specOf,
  stateOf,
  status,
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
  let brokers: RunningBroker[];

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [first, second] = await scene.pair();
    brokers = [first, second];
  });
  afterAll(() => scene.close());

  test("a job is submitted to one, run through the other, and its result read at the first", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await SessionWorker.attach(second, task, { worker: "w:2" });
    const { leaseId } = await worker.next();
    for (const broker of brokers) {
      const { state, running } = await status(broker, ref);
      expect([state, running?.worker]).toEqual(["RUNNING", "w:2"]);
    }
    await worker.settle(leaseId);
    for (const broker of brokers) expect(await stateOf(broker, ref)).toBe("SUCCEEDED");
    worker.leave();
  });

  test("a worker that waits at one broker gets what is submitted to the other, for a task new to both", async () => {
    const task = freshTask();
    const worker = await SessionWorker.attach(second, task);
    const { ref } = await submit(first, { task });
    const grant = await worker.next(4_000);
    expect(grant.ref).toEqual(ref);
    await worker.settle(grant.leaseId);
    worker.leave();
  });

  test("two brokers that take the same key at once make one job", async () => {
    const task = freshTask();
    const keys = Array.from({ length: 60 }, (_, i) => `key-${i}`);
    const answers = await Promise.all(
      brokers.flatMap((broker) =>
        keys.map((key) =>
          broker.api.jobs.submit([specOf({ task, key })], "return").then(([a]) => succeeded(a)),
        ),
      ),
    );
    expect(answers.filter(({ deduplicated }) => !deduplicated)).toHaveLength(60);
    for (const key of keys) expect(await scene.lying({ task, key })).toHaveLength(1);
  });

  test("workers at two brokers share a lane: every job runs once", async () => {
    const task = freshTask();
    const run = ({ leaseId }: { leaseId: number }, worker: SessionWorker) => worker.report(leaseId);
    const workers = await Promise.all(
      brokers.map((broker) => SessionWorker.attach(broker, task, { credit: 20, run })),
    );
    const refs = [];
    for (let i = 0; i < 4; i++) {
      const specs = Array.from({ length: 250 }, () => specOf({ task }));
      const answers = await (i % 2 === 0 ? first : second).api.jobs.submit(specs, "return");
      refs.push(...answers.map((answer) => succeeded(answer).ref));
    }
    const { done } = await first.api.jobs.wait(refs, "all", 25_000, new AbortController().signal);
    expect(done).toBe(true);
    const ran = workers.flatMap((worker) => worker.grants.map(({ ref }) => ref.key));
    expect(ran).toHaveLength(1_000);
    expect(new Set(ran).size).toBe(1_000);
    for (const worker of workers) worker.leave();
  });

  test("watching at one broker sees the run and its progress at the other", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const seen: string[] = [];
    const watching = (async () => {
      for await (const view of first.api.jobs.watch(ref, new AbortController().signal)) {
        const progress = view.running?.progress?.value;
        seen.push(progress === undefined ? view.state : `${view.state} ${progress}`);
      }
    })();
    await until("the watch to begin", () => seen.length > 0);
    const worker = await SessionWorker.attach(second, task);
    const { leaseId } = await worker.next();
    // By a hint: the slow look of every 5 s would come later.
    await until("RUNNING to be told", () => seen.includes("RUNNING"), 4_000);
    worker.session?.progress([{ leaseId, progress: { value: 0.5, detail: bytes("{}"), at: 0 } }]);
    await until("the progress to be told", () => seen.includes("RUNNING 0.5"), 4_000);
    await worker.settle(leaseId);
    await watching;
    // What is told twice is no fault: a hint may come while the slow look is under way.
    const told = seen.filter((each, i) => each !== seen[i - 1]);
    expect(told).toEqual(["READY", "RUNNING", "RUNNING 0.5", "SUCCEEDED"]);
    worker.leave();
  });

  test("waiting at one broker is over as soon as the other has recorded the outcome", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const waiting = first.api.jobs.wait([ref], "all", 20_000, new AbortController().signal);
    const { token } = await leaseOne(second, task);
    await ack(second, token, failure(2));
    const recorded = performance.now();
    const { jobs, done } = await waiting;
    expect([jobs[0]?.state, done]).toEqual(["FAILED", true]);
    // By a hint, not by the slow look of every 5 s.
    expect(performance.now() - recorded).toBeLessThan(3_000);
  });

  test("who works on what is known at both", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await SessionWorker.attach(second, task, { worker: "w:9" });
    await worker.next();
    for (const { api } of brokers) {
      const { workers, silentBrokers } = await api.inspect.workers();
      expect(silentBrokers).toBe(0);
      expect(workers.find(({ name }) => name === "w:9")).toMatchObject({
        broker: second.parts.store.peers.self,
        tasks: [task],
        running: 1,
      });
      const { jobs } = await api.inspect.active(100);
      expect(jobs.find(({ id }) => id === `${ref.task}~${ref.key}`)).toMatchObject({
        worker: "w:9",
        attempt: 1,
      });
      expect((await api.inspect.registered()).tasks).toContainEqual({
        task,
        workers: ["w:9"],
        queues: ["default"],
      });
    }
    worker.leave();
  });
});
