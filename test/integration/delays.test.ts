// Delays and retries end at their time: by the broker that stored them, in bulk, and by the store's alarm where that
// broker is gone, has no room, or could not do it in time.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { fillAgenda } from "../support/full-agenda.js";
import { ack, failure, leaseOne, specOf, stateOf, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker();
  });
  afterAll(() => scene.close());

  /** A job that is not there yet, and when the store raises its alarm for it once it waits, ms after its due time. */
  async function watched(): Promise<{ ref: JobRef; alarmAfterDue(): Promise<number> }> {
    const ref = { task: freshTask(), key: "watched" };
    const heard = await scene.overhear(ref);
    const alarmAfterDue = async () => {
      const { headers, stored } = await heard("later");
      return Date.parse(headers.get("Nats-Schedule").replace("@at ", "")) - (stored?.job.dueAt ?? 0);
    };
    return { ref, alarmAfterDue };
  }

  /** Alarms of the shard of a task that were handed to a broker. */
  async function alarmsSeen(task: string): Promise<number> {
    const { delivered } = await scene.jsm.consumers.info(scene.lane(task).stream, "due");
    return delivered.consumer_seq;
  }

  test("by the broker: at the due time, with the alarm five seconds behind it, which is then gone", async () => {
    const { ref, alarmAfterDue } = await watched();
    const { task } = ref;
    const before = await alarmsSeen(task);
    await submit(broker, { ...ref, delay: 300 });
    expect(await alarmAfterDue()).toBe(5_000);
    const { token } = await leaseOne(broker, task);
    const lying = await scene.lying(ref);
    expect(lying.map(({ phase }) => phase)).toEqual(["ready"]);
    // By the nats-server's own clock.
    const ticket = await scene.jsm.streams.getMessage(scene.lane(task).stream, { seq: lying[0]?.seq ?? 0 });
    expect(ticket?.time.getTime()).toBeGreaterThanOrEqual(lying[0]?.stored?.job.dueAt ?? Number.NaN);
    expect(await ack(broker, token)).toBe("SUCCEEDED");
    expect(await alarmsSeen(task)).toBe(before);
  });

  test("a retry as well as a first run", async () => {
    const { ref, alarmAfterDue } = await watched();
    const { task } = ref;
    await submit(broker, ref);
    await ack(broker, (await leaseOne(broker, task)).token, failure(1, 300));
    expect(await alarmAfterDue()).toBe(5_000);
    const { token, attempt } = await leaseOne(broker, task);
    expect(attempt).toBe(2);
    expect(await ack(broker, token)).toBe("SUCCEEDED");
  });

  test("by the store, at the due time itself, where the broker has no room for one more", async () => {
    const { ref, alarmAfterDue } = await watched();
    const emptied = fillAgenda(broker);
    try {
      await submit(broker, { ...ref, delay: 300 });
      expect(await alarmAfterDue()).toBe(0);
      expect(await ack(broker, (await leaseOne(broker, ref.task)).token)).toBe("SUCCEEDED");
    } finally {
      emptied();
    }
  });

  test("by the store and any other broker, when the one that stored them is gone", async () => {
    const task = freshTask();
    const doomed = await scene.broker();
    const runAt = doomed.parts.store.clock.now() + 3_000;
    const specs = Array.from({ length: 50 }, () => specOf({ task, runAt }));
    const refs = (await doomed.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
    await scene.stop(doomed);
    const starts: number[] = [];
    const worker = await SessionWorker.attach(broker, task, {
      credit: 100,
      run: ({ leaseId }, w) => {
        starts.push(broker.parts.store.clock.reached());
        w.report(leaseId);
      },
    });
    await until("all of them to have run", () => worker.recorded.length === refs.length);
    expect(Math.min(...starts)).toBeGreaterThanOrEqual(runAt);
    for (const ref of refs) expect(await stateOf(broker, ref)).toBe("SUCCEEDED");
    worker.leave();
  });

  test("thousands that are due at once all run, each once, and none of them early", async () => {
    const task = freshTask();
    const runAt = broker.parts.store.clock.now() + 2_000;
    for (let i = 0; i < 3; i++) {
      const specs = Array.from({ length: 1_000 }, () => specOf({ task, runAt }));
      for (const answer of await broker.api.jobs.submit(specs, "return")) succeeded(answer);
    }
    let earliest = Number.POSITIVE_INFINITY;
    const worker = await SessionWorker.attach(broker, task, {
      credit: 1_000,
      run: ({ leaseId }, w) => {
        earliest = Math.min(earliest, broker.parts.store.clock.now());
        w.report(leaseId);
      },
    });
    await until("all of them to have run", () => worker.recorded.length === 3_000);
    expect(earliest).toBeGreaterThanOrEqual(runAt);
    expect(worker.grants).toHaveLength(3_000);
    worker.leave();
  });
});

test("a SIGKILL of nats-server at the due time loses none of them", async () => {
  const scene = await Scene.open();
  try {
    const broker = await scene.broker();
    const task = freshTask();
    const runAt = broker.parts.store.clock.now() + 1_500;
    const specs = Array.from({ length: 1_000 }, () => specOf({ task, runAt }));
    for (const answer of await broker.api.jobs.submit(specs, "return")) succeeded(answer);
    const worker = await SessionWorker.attach(broker, task, {
      credit: 1_000,
      run: ({ leaseId }, w) => w.report(leaseId),
    });
    await until("the due time", () => broker.parts.store.clock.now() >= runAt + 5);
    await scene.crash();
    // What was on its way to the broker when the server died comes again when it has waited for its ack for 20 s.
    await until("all of them to have run", () => worker.recorded.length >= 1_000, 50_000);
    expect(new Set(worker.grants.map(({ ref }) => ref.key)).size).toBe(1_000);
    worker.leave();
  } finally {
    await scene.close();
  }
});
