// What cannot be read is a dead letter with its bytes; the broker, and everybody else's jobs, go on.

import { headers } from "nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { FailureReason, type JobRef } from "../../broker/src/core/job.js";
import { ack, leaseOne, stateOf, status, submit } from "../support/job-calls.js";
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

  async function put(subject: string, data: Uint8Array, fields: Record<string, string> = {}): Promise<void> {
    const hdrs = headers();
    for (const [name, value] of Object.entries(fields)) hdrs.set(name, value);
    const answer = await scene.nc.request(subject, data, { headers: hdrs, timeout: 5_000 });
    expect(answer.json()).not.toHaveProperty("error");
  }
  const ready = ({ task, key }: JobRef) => scene.lane(task).filter.replace("*", key);

  const garbage: { name: string; data: Buffer; fields: Record<string, string> }[] = [
    { name: "bytes without headers", data: Buffer.from("\u0000not a job\u00ff"), fields: {} },
    { name: "bytes with a revision", data: Buffer.from([255, 255, 255, 255]), fields: { "Drover-Rev": "7" } },
    { name: "a revision that is none", data: Buffer.from("x"), fields: { "Drover-Rev": "-1" } },
    { name: "an empty job", data: Buffer.alloc(0), fields: { "Drover-Rev": "1" } },
    { name: "a megabyte of noise", data: Buffer.alloc(900_000, 7), fields: {} },
  ];
  test.each(garbage)(
    "$name in a lane: failed as CORRUPT with the bytes, and the lane goes on",
    async (row) => {
      const task = freshTask();
      const { ref: before } = await submit(broker, { task });
      const bad = { task, key: "bad" };
      await put(ready(bad), row.data, row.fields);
      const { ref: after } = await submit(broker, { task });
      const worker = await SessionWorker.attach(broker, task, { run: ({ leaseId }, w) => w.report(leaseId) });
      const { done } = await broker.api.jobs.wait(
        [before, after],
        "all",
        10_000,
        new AbortController().signal,
      );
      expect(done).toBe(true);
      const view = await until("the dead letter", async () => {
        const now = await status(broker, bad);
        return now.state === "FAILED" && now;
      });
      expect(view.stored.job.failure?.reason).toBe(FailureReason.CORRUPT);
      const kept = Buffer.from(view.stored.job.corrupt);
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(row.data.length, 60_000));
      expect(row.data.subarray(0, kept.length).equals(kept)).toBe(true);
      expect(worker.grants).toHaveLength(2);
      // It has no payload to run with.
      await expect(broker.api.jobs.redrive(bad)).rejects.toMatchObject({ reason: "NOT_FAILED" });
      const { stream, name } = scene.lane(task);
      await until("nothing to be left in the lane", async () => {
        const { num_pending, num_ack_pending } = await scene.jsm.consumers.info(stream, name);
        return num_pending + num_ack_pending === 0;
      });
      worker.leave();
    },
  );

  test("a job that was overwritten with another job's bytes is not run as that one", async () => {
    const task = freshTask();
    const { ref: honest } = await submit(broker, { task, key: "honest" });
    const bytes = (await scene.current(honest)).data;
    await put(ready({ task, key: "thief" }), bytes, { "Drover-Rev": "1" });
    const worker = await SessionWorker.attach(broker, task, { run: ({ leaseId }, w) => w.report(leaseId) });
    await until("the dead letter", async () => (await stateOf(broker, { task, key: "thief" })) === "FAILED");
    await until("the honest one to run", async () => (await stateOf(broker, honest)) === "SUCCEEDED");
    expect(worker.grants.map(({ ref }) => ref.key)).toEqual(["honest"]);
    worker.leave();
  });

  test.each([
    { name: "bytes without headers", data: Buffer.from("garbage"), fields: {} },
    { name: "bytes with a revision", data: Buffer.from([1, 2, 3]), fields: { "Drover-Rev": "3" } },
    { name: "nothing at all", data: Buffer.alloc(0), fields: {} },
  ])("$name among the alarms keep no other alarm from being looked into", async ({ data, fields }) => {
    const task = freshTask();
    const bad = ready({ task, key: "bad" }).replace(".job.ready.", ".job.due.");
    await put(bad, data, fields);
    const { ref } = await submit(broker, { task, delay: 300 });
    await until("the due job to be ready", async () => (await stateOf(broker, ref)) === "READY");
    const { stream } = scene.lane(task);
    await until("every alarm to be acked", async () => {
      const { num_pending, num_ack_pending } = await scene.jsm.consumers.info(stream, "due");
      return num_pending + num_ack_pending === 0;
    });
    expect(await ack(broker, (await leaseOne(broker, task)).token)).toBe("SUCCEEDED");
  });

  test("a broker starts, serves and lists beside whatever lies in its stream", async () => {
    const task = freshTask();
    const home = `drover.default.${scene.subjects.shard(task)}`;
    await put(`${home}.job.ready.${task}.default.5.x.0`, Buffer.from("?"));
    await put(`${home}.job.succeeded.${task}.default.5.y.0`, Buffer.from("?"), { "Drover-Rev": "2" });
    await put(`${home}.job.unheard-of.${task}.default.5.z.0`, Buffer.from("?"));
    await put(`${home}.body.${task}.w`, Buffer.from("?"));
    await put(`${home}.nonsense`, Buffer.from("?"));
    const other = await scene.broker();
    const { ref } = await submit(other, { task });
    expect(await ack(other, (await leaseOne(other, task)).token)).toBe("SUCCEEDED");
    const query = { state: undefined, task, queue: undefined, pageSize: 100, includePayload: false };
    const { jobs } = await other.api.jobs.list({ ...query, pageToken: "" });
    expect(jobs.map(({ stored }) => stored.job.spec?.key)).toContain(ref.key);
    await scene.stop(other);
  });
});
