// Unique keys and debounce: one job for many submits, whoever takes them in.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { specOf as inStore } from "../../broker/src/core/job.js";
import {
  type Asked,
  ack,
  bytes,
  lease,
  leaseOne,
  refused,
  specOf,
  stateOf,
  status,
  submit,
  succeeded,
  text,
} from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { until } from "../support/until.js";

let scene: Scene;
let first: RunningBroker;
let second: RunningBroker;

beforeAll(async () => {
  scene = await Scene.open({ shards: 3 });
  first = await scene.broker();
  second = await scene.broker();
});
afterAll(() => scene.close());

const unique = (task: string, key = "customer-7", period?: number): Asked => ({
  task,
  unique: { key, period },
});
const payload = (said: string) => ({ data: bytes(said), contentType: "" });
const claimOf = async (task: string, key = "customer-7") =>
  (await first.parts.store.claims.read(task, key)).holder;

describe("a unique key", () => {
  test("makes one job of many submits at once, at every broker and inside one batch", async () => {
    const task = freshTask();
    const batch = () => Array.from({ length: 40 }, () => specOf(unique(task)));
    const answers = await Promise.all(
      [first, second, first].map((broker) => broker.api.jobs.submit(batch(), "return")),
    );
    const all = answers.flat().map((answer) => succeeded(answer));
    expect(all.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(new Set(all.map(({ ref }) => ref.key)).size).toBe(1);
    expect((await lease(first, task, { maxJobs: 10 })).length).toBe(1);
    expect(await lease(second, task, { maxJobs: 10, wait: 300 })).toEqual([]);
  });

  test("of different names, and of different tasks, are different", async () => {
    const [task, other] = [freshTask(), freshTask()];
    const asked = [unique(task, "a"), unique(task, "b"), unique(other, "a")];
    for (const each of asked) expect((await submit(first, each)).deduplicated).toBe(false);
  });

  test("is free again when its job has ended: succeeded, failed or cancelled", async () => {
    const task = freshTask();
    const ends = [
      async () => ack(first, (await leaseOne(first, task)).token),
      async () =>
        ack(first, (await leaseOne(first, task)).token, {
          type: "failure",
          failure: { reason: 2, type: "E", message: "no", stack: "" },
          retryAfter: undefined,
        }),
      async (key: string) => first.api.jobs.cancel({ task, key }, ""),
    ];
    for (const end of ends) {
      const { ref, deduplicated } = await submit(first, unique(task));
      expect(deduplicated).toBe(false);
      expect((await submit(second, unique(task))).ref).toEqual(ref);
      expect(await claimOf(task)).toEqual({ key: ref.key, until: 0 });
      await end(ref.key);
      expect(await claimOf(task)).toBeUndefined();
    }
    expect((await submit(second, unique(task))).deduplicated).toBe(false);
  });

  test("is still taken while its job runs and while it waits for its retry", async () => {
    const task = freshTask();
    const { ref } = await submit(first, unique(task));
    const { token } = await leaseOne(first, task);
    expect(await submit(second, unique(task))).toEqual({ ref, deduplicated: true, state: "READY" });
    await ack(first, token, {
      type: "failure",
      failure: { reason: 1, type: "E", message: "no", stack: "" },
      retryAfter: 60_000,
    });
    expect(await submit(second, unique(task))).toEqual({ ref, deduplicated: true, state: "RETRYING" });
  });

  test("is refused where the submitter asks for that", async () => {
    const task = freshTask();
    await submit(first, unique(task));
    const [answer] = await second.api.jobs.submit([specOf(unique(task))], "reject");
    expect(answer).toMatchObject({ reason: "JOB_EXISTS" });
  });

  test("has to be had again by a redrive, which another job that has it by then refuses", async () => {
    const task = freshTask();
    const { ref } = await submit(first, unique(task));
    await ack(first, (await leaseOne(first, task)).token, {
      type: "failure",
      failure: { reason: 2, type: "E", message: "no", stack: "" },
      retryAfter: undefined,
    });
    const other = await submit(first, unique(task));
    expect(other.deduplicated).toBe(false);
    expect(await refused(second.api.jobs.redrive(ref))).toBe("JOB_EXISTS");
    await first.api.jobs.cancel(other.ref, "");
    await second.api.jobs.redrive(ref);
    expect(await submit(first, unique(task))).toMatchObject({ ref, deduplicated: true });
  });

  test("whose job was purged without a record is taken over", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const { ref } = await submit(first, { ...unique(task), queue });
    await first.api.queues.purge({ queue, task: undefined, includeScheduled: false, dryRun: false });
    expect((await claimOf(task))?.key).toBe(ref.key);
    expect((await submit(second, { ...unique(task), queue })).deduplicated).toBe(false);
  });

  test("with a period is taken for that long from the submit on, whatever becomes of the job", async () => {
    const task = freshTask();
    const { ref } = await submit(first, unique(task, "customer-7", 3_000));
    const submitted = Date.now();
    expect(await ack(first, (await leaseOne(first, task)).token)).toBe("SUCCEEDED");
    const again = await submit(second, unique(task, "customer-7", 3_000));
    if (Date.now() < submitted + 2_500) {
      expect(again).toEqual({ ref, deduplicated: true, state: "SUCCEEDED" });
    }
    await until("the period to be over", async () => (await claimOf(task)) === undefined);
    expect(Date.now()).toBeGreaterThanOrEqual(submitted + 2_500);
    const next = await submit(first, unique(task, "customer-7", 3_000));
    expect(next.deduplicated).toBe(false);
    expect(next.ref).not.toEqual(ref);
  });

  test("with a long period keeps its job's record for as long", async () => {
    const task = freshTask();
    const { ref } = await submit(first, unique(task, "customer-7", 30 * 86_400_000));
    await ack(first, (await leaseOne(first, task)).token);
    const { phase, headers } = await scene.current(ref);
    expect(phase).toBe("kept");
    expect(Number.parseInt(headers.get("Nats-TTL"), 10)).toBeGreaterThan(29 * 86_400);
  });

  test("a job of its own key that is there already is answered as ever", async () => {
    const task = freshTask();
    await submit(first, { task, key: "mine" });
    const again = await submit(second, { ...unique(task), key: "mine" });
    expect(again).toMatchObject({ ref: { task, key: "mine" }, deduplicated: true });
    expect(await claimOf(task)).toBeUndefined();
  });
});

describe("debounce", () => {
  const typing = (task: string, said: string, more: Partial<Asked> = {}): Asked => ({
    task,
    key: "draft",
    payload: payload(said),
    debounce: { wait: 60_000, maxWait: undefined },
    ...more,
  });

  test("a later submit replaces the waiting job, payload and all else, and starts its wait anew", async () => {
    const task = freshTask();
    const { ref, state } = await submit(first, typing(task, "h"));
    expect(state).toBe("SCHEDULED");
    const before = await status(first, ref);
    const asked = typing(task, "hello", { priority: 8, queue: "typed", labels: { by: "hand" } });
    expect(await submit(second, asked)).toEqual({ ref, deduplicated: true, state: "SCHEDULED" });
    const after = await status(first, ref, true);
    expect(text(after.payload?.data)).toBe("hello");
    expect(inStore(after.stored.job)).toMatchObject({ priority: 8, queue: "typed", labels: { by: "hand" } });
    expect(after.stored.job.dueAt).toBeGreaterThan(before.stored.job.dueAt);
    expect(inStore(after.stored.job).submittedAt).toBe(inStore(before.stored.job).submittedAt);
  });

  test("many at once, in one batch and at two brokers, leave one job that runs once with the last", async () => {
    const task = freshTask();
    const wait = { wait: 600_000, maxWait: undefined };
    const specs = Array.from({ length: 20 }, (_, i) => specOf(typing(task, `${i}`, { debounce: wait })));
    await Promise.all([first, second].map((broker) => broker.api.jobs.submit(specs, "return")));
    await submit(first, typing(task, "last", { debounce: { wait: 300, maxWait: undefined } }));
    const { payload: ran, token } = await leaseOne(second, task);
    expect(text(ran?.data)).toBe("last");
    await ack(second, token);
    expect(await lease(first, task, { wait: 500, maxJobs: 5 })).toEqual([]);
  });

  test("never waits for longer than the longest wait, counted from the first submit", async () => {
    const task = freshTask();
    const debounce = { wait: 60_000, maxWait: 61_000 };
    const { ref } = await submit(first, typing(task, "a", { debounce }));
    const { submittedAt } = inStore((await status(first, ref)).stored.job);
    await until("two seconds to pass", () => first.parts.store.clock.now() > submittedAt + 2_000);
    await submit(second, typing(task, "b", { debounce }));
    const { dueAt } = (await status(first, ref)).stored.job;
    // To what lies between checking a submit and storing it; counted from the second it would be 2 s more.
    expect(Math.abs(dueAt - submittedAt - 61_000)).toBeLessThan(1_900);
  });

  test("runs at once when the longest wait is over already", async () => {
    const task = freshTask();
    const { ref } = await submit(first, typing(task, "a", { debounce: { wait: 30_000, maxWait: 30_000 } }));
    const { submittedAt } = inStore((await status(first, ref)).stored.job);
    await until("a moment to pass", () => second.parts.store.clock.now() > submittedAt + 50);
    const short = typing(task, "b", { debounce: { wait: 10, maxWait: 10 } });
    expect(await submit(second, short)).toMatchObject({ state: "READY" });
    expect(text((await leaseOne(first, task)).payload?.data)).toBe("b");
  });

  test("leaves a job alone that runs or has ended", async () => {
    const task = freshTask();
    const soon = typing(task, "first", { debounce: { wait: 1, maxWait: undefined } });
    const { ref } = await submit(first, soon);
    const { token } = await leaseOne(first, task);
    expect(await submit(second, typing(task, "second"))).toMatchObject({
      deduplicated: true,
      state: "READY",
    });
    await ack(first, token);
    expect(await submit(second, typing(task, "third"))).toMatchObject({ ref, state: "SUCCEEDED" });
    expect(await stateOf(first, ref)).toBe("SUCCEEDED");
  });

  test("leaves a job alone that was never debounced", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task, key: "draft", delay: 60_000, payload: payload("plain") });
    await submit(second, typing(task, "other"));
    expect(text((await status(first, ref, true)).payload?.data)).toBe("plain");
  });

  test("takes a payload that lies beside its job along", async () => {
    const task = freshTask();
    const long = "x".repeat(20_000);
    const { ref } = await submit(first, typing(task, long));
    await submit(second, typing(task, `${long}y`));
    expect(await scene.body(ref)).toBe(20_001);
    expect(text((await status(first, ref, true)).payload?.data)).toBe(`${long}y`);
  });
});
