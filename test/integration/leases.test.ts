// Leases of single calls: who may report an attempt, for how long, and through which broker.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Refusal } from "../../broker/src/core/errors.js";
import {
  ack,
  bytes,
  failure,
  leaseOne,
  stateOf,
  status,
  submit,
  succeeded,
  text,
} from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { elapsed, until } from "../support/until.js";

// A lease of over 4 s is stored before it is handed out, as one of over 10 s is in real life.
const quick = { holdAfter: 4_000, cancelGrace: 3_000, buffered: 300 };
const long = 30_000;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let first: RunningBroker;
  let second: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [first, second] = await scene.pair(quick);
  });
  afterAll(() => scene.close());

  const extend = async (on: RunningBroker, token: string, duration: number, value?: number) => {
    const progress = value === undefined ? undefined : { value, detail: bytes('"half"'), at: 0 };
    const [answer] = await on.api.workers.extend([{ token, duration, progress }]);
    return answer instanceof Refusal ? answer.reason : succeeded(answer);
  };

  test("a long lease is stored before it is handed out, and acked through another broker", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const { token } = await leaseOne(first, task, { leaseDuration: long });
    expect((await scene.current(ref)).phase).toBe("held-a");
    expect(await stateOf(second, ref)).toBe("RUNNING");
    expect(await ack(second, token)).toBe("SUCCEEDED");
    expect((await status(second, ref)).stored.job.history).toMatchObject([{ worker: "w1", outcome: 1 }]);
    expect((await scene.lying(ref)).map(({ phase }) => phase)).not.toContain("held-a");
  });

  test("a short lease costs no write, and is acked through another broker all the same", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const { token } = await leaseOne(first, task, { leaseDuration: 3_900 });
    expect((await scene.current(ref)).phase).toBe("ready");
    expect(await ack(second, token)).toBe("SUCCEEDED");
    await elapsed(4_200);
    expect(await stateOf(first, ref)).toBe("SUCCEEDED");
  });

  test.each([
    { kind: "short", leaseDuration: 400 },
    { kind: "long", leaseDuration: 4_100 },
  ])("a $kind lease that ends unreported is a crash, and the job runs again", async ({ leaseDuration }) => {
    const task = freshTask();
    const { ref } = await submit(first, { task, retry: { maxCrashes: 1 } });
    const { token } = await leaseOne(first, task, { leaseDuration });
    const again = await leaseOne(second, task);
    expect([again.attempt, again.failures]).toEqual([2, 0]);
    expect((await status(first, ref)).stored.job).toMatchObject({ crashes: 1, history: [{ outcome: 3 }] });
    expect(await ack(first, token)).toBe("LEASE_LOST");
    expect(await ack(second, again.token)).toBe("SUCCEEDED");
  });

  test("a job that crashes once more than it may is a dead letter", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task, retry: { maxCrashes: 1 } });
    for (let attempt = 1; attempt <= 2; attempt++) {
      expect((await leaseOne(first, task, { leaseDuration: 300 })).attempt).toBe(attempt);
    }
    const view = await until("it to fail", async () => {
      const now = await status(first, ref);
      return now.state === "FAILED" && now;
    });
    expect(view.stored.job).toMatchObject({ crashes: 2, failures: 0, failure: { reason: 4 } });
  });

  test("an extended lease lives on, at any broker, and its progress is seen at every broker", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const { token } = await leaseOne(first, task, { leaseDuration: 3_500 });
    for (const [i, broker] of [first, second, first].entries()) {
      await elapsed(1_700);
      expect(await extend(broker, token, 6_000, i / 2)).toMatchObject({
        cancelRequested: false,
        drain: false,
      });
      for (const reader of [first, second]) {
        const { state, running } = await status(reader, ref);
        expect([state, running?.progress?.value, text(running?.progress?.detail)]).toEqual([
          "RUNNING",
          i / 2,
          '"half"',
        ]);
      }
    }
    expect(await ack(second, token)).toBe("SUCCEEDED");
    expect((await status(first, ref)).stored.job).toMatchObject({ attempt: 1, crashes: 0 });
  });

  test("an extension tells of a cancel, and leaves the worker no more than the grace", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const { token } = await leaseOne(first, task, { leaseDuration: long });
    expect(await second.api.jobs.cancel(ref, "enough")).toMatchObject({ outcome: "requested" });
    const told = await extend(first, token, 60_000);
    expect(told).toMatchObject({ cancelRequested: true });
    if (typeof told === "string") throw new Error(told);
    expect(told.expiresAt - first.parts.store.clock.now()).toBeLessThanOrEqual(quick.cancelGrace);
    expect(await ack(first, token, { type: "cancelled" })).toBe("CANCELLED");
    expect((await status(first, ref)).stored.job.cancelReason).toBe("enough");
  });

  // Every way in which a report or an extension can come too late, each with a reason of its own.
  const late: { name: string; reason: string; prepare(task: string): Promise<string> }[] = [
    {
      name: "of a lease that was lost",
      reason: "LEASE_LOST",
      prepare: async (task) => {
        const { token } = await leaseOne(first, task, { leaseDuration: 300 });
        await leaseOne(second, task);
        return token;
      },
    },
    {
      name: "of a lost lease whose job has been finished by another worker",
      reason: "LEASE_LOST",
      prepare: async (task) => {
        const { token } = await leaseOne(first, task, { leaseDuration: 300 });
        await ack(second, (await leaseOne(second, task)).token);
        return token;
      },
    },
    {
      name: "of an attempt that succeeded",
      reason: "ALREADY_REPORTED",
      prepare: async (task) => {
        const { token } = await leaseOne(first, task);
        expect(await ack(first, token)).toBe("SUCCEEDED");
        return token;
      },
    },
    {
      name: "of an attempt that failed and runs again",
      reason: "ALREADY_REPORTED",
      prepare: async (task) => {
        const { token } = await leaseOne(first, task);
        expect(await ack(first, token, failure(1, 0))).toBe("READY");
        await leaseOne(second, task);
        return token;
      },
    },
    {
      name: "of a job that was cancelled and did not answer in time",
      reason: "JOB_CANCELLED",
      prepare: async (task) => {
        const { token, ref } = await leaseOne(first, task);
        await second.api.jobs.cancel(ref, "");
        await until("it to be cancelled", async () => (await stateOf(first, ref)) === "CANCELLED");
        return token;
      },
    },
    {
      name: "of a token that was tampered with",
      reason: "INVALID_TOKEN",
      prepare: async (task) => {
        const { token } = await leaseOne(first, task);
        const [said = "", mac = ""] = token.split(".");
        const other = Buffer.from(said, "base64url").toString().replace(/^1\./, "2.");
        return `${Buffer.from(other).toString("base64url")}.${mac}`;
      },
    },
    {
      name: "of a token that is none",
      reason: "INVALID_TOKEN",
      prepare: async () => "garbage",
    },
    {
      name: "of a job that nobody knows any more",
      reason: "JOB_NOT_FOUND",
      prepare: async (task) => {
        const { token, ref } = await leaseOne(first, task);
        await ack(first, token);
        const stream = scene.subjects.stream(scene.subjects.shard(task));
        await scene.jsm.streams.purge(stream, { filter: scene.subjects.ofJob(ref) });
        return token;
      },
    },
  ];
  describe.each(late)("a report $name", ({ reason, prepare }) => {
    test(`is refused with ${reason} by every broker, and so is an extension`, async () => {
      const task = freshTask();
      const { ref } = await submit(first, { task });
      const token = await prepare(task);
      const before = await scene.lying(ref);
      for (const broker of [first, second]) {
        expect(await ack(broker, token)).toBe(reason);
        expect(await extend(broker, token, 5_000)).toBe(reason);
      }
      expect((await scene.lying(ref)).at(-1)?.rev).toBe(before.at(-1)?.rev);
    });
  });

  test("a run that nobody wants cancelled cannot end as cancelled", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const { token } = await leaseOne(first, task);
    for (const broker of [first, second]) {
      expect(await ack(broker, token, { type: "cancelled" })).toBe("NOT_CANCELLED");
    }
    expect(await stateOf(first, ref)).toBe("RUNNING");
    expect(await ack(first, token)).toBe("SUCCEEDED");
  });

  test("of many reports of one attempt exactly one counts", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const { token } = await leaseOne(first, task);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ack(i % 2 === 0 ? first : second, token, failure(2))),
    );
    expect(answers.filter((answer) => answer === "FAILED")).toHaveLength(1);
    expect(new Set(answers)).toEqual(new Set(["FAILED", "ALREADY_REPORTED"]));
    expect((await status(first, ref)).stored.job).toMatchObject({ failures: 1, history: [{ number: 1 }] });
  });
});
