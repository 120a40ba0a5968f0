// Sessions: a worker is there as long as it is heard, keeps its leases when it comes back, and loses them when not.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { ack, bytes, lease, leaseOne, refused, stateOf, status, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

// Runs are held in the store after one and a half seconds instead of ten, and a held lease ends after eight.
const quick = { holdAfter: 1_500, lease: 8_000, renewEvery: 1_000, buffered: 300 };
const settings = { DROVER_SESSION_GRACE: "1s", DROVER_SESSION_TIMEOUT: "2s" };

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let first: RunningBroker;
  let second: RunningBroker;
  const workers: SessionWorker[] = [];

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [first, second] = await scene.pair(quick, settings);
  });
  afterEach(() => {
    for (const worker of workers.splice(0)) worker.leave();
  });
  afterAll(() => scene.close());

  async function attach(...args: Parameters<typeof SessionWorker.attach>) {
    const worker = await SessionWorker.attach(...args);
    workers.push(worker);
    return worker;
  }
  const held = (ref: { task: string; key: string }) =>
    until("the run to be held in the store", async () => {
      const { phase } = await scene.current(ref);
      return phase === "held-a" || phase === "held-b";
    });

  test("a run that lasts is held in the store, renewed, and settled once", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task);
    const { leaseId } = await worker.next();
    expect((await scene.current(ref)).phase).toBe("ready");
    const phases = new Set<string>();
    await until("three renewals", async () => {
      const { phase, rev } = await scene.current(ref);
      phases.add(phase);
      return rev >= 4;
    });
    // Heartbeats alternate, so that a ghost of one cannot overwrite the other.
    expect([...phases].filter((phase) => phase !== "ready").sort()).toEqual(["held-a", "held-b"]);
    // One may take the other's place just as both are read.
    await until("one of them to lie there", async () => {
      return (await scene.lying(ref)).filter(({ phase }) => phase.startsWith("held")).length === 1;
    });
    await worker.settle(leaseId);
    expect((await status(second, ref)).stored.job).toMatchObject({ attempt: 1, crashes: 0 });
    expect((await scene.lying(ref)).map(({ phase }) => phase)).not.toContain("held-a");
  });

  test.each([
    { when: "short", hold: false },
    { when: "held in the store", hold: true },
  ])(
    "a worker takes a run ($when) along to another broker, and the old broker cannot lose it",
    async (row) => {
      const task = freshTask();
      const { ref } = await submit(first, { task });
      const worker = await attach(first, task);
      const { token, attempt } = await worker.next();
      if (row.hold) await held(ref);
      worker.vanish();
      const moved = await attach(second, task, { instance: worker.instance, held: [token] });
      expect(moved.hello).toMatchObject({ lost: [], held: [{ token, cancelRequested: false }] });
      expect(["held-a", "held-b"]).toContain((await scene.current(ref)).phase);
      // The grace of the old broker passes, and with it what it would do.
      await elapsed(1_500);
      expect(await stateOf(first, ref)).toBe("RUNNING");
      await moved.settle(moved.hello?.held[0]?.leaseId ?? 0);
      const { job } = (await status(first, ref)).stored;
      expect(job).toMatchObject({ attempt, crashes: 0, history: [{ outcome: 1 }] });
      expect(moved.grants).toEqual([]);
    },
  );

  test("a broker whose worker went elsewhere unseen gives the run up when it is to renew it", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task);
    const { token, leaseId } = await worker.next();
    const moved = await attach(second, task, { instance: worker.instance, held: [token] });
    await until("the old broker to be fenced off", () => worker.cancels.length > 0);
    expect(worker.cancels).toEqual([{ leaseId, reason: "lease-lost" }]);
    await moved.settle(moved.hello?.held[0]?.leaseId ?? 0);
    expect((await status(first, ref)).stored.job).toMatchObject({ crashes: 0 });
  });

  test("a worker that reconnects within the grace keeps its leases", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task);
    const { token } = await worker.next();
    worker.vanish();
    await elapsed(300);
    const back = await attach(first, task, { instance: worker.instance, held: [token] });
    expect(back.hello).toMatchObject({ lost: [], held: [{ token }] });
    await elapsed(1_500);
    await back.settle(back.hello?.held[0]?.leaseId ?? 0);
    expect((await status(first, ref)).stored.job).toMatchObject({ attempt: 1, crashes: 0 });
  });

  test("a lease that was sent and never arrived is given back without a penalty", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task);
    await worker.next();
    const back = await attach(first, task, { instance: worker.instance, held: [] });
    expect(worker.closedBecause).toBeDefined();
    const again = await back.next();
    expect(again.attempt).toBe(2);
    expect((await status(first, ref)).stored.job).toMatchObject({ crashes: 0, history: [{ outcome: 4 }] });
    await back.settle(again.leaseId);
  });

  test.each([
    { how: "breaks for good", clean: false, crashes: 1, outcome: 3 },
    { how: "is closed in good order", clean: true, crashes: 0, outcome: 4 },
  ])("when a worker's stream $how its jobs run elsewhere within seconds", async (row) => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task);
    const { token } = await worker.next();
    const other = await attach(second, task);
    worker.session?.closed(row.clean);
    const again = await other.next(5_000);
    expect([again.attempt, again.failures]).toEqual([2, 0]);
    const { crashes, history } = (await status(second, ref)).stored.job;
    expect([crashes, history[0]?.outcome]).toEqual([row.crashes, row.outcome]);
    expect(await ack(first, token)).toBe(row.clean ? "ALREADY_REPORTED" : "LEASE_LOST");
    const late = await attach(first, task, { instance: worker.instance, held: [token], credit: 0 });
    expect(late.hello).toMatchObject({ held: [], lost: [token] });
    await other.settle(again.leaseId);
  });

  test("a silent worker's session ends and its jobs run elsewhere; one that answers pings stays", async () => {
    const task = freshTask();
    await submit(first, { task });
    const silent = await attach(first, task, { silent: true });
    await silent.next();
    const other = await attach(first, task);
    const again = await other.next();
    expect(again.attempt).toBe(2);
    expect(silent.closedBecause).toMatch(/nothing was heard/);
    // Longer than any silence is allowed to last.
    await elapsed(3_000);
    expect(other.closedBecause).toBe(undefined);
    await other.settle(again.leaseId);
  });

  test("a worker that is silent, or has lost its stream, keeps its run while Extend says so, and not longer", async () => {
    // All at a time: each of them waits for twice what a session may be silent for.
    await Promise.all(
      [false, true].flatMap((vanishes) =>
        [first, second].map(async (through) => {
          const task = freshTask();
          const { ref } = await submit(first, { task });
          const worker = await attach(first, task, { silent: true });
          const { token } = await worker.next();
          if (vanishes) worker.vanish();
          const other = await attach(second, task);
          const vouch = () => through.api.workers.extend([{ token, duration: 3_000, progress: undefined }]);
          for (let passed = 0; passed < 4_000; passed += 400) {
            expect(await vouch()).toMatchObject([{ cancelRequested: false }]);
            await elapsed(400);
          }
          expect(other.grants).toEqual([]);
          expect((await status(first, ref)).stored.job).toMatchObject({ attempt: 1, crashes: 0 });
          const again = await other.next();
          expect(again.attempt).toBe(2);
          await other.settle(again.leaseId);
        }),
      ),
    );
  });

  test("a run that was vouched for is the worker's when it comes back", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task);
    const { token } = await worker.next();
    worker.vanish();
    await first.api.workers.extend([{ token, duration: 60_000, progress: undefined }]);
    await elapsed(1_500);
    const back = await attach(first, task, { instance: worker.instance, held: [token] });
    expect(back.hello).toMatchObject({ lost: [], held: [{ token }] });
    await back.settle(back.hello?.held[0]?.leaseId ?? 0);
    expect((await status(first, ref)).stored.job).toMatchObject({ attempt: 1, crashes: 0 });
  });

  test("a session that speaks for itself again is not kept by what was said for it before", async () => {
    const task = freshTask();
    await submit(first, { task });
    const worker = await attach(first, task);
    const { token } = await worker.next();
    await first.api.workers.extend([{ token, duration: 60_000, progress: undefined }]);
    worker.session?.pong();
    worker.vanish();
    const other = await attach(second, task);
    const again = await other.next();
    expect(again.attempt).toBe(2);
    await other.settle(again.leaseId);
  });

  test("a draining worker gets no more jobs, and what it has counts", async () => {
    const task = freshTask();
    await submit(first, { task });
    const worker = await attach(first, task);
    const { leaseId } = await worker.next();
    worker.session?.drain();
    const { ref } = await submit(first, { task });
    await worker.settle(leaseId);
    const other = await attach(second, task);
    expect((await other.next()).ref).toEqual(ref);
    expect(worker.grants).toHaveLength(1);
  });

  test("credit is kept to, per session and per task", async () => {
    const [plain, bounded] = [freshTask(), freshTask()];
    for (let i = 0; i < 4; i++) {
      await submit(first, { task: plain });
      await submit(first, { task: bounded });
    }
    const worker = await attach(first, { [plain]: 0, [bounded]: 1 }, { credit: 3 });
    await until("three leases", () => worker.grants.length === 3);
    await elapsed(800);
    const tasks = () => worker.grants.map(({ ref }) => ref.task);
    expect(tasks().sort()).toEqual([plain, plain, bounded].sort());
    const [done] = worker.grants.filter(({ ref }) => ref.task === bounded);
    await worker.settle(done?.leaseId ?? 0);
    await until("a fourth lease", () => worker.grants.length === 4);
    worker.session?.credit(10, 64 * 1024 * 1024);
    await until("every lease but those over the task's bound", () => worker.grants.length === 6);
    expect(tasks().filter((task) => task === bounded)).toHaveLength(2);
  });

  test("progress of a session is seen through every broker at once", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task, { worker: "host:7" });
    const { leaseId } = await worker.next();
    worker.session?.progress([{ leaseId, progress: { value: 0.25, detail: bytes("{}"), at: 0 } }]);
    for (const broker of [first, second]) {
      const { state, running } = await status(broker, ref);
      expect([state, running?.worker, running?.progress?.value]).toEqual(["RUNNING", "host:7", 0.25]);
    }
  });

  test("a stopping broker sends its workers elsewhere, with all they hold", async () => {
    const leaving = await scene.broker(quick, settings);
    await scene.acquainted();
    const task = freshTask();
    const { ref } = await submit(leaving, { task });
    const worker = await attach(leaving, task);
    const { token } = await worker.next();
    const calling = lease(leaving, freshTask(), { wait: 15_000 });
    leaving.parts.sessions.drain();
    leaving.parts.unary.drain();
    expect(worker.drained).toBe(true);
    expect(await calling).toEqual([]);
    expect(await refused(SessionWorker.attach(leaving, task))).toBe("DRAINING");
    expect(await refused(leaseOne(leaving, task))).toBe("DRAINING");
    const moved = await attach(second, task, { instance: worker.instance, held: [token] });
    await scene.stop(leaving);
    await moved.settle(moved.hello?.held[0]?.leaseId ?? 0);
    expect((await status(first, ref)).stored.job).toMatchObject({ attempt: 1, crashes: 0 });
  });
});
