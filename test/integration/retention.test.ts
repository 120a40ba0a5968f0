// Space is taken back in bulk, and nothing that is removed may bring an older message of its job to light.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { QueueSettings } from "../../broker/src/app/queue-ports.js";
import type { Grant, Report } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { FailureReason, type JobRef } from "../../broker/src/core/job.js";
import { purgeBelow } from "../../broker/src/jetstream/purge.js";
import { sweepsIn } from "../support/aged-sweeps.js";
import * as ended from "../support/ended-jobs.js";
import { fillAgenda } from "../support/full-agenda.js";
import { ack, failure, lease, leaseOne, specOf, submit, succeeded, success } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    // No run here turns into a lease of its own: its ticket stays un-acked for as long as the test wants.
    broker = await scene.broker({ holdAfter: hour });
  });
  afterAll(() => scene.close());

  const retainIn = (ms: number) => sweepsIn(ms, broker).retain();
  const stateIn = async (ref: JobRef) => (await statesOf([ref]))[0];
  const statesOf = (refs: readonly JobRef[]) => ended.statesOf(broker, refs);
  const finish = (state: ended.EndState, queue?: string) => ended.finish(broker, state, queue);
  const lyingOf = (task: string) => ended.lyingOf(scene, task);
  /** Settings of a queue, known to the broker. */
  const keep = async (queue: string, settings: Partial<QueueSettings>) => {
    await broker.parts.store.queues.update(queue, (before) => ({ ...before, ...settings }));
    await broker.parts.queues.refresh();
  };
  async function submitMany(task: string, count: number, queue = "default"): Promise<JobRef[]> {
    const specs = Array.from({ length: count }, (_, i) => specOf({ task, queue, key: `k${i}` }));
    return (await broker.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
  }
  /** Leases so many jobs, for longer than the test lasts. */
  async function leaseMany(task: string, queue: string, count: number): Promise<Grant[]> {
    const grants: Grant[] = [];
    while (grants.length < count) {
      const more = { maxJobs: count - grants.length, queues: [queue], leaseDuration: hour };
      grants.push(...(await lease(broker, task, more)));
    }
    return grants;
  }
  describe.each(ended.endStates)("a %s record", (state) => {
    const age = state === "FAILED" ? 7 * day : hour;

    test("survives every sweep while it is fresh", async () => {
      const ref = await finish(state);
      for (let round = 0; round < 3; round++) await broker.parts.sweeps.retain();
      await retainIn(age - 5 * minute);
      expect(await stateIn(ref)).toBe(state);
    });

    test("goes by its age, and leaves nothing of the job behind", async () => {
      const ref = await finish(state);
      // A tombstone waits in its lane as a ticket does.
      expect(await lease(broker, ref.task, { wait: 300 })).toEqual([]);
      await until("its ticket to be swept and its record to go", async () => {
        await retainIn(age + minute);
        return (await stateIn(ref)) === undefined;
      });
      expect(await lyingOf(ref.task)).toBe(0);
    });

    test("goes at its queue's own age, sooner or later than those of others", async () => {
      const [short, long] = [freshTask("short"), freshTask("long")];
      const setting =
        state === "SUCCEEDED" ? "keepSucceeded" : state === "FAILED" ? "keepFailed" : "keepCancelled";
      await keep(short, { [setting]: 20 * minute });
      await keep(long, { [setting]: 30 * day });
      const [other, soon, late] = [
        await finish(state),
        await finish(state, short),
        await finish(state, long),
      ];
      for (const [{ task }, queue] of [
        [soon, short],
        [late, long],
        [other, "default"],
      ] as const) {
        await lease(broker, task, { queues: [queue], wait: 100 });
      }
      await retainIn(15 * minute);
      expect(await statesOf([soon, late, other])).toEqual([state, state, state]);
      await until("the short one to go", async () => {
        await retainIn(25 * minute);
        return (await stateIn(soon)) === undefined;
      });
      expect(await statesOf([late, other])).toEqual([state, state]);
      await until("the usual one to go", async () => {
        await retainIn(10 * day);
        return (await stateIn(other)) === undefined;
      });
      expect(await stateIn(late)).toBe(state);
      await keep(long, { [setting]: 0 });
      await keep(short, { [setting]: 0 });
    });
  });

  test("a retention below the idempotency window keeps records for the window", async () => {
    const queue = freshTask("brief");
    await keep(queue, { keepSucceeded: 1 });
    const ref = await finish("SUCCEEDED", queue);
    await retainIn(9 * minute);
    expect(await stateIn(ref)).toBe("SUCCEEDED");
    await keep(queue, { keepSucceeded: 0 });
  });

  test("a queue keeps the newest of its records, as many as it is told", async () => {
    const queue = freshTask("few");
    await keep(queue, { keepSucceededCount: 5 });
    const task = freshTask();
    const refs = await submitMany(task, 12, queue);
    const grants = await leaseMany(task, queue, 12);
    for (const { token } of grants) await ack(broker, token);
    const bystander = await finish("SUCCEEDED");
    await until("the surplus to go", async () => {
      await broker.parts.sweeps.retain();
      return (await statesOf(refs)).filter((state) => state !== undefined).length === 5;
    });
    const order = grants.map((grant) => grant.ref.key);
    const kept = (await broker.api.jobs.status(refs, false)).flatMap(
      (view) => view?.stored.job.spec?.key ?? [],
    );
    expect(new Set(kept)).toEqual(new Set(order.slice(-5)));
    await broker.parts.sweeps.retain();
    expect((await statesOf(refs)).filter((state) => state !== undefined)).toHaveLength(5);
    expect(await stateIn(bystander)).toBe("SUCCEEDED");
  });

  test("an un-acked ticket holds the records of its finished neighbours, until it is acked", async () => {
    const task = freshTask();
    const queue = freshTask("slow");
    const refs = await submitMany(task, 6, queue);
    const grants = await leaseMany(task, queue, 6);
    const [slow, ...others] = grants;
    for (const { token } of others) await ack(broker, token);
    const elsewhere = await finish("SUCCEEDED");
    await until("a record elsewhere to go", async () => {
      await retainIn(8 * day);
      return (await stateIn(elsewhere)) === undefined;
    });
    const states = async () => {
      const found = await broker.api.jobs.status(
        grants.map((grant) => grant.ref),
        false,
      );
      return found.map((view) => view?.state);
    };
    expect(await states()).toEqual(["RUNNING", ...others.map(() => "SUCCEEDED")]);
    // The lane's leftovers are still there: without their records they would be jobs again.
    expect(await scene.count(task, scene.lane(task, queue).filter)).toBe(6);
    expect(await submit(broker, { task, queue, key: others[0]?.ref.key ?? "" })).toMatchObject({
      deduplicated: true,
      state: "SUCCEEDED",
    });
    await ack(broker, slow?.token ?? "");
    await until("all of them to go", async () => {
      await retainIn(8 * day);
      return (await statesOf(refs)).every((state) => state === undefined);
    });
    expect(await scene.count(task, scene.lane(task, queue).filter)).toBe(0);
  });

  test("an alarm that nobody could look into holds the records of its shard", async () => {
    const task = freshTask();
    const { stream } = scene.lane(task);
    const done = (await submit(broker, { task })).ref;
    await scene.jsm.consumers.pause(stream, "due", new Date(Date.now() + hour));
    const emptied = fillAgenda(broker);
    try {
      const late = (await submit(broker, { task, delay: 200 })).ref;
      await until("its schedule to fire", async () => (await scene.lying(late)).at(-1)?.phase === "due");
      await ack(broker, (await leaseOne(broker, task)).token);
      await retainIn(8 * day);
      await retainIn(8 * day);
      expect(await statesOf([done, late])).toEqual(["SUCCEEDED", "SCHEDULED"]);
    } finally {
      emptied();
      await scene.jsm.consumers.resume(stream, "due");
    }
    await ack(broker, (await leaseOne(broker, task)).token);
    await until("the record to go", async () => {
      await retainIn(8 * day);
      return (await stateIn(done)) === undefined;
    });
  });

  test("a task that nobody serves holds back no other task of its queue, nor does its cancelled job", async () => {
    const queue = freshTask("shared");
    const [waiting, dropped] = [freshTask(), freshTask()];
    const unserved = (await submit(broker, { task: waiting, queue })).ref;
    const cancelled = (await submit(broker, { task: dropped, queue })).ref;
    const served = await finish("SUCCEEDED", queue);
    await broker.api.jobs.cancel(cancelled, "");
    await until("the record to go", async () => {
      await retainIn(8 * day);
      return (await stateIn(served)) === undefined;
    });
    expect(await stateIn(unserved)).toBe("READY");
    await until("the cancelled job to go, without a worker of its task", async () => {
      await retainIn(8 * day);
      return (await stateIn(cancelled)) === undefined;
    });
    expect(await lyingOf(dropped)).toBe(0);
  });

  test("however often is swept while jobs run to every end, no job goes back", async () => {
    const task = freshTask();
    const sweeps = sweepsIn(8 * day, broker);
    let over = false;
    const sweeping = (async () => {
      while (!over) await sweeps.retain();
    })();
    const refs = await submitMany(task, 300);
    const gone = new Set<string>();
    const runs = new Map<string, number>();
    const worker = await SessionWorker.attach(broker, task, {
      credit: 40,
      run: ({ leaseId, ref, attempt }, on) => {
        runs.set(ref.key, (runs.get(ref.key) ?? 0) + 1);
        const n = Number(ref.key.slice(1));
        const last = n % 3 === 0 ? failure(FailureReason.PERMANENT) : success();
        const again: Report = n % 5 === 0 ? failure(FailureReason.ERROR, 50) : { type: "release" };
        on.report(leaseId, n % 5 < 2 && attempt === 1 ? again : last);
      },
    });
    await until("all to end, and their records to go", async () => {
      const views = await broker.api.jobs.status(refs, false);
      for (const [i, view] of views.entries()) {
        const { key } = refs[i] as JobRef;
        const isOver = view === undefined || view.stored.job.finishedAt > 0;
        if (gone.has(key)) expect([key, isOver]).toEqual([key, true]);
        else if (isOver) gone.add(key);
      }
      return views.every((view) => view === undefined);
    });
    over = true;
    await sweeping;
    worker.leave();
    for (const { key } of refs)
      expect([key, runs.get(key)]).toEqual([key, Number(key.slice(1)) % 5 < 2 ? 2 : 1]);
  });

  test.each([0, 1, -5, Number.NaN, 1.5])("a purge below sequence %d is nothing", async (seq) => {
    const ref = await finish("SUCCEEDED");
    const { stream } = scene.lane(ref.task);
    const { state: before } = await scene.jsm.streams.info(stream);
    expect(before.messages).toBeGreaterThan(0);
    const filter = scene.subjects.all(scene.subjects.shard(ref.task));
    expect(await purgeBelow(broker.parts.store.jsm, stream, filter, seq)).toBe(0);
    expect(await stateIn(ref)).toBe("SUCCEEDED");
  });
});
