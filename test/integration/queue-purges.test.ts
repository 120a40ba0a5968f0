// Purges that do not go well, and what a queue's counts say after cancels, redrives and purges.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { QueueView } from "../../broker/src/app/queue-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { RunTimes } from "../../broker/src/core/limits.js";
import { ack, failure, lease, leaseOne, refused, stateOf, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const hour = 60 * 60 * 1_000;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;
  /** No run becomes a lease of its own: a purge cannot get past it. */
  const stubborn: Partial<RunTimes> = { holdAfter: hour, purgePatience: 2_500 };

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker(stubborn);
  });
  afterAll(() => scene.close());

  const purge = (on: RunningBroker, queue: string) =>
    on.api.queues.purge({ queue, task: undefined, includeScheduled: true, dryRun: false });
  const settingsOf = async (queue: string) =>
    (await broker.parts.store.queues.settings()).find(({ name }) => name === queue);

  test("a purge that cannot wait any longer is QUEUE_BUSY, removes nothing, and lets the queue go on", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const { ref: running } = await submit(broker, { task, queue });
    const worker = await SessionWorker.attach(broker, task, { queues: [{ queue, weight: 1 }], credit: 1 });
    const { leaseId } = await worker.next();
    const { ref: waiting } = await submit(broker, { task, queue });
    const { ref: later } = await submit(broker, { task, queue, delay: hour });
    expect(await refused(purge(broker, queue))).toBe("QUEUE_BUSY");
    for (const [ref, state] of [
      [running, "RUNNING"],
      [waiting, "READY"],
      [later, "SCHEDULED"],
    ] as const) {
      expect(await stateOf(broker, ref)).toBe(state);
    }
    await worker.settle(leaseId);
    const next = await worker.next();
    expect(next.ref).toEqual(waiting);
    await worker.settle(next.leaseId);
    worker.leave();
  });

  test("while a purge waits nothing of the queue is handed out, by any broker", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const second = await scene.broker(stubborn);
    await scene.acquainted();
    await submit(broker, { task, queue });
    const { token } = await leaseOne(broker, task, { queues: [queue], leaseDuration: hour });
    const refs = [(await submit(broker, { task, queue })).ref, (await submit(second, { task, queue })).ref];
    const purging = purge(broker, queue);
    await until("the queue to rest", async () => ((await settingsOf(queue))?.restUntil ?? 0) > 0);
    await until("the lane to rest", async () => {
      const { stream, name } = scene.lane(task, queue);
      return (await scene.jsm.consumers.info(stream, name)).paused === true;
    });
    const grants = await Promise.all(
      [broker, second].map((on) => lease(on, task, { queues: [queue], maxJobs: 5, wait: 500 })),
    );
    expect(grants).toEqual([[], []]);
    expect(await ack(broker, token)).toBe("SUCCEEDED");
    expect(await purging).toEqual({ ready: 2, scheduled: 0 });
    expect(await broker.api.jobs.status(refs, false)).toEqual([undefined, undefined]);
    await scene.stop(second);
    await until("the other broker to be gone", () => broker.parts.store.peers.all().length === 1, 30_000);
  });

  test("a queue whose purger died goes on once its rest is over, with nothing lost", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const purger = await scene.broker({ ...stubborn, purgePatience: hour });
    await submit(purger, { task, queue });
    const { token } = await leaseOne(broker, task, { queues: [queue], leaseDuration: hour });
    const { ref } = await submit(broker, { task, queue });
    const purging = purge(purger, queue).catch((error: unknown) => error);
    await until("the queue to rest", async () => ((await settingsOf(queue))?.restUntil ?? 0) > 0);
    await until(
      "the other broker to hear of it",
      () => (broker.parts.queues.settingsOf(queue)?.restUntil ?? 0) > 0,
    );
    // As with a SIGKILL: whatever it would still write, it cannot.
    await purger.parts.store.nc.close();
    expect(await purging).toBeInstanceOf(Error);
    await scene.stop(purger);
    const rest = await settingsOf(queue);
    expect(rest?.restUntil).toBeGreaterThan(broker.parts.store.clock.now());
    expect(await ack(broker, token)).toBe("SUCCEEDED");
    expect(await lease(broker, task, { queues: [queue], wait: 500 })).toEqual([]);
    // The hour goes by.
    const now = broker.parts.store.clock.now();
    await broker.parts.store.queues.update(queue, (settings) => ({ ...settings, restUntil: now + 500 }));
    expect((await leaseOne(broker, task, { queues: [queue] })).ref).toEqual(ref);
  });

  test("a queue counts its jobs by state, and no tombstone", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const take = () => leaseOne(broker, task, { queues: [queue], leaseDuration: hour });
    const give = () => submit(broker, { task, queue, retry: { maxAttempts: 1 } });
    for (let i = 0; i < 3; i++) await give();
    await ack(broker, (await take()).token);
    for (let i = 0; i < 2; i++) await ack(broker, (await take()).token, failure());
    const { ref: scheduled } = await submit(broker, { task, queue, delay: hour });
    await submit(broker, { task, queue, delay: hour });
    await broker.api.jobs.cancel(scheduled, "");
    const [, kept, dropped] = [await give(), await give(), await give()];
    await take();
    await broker.api.jobs.cancel(dropped.ref, "");
    expect(await stateOf(broker, kept.ref)).toBe("READY");
    const wanted: Partial<QueueView> = { ready: 1, running: 1, scheduled: 1, blocked: 0 };
    const ended: Partial<QueueView> = { succeeded: 1, failed: 2, cancelled: 2 };
    await until("the counts", async () =>
      matches(await broker.api.queues.get(queue), { ...wanted, ...ended }),
    );
    const listed = (await broker.api.queues.list()).find(({ name }) => name === queue);
    expect(listed).toMatchObject({ ...wanted, lanes: [{ task, priority: 5, ready: 1 }] });
    // A redriven job is no dead letter any more. Counts are up to 15 s old.
    const failed = await broker.api.jobs.list({ ...query, state: "FAILED", task, queue });
    expect(failed.jobs).toHaveLength(2);
    await broker.api.jobs.redrive({ task, key: failed.jobs[0]?.stored.job.spec?.key ?? "" });
    const after: Partial<QueueView> = { ...ended, ready: 2, failed: 1 };
    await until("the counts after", async () => matches(await broker.api.queues.get(queue), after), 40_000);
  }, 90_000);

  const query = { pageSize: 10, pageToken: "", includePayload: false };
  const matches = (view: QueueView, wanted: Partial<QueueView>) =>
    Object.entries(wanted).every(([name, value]) => view[name as keyof QueueView] === value);
});
