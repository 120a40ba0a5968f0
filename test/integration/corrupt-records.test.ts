// What cannot be read, wherever of a job it lies, is told as it is: FAILED as CORRUPT, with the bytes, and never run.

import { headers } from "nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { FailureReason, type JobRef, type Phase } from "../../broker/src/core/job.js";
import { ack, leaseOne, status, submit, text } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker();
  });
  afterAll(() => scene.close());

  async function put(
    phase: Phase,
    ref: JobRef,
    data: string,
    fields: Record<string, string>,
  ): Promise<number> {
    const hdrs = headers();
    for (const [name, value] of Object.entries(fields)) hdrs.set(name, value);
    const subject = scene.subjects.job(phase, ref, "default", 5);
    const answer = await scene.nc.request(subject, data, { headers: hdrs, timeout: 5_000 });
    const { seq, error } = answer.json<{ seq: number; error?: unknown }>();
    expect(error).toBeUndefined();
    return seq;
  }
  const quietly = async (task: string) => {
    const { stream } = scene.lane(task);
    const deliveries = async () =>
      (await scene.jsm.consumers.info(stream, scene.lane(task).name)).delivered.consumer_seq +
      (await scene.jsm.consumers.info(stream, "due")).delivered.consumer_seq;
    const before = await deliveries();
    await elapsed(1_000);
    expect(await deliveries()).toBe(before);
  };

  test.each([
    { name: "garbage", data: "garbage", fields: {} },
    { name: "garbage with a revision", data: "\u0001\u0002", fields: { "Drover-Rev": "3" } },
  ])("$name among the alarms is a dead letter, and never runs", async ({ data, fields }) => {
    const task = freshTask();
    const bad = { task, key: "bad" };
    const { ref: neighbour } = await submit(broker, { task, delay: 200 });
    await put("due", bad, data, fields);
    const worker = await SessionWorker.attach(broker, task, { run: ({ leaseId }, w) => w.report(leaseId) });
    const view = await until("the dead letter", async () => {
      const [now] = await broker.api.jobs.status([bad], false);
      return now?.state === "FAILED" && now;
    });
    expect(view.stored.job.failure?.reason).toBe(FailureReason.CORRUPT);
    expect(text(view.stored.job.corrupt)).toBe(data);
    await until("the neighbour to run", async () => (await status(broker, neighbour)).state === "SUCCEEDED");
    await quietly(task);
    expect(worker.grants.map(({ ref }) => ref)).toEqual([neighbour]);
    worker.leave();
  });

  test("a delayed job whose message is spoilt is a dead letter when it is due", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, delay: 5_000 });
    const { subject, headers: hdrs, rev } = await scene.current(ref);
    const spoilt = headers();
    for (const name of ["Drover-Rev", "Drover-Nonce", "Nats-Schedule", "Nats-Schedule-Target"]) {
      spoilt.set(name, hdrs.get(name));
    }
    const answer = await scene.nc.request(subject, "spoilt", { headers: spoilt, timeout: 5_000 });
    expect(answer.json()).not.toHaveProperty("error");
    const worker = await SessionWorker.attach(broker, task);
    const view = await until("the dead letter", async () => {
      const now = await status(broker, ref);
      return now.state === "FAILED" && now;
    });
    expect(view.stored.job.failure?.reason).toBe(FailureReason.CORRUPT);
    expect([text(view.stored.job.corrupt), view.stored.rev]).toEqual(["spoilt", rev + 1]);
    await quietly(task);
    expect(worker.grants).toEqual([]);
    worker.leave();
  });

  test.each(["succeeded", "failed", "cancelled", "kept"] as const)(
    "a %s record that cannot be read says so, and takes no new job of its key for itself",
    async (phase) => {
      const ref = { task: freshTask(), key: "k" };
      await put(phase, ref, "garbage", { "Drover-Rev": "4" });
      const view = await status(broker, ref);
      expect([view.state, view.stored.job.failure?.reason]).toEqual(["FAILED", FailureReason.CORRUPT]);
      expect(text(view.stored.job.corrupt)).toBe("garbage");
      expect(await submit(broker, ref)).toMatchObject({ deduplicated: true, state: "FAILED" });
      const { jobs } = await broker.api.jobs.list({
        state: undefined,
        task: ref.task,
        queue: undefined,
        pageSize: 10,
        pageToken: "",
        includePayload: true,
      });
      expect(jobs.map(({ state }) => state)).toEqual(["FAILED"]);
      const { done } = await broker.api.jobs.wait([ref], "all", 5_000, new AbortController().signal);
      expect(done).toBe(true);
    },
  );

  test("a lease whose message is spoilt in the store is told so, and another job of the task runs", async () => {
    const task = freshTask();
    const { ref } = await submit(broker, { task });
    const { token } = await leaseOne(broker, task);
    await put("ready", ref, "spoilt", { "Drover-Rev": "1" });
    expect(await ack(broker, token)).toBe("LEASE_LOST");
    const { ref: next } = await submit(broker, { task });
    expect((await leaseOne(broker, task)).ref).toEqual(next);
    await until("the dead letter", async () => (await status(broker, ref)).state === "FAILED");
    expect((await status(broker, ref)).stored.job.failure?.reason).toBe(FailureReason.CORRUPT);
  });
});
