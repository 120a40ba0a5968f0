// Moving jobs that wait: to another queue or priority, and the same job all along.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { ack, failure, leaseOne, refused, stateOf, status, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

let scene: Scene;
let broker: RunningBroker;
let other: RunningBroker;

beforeAll(async () => {
  scene = await Scene.open();
  [broker, other] = await scene.pair();
});
afterAll(() => scene.close());

const move = (ref: JobRef, queue?: string, priority?: number) =>
  other.api.jobs.move(ref, { queue, priority });
const attach = (task: string, queue: string, credit = 5) =>
  SessionWorker.attach(broker, task, { queues: [{ queue, weight: 1 }], credit });

describe("a job that is ready", () => {
  test("runs in its new queue, once, and keeps its id", async () => {
    const [task, queue, next] = [freshTask(), freshTask("queue"), freshTask("queue")];
    const { ref } = await submit(broker, { task, key: "k", queue });
    expect(await move(ref, next)).toMatchObject({ state: "READY", stored: { queue: next, rev: 2 } });
    const there = await attach(task, next);
    const { ref: ran, spec, leaseId } = await there.next();
    expect(ran).toEqual({ task, key: "k" });
    expect(spec.queue).toBe(next);
    await there.settle(leaseId);
    const left = await attach(task, queue);
    await submit(broker, { task, key: "after", queue });
    expect((await left.next()).ref.key).toBe("after");
    expect(left.grants).toHaveLength(1);
    // A repeated submit meets the job that is there, whatever queue it names.
    expect((await submit(broker, { task, key: "k", queue })).deduplicated).toBe(true);
    for (const worker of [there, left]) worker.leave();
  });

  test("goes ahead under a higher priority", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await submit(broker, { task, key: "first", queue });
    const { ref } = await submit(broker, { task, key: "second", queue });
    // Its lane is new: a broker that heard of it only would have to look first.
    await broker.api.jobs.move(ref, { queue: undefined, priority: 9 });
    const worker = await attach(task, queue, 1);
    expect((await worker.next()).ref.key).toBe("second");
    worker.leave();
  });

  test("is taken from a broker that has fetched it already", async () => {
    const [task, queue, next] = [freshTask(), freshTask("queue"), freshTask("queue")];
    await submit(broker, { task, key: "runs", queue });
    const worker = await attach(task, queue, 1);
    await worker.next();
    // An open request brings it into the broker's buffer.
    const { ref } = await submit(broker, { task, key: "fetched", queue });
    await until("it to be fetched", () => broker.parts.dispatcher.isBuffered(`${task}~fetched`));
    await move(ref, next);
    await until("it to be given up", () => !broker.parts.dispatcher.isBuffered(`${task}~fetched`));
    await worker.settle(worker.grants[0]?.leaseId ?? 0);
    await submit(broker, { task, key: "behind", queue });
    expect((await worker.next()).ref.key).toBe("behind");
    expect(await stateOf(other, ref)).toBe("READY");
    worker.leave();
  });

  test("stays where it is when it is there already", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const { ref } = await submit(broker, { task, queue, priority: 3 });
    const before = await scene.current(ref);
    expect((await move(ref, queue, 3)).stored.rev).toBe(1);
    expect((await scene.current(ref)).seq).toBe(before.seq);
  });

  test("leaves nothing at its old place that could run", async () => {
    const [task, queue, next] = [freshTask(), freshTask("queue"), freshTask("queue")];
    const { ref } = await submit(broker, { task, queue });
    await move(ref, next);
    const lying = await scene.lying(ref);
    expect(lying.filter(({ stored }) => stored !== undefined)).toMatchObject([{ stored: { queue: next } }]);
    await move(ref, queue);
    await move(ref, next);
    const now = (await scene.lying(ref)).filter(({ stored }) => stored !== undefined);
    expect(now).toMatchObject([{ rev: 4, stored: { queue: next } }]);
  });
});

describe("a job that waits for its time", () => {
  test("runs at that time in its new queue, and its first alarm changes nothing", async () => {
    const [task, queue, next] = [freshTask(), freshTask("queue"), freshTask("queue")];
    const { ref } = await submit(broker, { task, queue, delay: 4_000 });
    const due = (await status(broker, ref)).stored.job.dueAt;
    const moved = await move(ref, next, 7);
    expect(moved).toMatchObject({ state: "SCHEDULED", stored: { queue: next, priority: 7 } });
    expect(moved.stored.job.dueAt).toBe(due);
    const worker = await attach(task, next);
    const { leaseId } = await worker.next();
    expect(broker.parts.store.clock.now()).toBeGreaterThanOrEqual(due - 1);
    await worker.settle(leaseId);
    expect(await stateOf(other, ref)).toBe("SUCCEEDED");
    worker.leave();
  });

  test("for a retry keeps what was tried", async () => {
    const [task, next] = [freshTask(), freshTask("queue")];
    const { ref } = await submit(broker, { task });
    const { token } = await leaseOne(broker, task);
    expect(await ack(broker, token, failure(undefined, 300_000))).toBe("RETRYING");
    const { state, stored } = await move(ref, next);
    expect(state).toBe("RETRYING");
    expect(stored.job).toMatchObject({ attempt: 2, failures: 1, history: [{ number: 1 }] });
  });
});

test("a unique job keeps its unique key, and gives it back at its end", async () => {
  const [task, next] = [freshTask(), freshTask("queue")];
  const unique = { key: "only", period: undefined };
  const { ref } = await submit(broker, { task, unique });
  await move(ref, next);
  expect((await submit(broker, { task, unique })).ref).toEqual(ref);
  const { token } = await leaseOne(broker, task, { queues: [next] });
  expect(await ack(broker, token)).toBe("SUCCEEDED");
  expect((await submit(broker, { task, unique })).ref).not.toEqual(ref);
});

test("its place under a limit is that of the queue it runs in", async () => {
  const [task, queue, next] = [freshTask(), freshTask("queue"), freshTask("queue")];
  const limits = { rate: undefined, concurrency: 1 };
  await broker.api.queues.update(next, { limits, retention: undefined });
  const { ref } = await submit(broker, { task, key: "moved", queue });
  await submit(broker, { task, key: "there", queue: next });
  await move(ref, next);
  const worker = await attach(task, next);
  const { leaseId } = await worker.next();
  expect((await other.api.jobs.explain(ref)).obstacles).toMatchObject([
    { kind: "CONCURRENCY_LIMIT", subject: `queue ${next}` },
  ]);
  await worker.settle(leaseId);
  expect((await worker.next()).ref.key).toBe("moved");
  worker.leave();
});

describe("is refused of a job", () => {
  test("that runs, wherever it does, for a short while or for long", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task });
    await leaseOne(broker, task);
    expect(await refused(move(ref, "elsewhere"))).toBe("NOT_WAITING");
    const long = freshTask();
    const held = await submit(broker, { task: long });
    await leaseOne(broker, long, { leaseDuration: 60_000 });
    expect(await refused(move(held.ref, "elsewhere"))).toBe("NOT_WAITING");
  });

  test("that has ended, or that nobody knows", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task });
    await broker.api.jobs.cancel(ref, "");
    expect(await refused(move(ref, "elsewhere"))).toBe("NOT_WAITING");
    expect(await refused(move({ task, key: "unknown" }, "elsewhere"))).toBe("JOB_NOT_FOUND");
  });
});
