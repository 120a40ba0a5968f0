// When the record of a job is gone the job is gone: nothing older of it comes to light, and its key is free.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { sweepsIn } from "../support/aged-sweeps.js";
import * as ended from "../support/ended-jobs.js";
import { endStates } from "../support/ended-jobs.js";
import { ack, failure, leaseOne, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { until } from "../support/until.js";

const place = { queue: "default", priority: 5 };
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker();
  });
  afterAll(() => scene.close());

  /** Sweeps as they will be so many ms from now, by the listing of lanes of this moment. */
  const retainIn = (ms: number) => sweepsIn(ms, broker).retain();
  const stateIn = async (ref: JobRef) => (await ended.statesOf(broker, [ref]))[0];
  const finish = (state: ended.EndState) => ended.finish(broker, state);
  const lyingOf = (task: string) => ended.lyingOf(scene, task);

  test("a record with a retention of its own survives all bulk retention and ends by itself", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, retention: 20 * minute });
    await ack(broker, (await leaseOne(broker, task)).token);
    const { stored, seq, rev } = await scene.current(ref);
    await retainIn(300 * day);
    await retainIn(300 * day);
    expect(await stateIn(ref)).toBe("SUCCEEDED");
    // The same record once more, to be kept for a second instead of the twenty minutes that are the least.
    const { journal } = broker.parts.store;
    if (stored === undefined) throw new Error("no record");
    const write = { kind: "job", phase: "kept", job: stored.job, rev: rev + 1, ...place, fireAt: 0 } as const;
    const nonce = journal.nonce();
    await journal.commit({ ref, expected: seq, nonce, writes: [{ ...write, keepFor: 1_000 }] });
    await until("the record to end", async () => {
      const state = await stateIn(ref);
      expect([undefined, "SUCCEEDED"]).toContain(state);
      return state === undefined;
    });
    expect(await submit(broker, ref)).toMatchObject({ deduplicated: false });
  });

  test.each(endStates)("the key of a %s job is free again once its record aged out", async (state) => {
    const { task, key } = await finish(state);
    expect(await submit(broker, { task, key })).toMatchObject({ deduplicated: true, state });
    await until("the record to go", async () => {
      await retainIn(8 * day);
      return (await stateIn({ task, key })) === undefined;
    });
    expect(await submit(broker, { task, key })).toMatchObject({ deduplicated: false, state: "READY" });
    expect((await leaseOne(broker, task)).attempt).toBe(1);
  });

  test("a tombstone without its record blocks no submit of the key", async () => {
    const { task, key } = await finish("CANCELLED");
    const filter = scene.subjects.phase(scene.subjects.shard(task), "cancelled", task);
    await scene.jsm.streams.purge(scene.lane(task).stream, { filter });
    expect((await scene.lying({ task, key })).map(({ data }) => data.length)).toEqual([0]);
    expect(await submit(broker, { task, key })).toMatchObject({ deduplicated: false, state: "READY" });
    expect((await leaseOne(broker, task)).ref).toEqual({ task, key });
  });

  test.each(["by the queue's age", "by its own"])(
    "a dead letter kept %s never comes back once redriven",
    async (how) => {
      const task = freshTask();
      const retention = how === "by its own" ? 20 * minute : undefined;
      const { ref } = await submit(broker, { task, retry: { maxAttempts: 1 }, retention });
      await ack(broker, (await leaseOne(broker, task)).token, failure());
      await broker.api.jobs.redrive(ref);
      await retainIn(2 * hour);
      expect(await stateIn(ref)).toBe("READY");
      await ack(broker, (await leaseOne(broker, task)).token);
      const record = await scene.current(ref);
      expect(record.phase).toBe(how === "by its own" ? "kept" : "succeeded");
      // The later record goes first, as it does by their ages: an hour, and seven days for a dead letter.
      await sweepsIn(0, broker).retain();
      await scene.jsm.streams.purge(scene.lane(task).stream, { filter: record.subject });
      await until("what the redrive left to go", async () => {
        expect(await stateIn(ref)).toBeUndefined();
        await retainIn(2 * hour);
        return (await lyingOf(task)) === 0;
      });
    },
  );
});
