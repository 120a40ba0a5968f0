// Why a job is not running: each obstacle as a real broker meets it, asked of one that has no part in it.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { ObstacleKind } from "../../broker/src/core/explain.js";
import { OnFailure } from "../../broker/src/core/flow.js";
import { flowOfDraft } from "../../broker/src/core/flow-spec.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { lease, refused, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

let scene: Scene;
/** Workers and limits are at one, questions go to the other. */
let broker: RunningBroker;
let other: RunningBroker;

beforeAll(async () => {
  scene = await Scene.open();
  [broker, other] = await scene.pair();
});
afterAll(() => scene.close());

const explain = (ref: JobRef) => other.api.jobs.explain(ref);
const kindsOf = async (ref: JobRef): Promise<ObstacleKind[]> =>
  (await explain(ref)).obstacles.map(({ kind }) => kind);
const attach = (task: string, queue: string, credit = 1) =>
  SessionWorker.attach(broker, task, { queues: [{ queue, weight: 1 }], credit });
const now = () => other.parts.store.clock.now();

describe("a job that is ready", () => {
  test("says that no worker serves it, and which come before it", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    for (let i = 0; i < 3; i++) await submit(broker, { task, queue });
    const { ref } = await submit(broker, { task, queue });
    await submit(broker, { task, queue, priority: 9 });
    await submit(broker, { task, queue });
    await submit(broker, { task, queue, priority: 1 });
    await until("the line to be known", async () => (await explain(ref)).obstacles.at(-1)?.count === 4);
    const { state, obstacles, earliestStart, summary } = await explain(ref);
    expect(state).toBe("READY");
    expect(obstacles).toMatchObject([
      { kind: "NO_WORKER", subject: task },
      { kind: "BEHIND_OTHERS", subject: queue, count: 4 },
    ]);
    expect(earliestStart).toBeUndefined();
    expect(summary).toContain(`no worker that is attached serves ${task}`);
  });

  test("says that the workers are busy; once it runs nothing stands in its way", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const worker = await attach(task, queue);
    await submit(broker, { task, queue });
    const first = await worker.next();
    const { ref } = await submit(broker, { task, queue });
    await until("the worker to be busy", async () => (await kindsOf(ref)).join() === "WORKERS_BUSY");
    await worker.settle(first.leaseId);
    await worker.next();
    expect(await explain(ref)).toMatchObject({ state: "RUNNING", obstacles: [], earliestStart: undefined });
    worker.leave();
  });

  test("is not kept waiting by a more urgent task that its workers do not serve", async () => {
    const [task, stranger, queue] = [freshTask(), freshTask(), freshTask("queue")];
    await submit(broker, { task: stranger, queue, priority: 9 });
    const busy = await attach(task, queue);
    await submit(broker, { task, queue });
    await busy.next();
    const { ref } = await submit(broker, { task, queue });
    await until("the worker to be busy", async () => (await kindsOf(ref)).join() === "WORKERS_BUSY");
    busy.leave();
  });

  test("says that its queue is paused, until it is resumed", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const { ref } = await submit(broker, { task, queue });
    await broker.api.queues.pause(queue);
    expect(await kindsOf(ref)).toEqual(["QUEUE_PAUSED", "NO_WORKER"]);
    await broker.api.queues.resume(queue);
    expect(await kindsOf(ref)).toEqual(["NO_WORKER"]);
  });

  test("says which rate keeps it, and when it has its turn", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await broker.api.tasks.update(task, { rate: { count: 1, period: 3_600_000, burst: 1 } });
    await submit(broker, { task, queue });
    await submit(broker, { task, queue });
    const { ref } = await submit(broker, { task, queue });
    const worker = await attach(task, queue, 5);
    await worker.next();
    await until("both to wait", async () => (await explain(ref)).obstacles.at(-1)?.count === 1);
    const { obstacles, earliestStart } = await explain(ref);
    expect(obstacles).toMatchObject([
      { kind: "RATE_LIMIT", subject: `task ${task}` },
      { kind: "BEHIND_OTHERS", count: 1 },
    ]);
    // Two hours: one goes before it.
    expect((earliestStart ?? 0) - now()).toBeGreaterThan(6_900_000);
    worker.leave();
  });

  test("says which limit of jobs at a time is used up", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await broker.api.queues.update(queue, {
      limits: { rate: undefined, concurrency: 1 },
      retention: undefined,
    });
    const worker = await attach(task, queue, 5);
    await submit(broker, { task, queue });
    await worker.next();
    const { ref } = await submit(broker, { task, queue });
    expect((await explain(ref)).obstacles).toMatchObject([
      { kind: "CONCURRENCY_LIMIT", subject: `queue ${queue}`, count: 1 },
    ]);
    worker.leave();
  });

  test("counts a call that waits for jobs among the workers", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await broker.api.queues.pause(queue);
    const { ref } = await submit(broker, { task, queue });
    const gone = new AbortController();
    const call = lease(broker, task, { queues: [queue], gone: gone.signal });
    await until("the call to wait", async () => (await kindsOf(ref)).join() === "QUEUE_PAUSED");
    gone.abort();
    await call;
  });
});

test("a job that is not due says when it is, and what else it will meet", async () => {
  const [task, queue] = [freshTask(), freshTask("queue")];
  const { ref } = await submit(broker, { task, queue, delay: 60_000 });
  const { state, obstacles } = await explain(ref);
  expect(state).toBe("SCHEDULED");
  expect(obstacles.map(({ kind }) => kind)).toEqual(["NO_WORKER", "NOT_DUE"]);
  const worker = await attach(task, queue);
  const { earliestStart } = await explain(ref);
  expect(await kindsOf(ref)).toEqual(["NOT_DUE"]);
  const view = (await other.api.jobs.status([ref], false))[0];
  expect(earliestStart).toBe(view?.stored.job.dueAt);
  worker.leave();
});

test("a member of a flow names those that have to end first", async () => {
  const task = freshTask();
  const worker = await attach(task, "default");
  const memberOf = (dependsOn: number[]) => ({
    job: { task, key: "", labels: {}, headers: {} },
    dependsOn,
    onFailure: OnFailure.FAIL_FLOW,
    name: "",
  });
  const { jobIds } = await other.api.flows.submit(
    flowOfDraft(
      { key: "", name: "", labels: {}, deadline: undefined, members: [[], [0], [0, 1]].map(memberOf) },
      Date.now(),
    ),
  );
  await worker.next();
  const ref = { task, key: (jobIds[2] ?? "").slice(task.length + 1) };
  await until("the first to run", async () => (await explain(ref)).obstacles.length === 1);
  expect((await explain(ref)).obstacles).toMatchObject([
    { kind: "DEPENDENCIES", count: 2, jobs: jobIds.slice(0, 2) },
  ]);
  await worker.settle(worker.grants[0]?.leaseId ?? 0);
  await until("the flow to have moved on", async () => (await explain(ref)).obstacles[0]?.count === 1);
  worker.leave();
});

test("a job that nobody knows is not found", async () => {
  expect(await refused(explain({ task: "nobody", key: "knows" }))).toBe("JOB_NOT_FOUND");
});
