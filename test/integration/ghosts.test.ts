// Ghosts: firings of schedules that the nats-server had picked before a transition was accepted, and stores after it. By
// sequence they are the newest of a job's messages; by revision they are nothing.

import { headers } from "nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Refusal } from "../../broker/src/core/errors.js";
import type { JobRef, ScheduledPhase } from "../../broker/src/core/job.js";
import { fillAgenda } from "../support/full-agenda.js";
import {
  ack,
  failure,
  lease,
  leaseOne,
  specOf,
  stateOf,
  status,
  submit,
  succeeded,
} from "../support/job-calls.js";
import { freshTask, type Lying, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const minute = 60_000;
/** For what thousands of firings take, while which the nats-server answers nobody: machines may be busy. */
const patience = minute;
const scheduled: readonly ScheduledPhase[] = ["held-a", "held-b", "later", "blocked"];

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    // What lies in the broker's hand for a while is not to go back meanwhile: that would be a change.
    broker = await scene.broker({ holdAfter: 300, buffered: 60_000 });
  });
  afterAll(() => scene.close());

  /** Again and again while the store does not answer, as a client would. */
  const patiently = <T>(ask: () => Promise<T>): Promise<T> =>
    until<T>(
      "the store to answer",
      () =>
        ask().catch((error: unknown) => {
          if (error instanceof Refusal && error.reason === "STORE_UNAVAILABLE") return undefined;
          throw error;
        }),
      patience,
    );
  const extend = (token: string, duration: number) =>
    broker.api.workers.extend([{ token, duration, progress: undefined }]).then(([answer]) => answer);
  const armed = (lying: readonly Lying[]) =>
    lying.filter(({ phase }) => scheduled.some((each) => each === phase));

  let ghosts = 0;
  /** Has the server fire what it fired for this schedule, now: a schedule of another job of the same kind, with the
   *  same content and target. (A client cannot publish such a message itself.) */
  async function fireLate(schedule: Lying): Promise<void> {
    const hdrs = headers();
    for (const name of ["Drover-Rev", "Drover-Nonce", "Nats-Schedule-Target"]) {
      hdrs.set(name, schedule.headers.get(name));
    }
    hdrs.set("Nats-Schedule", `@at ${new Date(broker.parts.store.clock.now() + 50).toISOString()}`);
    ghosts += 1;
    const subject = schedule.subject.replace(/[^.]+(?=\.[^.]+$)/, `ghost-${ghosts}`);
    const { stream, seq } = (
      await scene.nc.request(subject, schedule.data, { headers: hdrs, timeout: 5_000 })
    ).json<{ stream: string; seq: number }>();
    expect(seq).toBeGreaterThan(0);
    // What it fired may be looked into and swept before anybody sees it; that it fired shows by its own end.
    await until("the ghost to fire", async () => {
      const { state } = await scene.jsm.streams.info(stream, { subjects_filter: subject });
      return Object.keys(state.subjects ?? {}).length === 0;
    });
    await until("the ghost to be looked into", async () => {
      const { num_pending, num_ack_pending } = await scene.jsm.consumers.info(stream, "due");
      return num_pending + num_ack_pending === 0;
    });
  }
  /** The job's one armed schedule. */
  async function scheduleOf(ref: JobRef): Promise<Lying> {
    const [schedule] = armed(await scene.lying(ref));
    if (schedule === undefined) throw new Error("nothing is armed");
    return schedule;
  }

  /** Each leaves a job that moved on from a schedule, and says how it goes on from there. */
  const cases: {
    name: string;
    state: string;
    prepare(task: string, ref: JobRef): Promise<{ ghost: Lying; after?: () => Promise<void> }>;
    delay?: number;
  }[] = [
    {
      name: "of a delay after the job was cancelled",
      state: "CANCELLED",
      delay: minute,
      prepare: async (_, ref) => {
        const ghost = await scheduleOf(ref);
        await broker.api.jobs.cancel(ref, "");
        return { ghost };
      },
    },
    {
      name: "of a lease after a heartbeat",
      state: "RUNNING",
      prepare: async (task, ref) => {
        const { token } = await leaseOne(broker, task, { leaseDuration: minute });
        const ghost = await scheduleOf(ref);
        expect(await extend(token, minute)).not.toBeInstanceOf(Refusal);
        return {
          ghost,
          after: async () => {
            expect(await extend(token, minute)).not.toBeInstanceOf(Refusal);
            expect(await ack(broker, token)).toBe("SUCCEEDED");
          },
        };
      },
    },
    {
      name: "of a lease after the outcome",
      state: "SUCCEEDED",
      prepare: async (task, ref) => {
        const { token } = await leaseOne(broker, task, { leaseDuration: minute });
        const ghost = await scheduleOf(ref);
        await ack(broker, token);
        return { ghost };
      },
    },
    {
      name: "of a lease after a failure that waits for its retry",
      state: "RETRYING",
      prepare: async (task, ref) => {
        const { token } = await leaseOne(broker, task, { leaseDuration: minute });
        const ghost = await scheduleOf(ref);
        // Long enough for the ghost to come first.
        expect(await ack(broker, token, failure(1, 6_000))).toBe("RETRYING");
        return {
          ghost,
          after: async () => {
            const grant = await leaseOne(broker, task);
            expect(grant.attempt).toBe(2);
            expect(await ack(broker, grant.token)).toBe("SUCCEEDED");
          },
        };
      },
    },
    {
      name: "of a retry after the job has run and succeeded",
      state: "SUCCEEDED",
      prepare: async (task, ref) => {
        const heard = await scene.overhear(ref);
        await ack(broker, (await leaseOne(broker, task)).token, failure(1, 100));
        const ghost = await heard("later");
        await ack(broker, (await leaseOne(broker, task)).token);
        return { ghost };
      },
    },
    {
      name: "of a lease after the dead letter was redriven",
      state: "READY",
      prepare: async (task, ref) => {
        const { token } = await leaseOne(broker, task, { leaseDuration: minute });
        const ghost = await scheduleOf(ref);
        await ack(broker, token, failure(2));
        await broker.api.jobs.redrive(ref);
        return {
          ghost,
          after: async () =>
            expect(await ack(broker, (await leaseOne(broker, task)).token)).toBe("SUCCEEDED"),
        };
      },
    },
  ];
  test.each(cases)("a firing $name changes nothing", async ({ state, prepare, delay }) => {
    const task = freshTask();
    const { ref } = await submit(broker, { task, delay });
    const { ghost, after } = await prepare(task, ref);
    expect(await stateOf(broker, ref)).toBe(state);
    const { rev } = (await status(broker, ref)).stored;
    await fireLate(ghost);
    expect(await status(broker, ref)).toMatchObject({ state, stored: { rev } });
    if (after === undefined) expect(await lease(broker, task, { wait: 300 })).toEqual([]);
    else await after();
  });

  test.each(["by their broker", "by the store"])(
    "cancels that are accepted while thousands of delays are ended %s all hold",
    async (by) => {
      const task = freshTask();
      const emptied = by === "by the store" ? fillAgenda(broker) : () => undefined;
      const runAt = broker.parts.store.clock.now() + 3_000;
      const refs: JobRef[] = [];
      for (let i = 0; i < 3; i++) {
        const specs = Array.from({ length: 1_000 }, () => specOf({ task, runAt }));
        const answers = await broker.api.jobs.submit(specs, "return");
        refs.push(...answers.map((answer) => succeeded(answer).ref));
      }
      emptied();
      await until("the due time", () => broker.parts.store.clock.now() >= runAt);
      // The last to be submitted are the last to fire.
      const doomed = refs.slice(-1_500).reverse();
      const outcomes = await Promise.all(
        doomed.map((ref) => patiently(() => broker.api.jobs.cancel(ref, ""))),
      );
      expect(outcomes.every(({ outcome }) => outcome === "cancelled")).toBe(true);
      const worker = await SessionWorker.attach(broker, task, {
        credit: 1_000,
        run: ({ leaseId }, w) => w.report(leaseId),
      });
      const first = refs.slice(0, 1_000);
      const { signal } = new AbortController();
      const { done } = await patiently(() => broker.api.jobs.wait(first, "all", patience, signal));
      expect(done).toBe(true);
      await until(
        "the other jobs to have run",
        () => worker.recorded.length >= refs.length - doomed.length,
        patience,
      );
      const views = await patiently(() => broker.api.jobs.status(doomed, false));
      for (const view of views) expect(view?.state).toBe("CANCELLED");
      expect(worker.grants).toHaveLength(refs.length - doomed.length);
      worker.leave();
    },
    3 * minute,
  );

  test(
    "extensions and outcomes that are accepted while a thousand leases end all hold",
    async () => {
      const task = freshTask();
      const specs = Array.from({ length: 1_000 }, () => specOf({ task, retry: { maxCrashes: 50 } }));
      await broker.api.jobs.submit(specs, "return");
      const grants: { token: string; ref: JobRef; attempt: number; expiresAt: number }[] = [];
      while (grants.length < 1_000) {
        grants.push(...(await lease(broker, task, { maxJobs: 1_000, leaseDuration: 4_000 })));
      }
      const end = Math.min(...grants.map(({ expiresAt }) => expiresAt));
      await until("the leases to end", () => broker.parts.store.clock.now() >= end);
      const answers = await Promise.all(
        grants.map(async ({ token }, i) => {
          if (i % 2 === 0) return (await extend(token, minute)) instanceof Refusal ? "late" : "extended";
          return (await ack(broker, token)) === "SUCCEEDED" ? "reported" : "late";
        }),
      );
      expect(answers).toContain("extended");
      expect(answers).toContain("reported");
      await until(
        "every firing to be looked into",
        async () => {
          const { stream } = scene.lane(task);
          const info = await scene.jsm.consumers.info(stream, "due");
          return info.num_pending + info.num_ack_pending === 0;
        },
        patience,
      );
      const views = await broker.api.jobs.status(
        grants.map(({ ref }) => ref),
        false,
      );
      for (const [i, view] of views.entries()) {
        const { attempt } = grants[i] ?? { attempt: 0 };
        const { job } = view?.stored ?? { job: undefined };
        if (answers[i] === "extended") expect([view?.state, job?.attempt]).toEqual(["RUNNING", attempt]);
        if (answers[i] === "reported") expect([view?.state, job?.attempt]).toEqual(["SUCCEEDED", attempt]);
        if (answers[i] === "late") expect(job?.crashes).toBe(1);
      }
    },
    3 * minute,
  );

  test("a job that was stored in a batch and fired is made ready by a message of its own", async () => {
    const task = freshTask();
    const specs = Array.from({ length: 30 }, (_, i) => specOf({ task, key: `k${i}`, delay: 1_000 }));
    const heard = await scene.overhear({ task, key: "k29" });
    const refs = (await broker.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
    const stored = await heard("later");
    expect(stored.headers.get("Nats-Batch-Id")).not.toBe("");
    for (const ref of refs) {
      await until("it to be ready", async () => (await stateOf(broker, ref)) === "READY");
      const { headers: now } = await scene.current(ref);
      expect(now.get("Nats-Batch-Id")).not.toBe(stored.headers.get("Nats-Batch-Id"));
      expect(now.get("Nats-Schedule")).toBe("");
    }
  });

  test("a SIGKILL of nats-server around an outcome never leaves the lease of a finished job armed", async () => {
    const own = await Scene.open({ shards });
    try {
      const survivor = await own.broker({ holdAfter: 300 });
      const task = freshTask();
      for (let round = 0; round < 4; round++) {
        const specs = Array.from({ length: 8 }, () => specOf({ task }));
        const refs = (await survivor.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
        const grants = await lease(survivor, task, { maxJobs: 8, leaseDuration: minute });
        while (grants.length < 8) {
          grants.push(
            ...(await lease(survivor, task, { maxJobs: 8 - grants.length, leaseDuration: minute })),
          );
        }
        const reports = grants.map(({ token }) => ack(survivor, token));
        await Promise.race(reports);
        await own.crash();
        expect(new Set(await Promise.all(reports))).toEqual(new Set(["SUCCEEDED"]));
        for (const ref of refs) expect(armed(await own.lying(ref))).toEqual([]);
      }
    } finally {
      await own.close();
    }
  }, 60_000);
});
