// What a delivery proves, and what not: tickets come again as if new after a crash of nats-server, and with a higher
// count after a crash of a broker.

import { type ConsumerConfig, JetStreamApiError } from "@nats-io/jetstream";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Grant } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { ack, lease, leaseOne, specOf, stateOf, status, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  const workers: SessionWorker[] = [];

  beforeEach(async () => {
    scene = await Scene.open({ shards });
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) worker.leave();
    await scene.close();
  });

  async function attach(...args: Parameters<typeof SessionWorker.attach>) {
    const worker = await SessionWorker.attach(...args);
    workers.push(worker);
    return worker;
  }
  async function submitMany(broker: RunningBroker, task: string, count: number): Promise<JobRef[]> {
    const specs = Array.from({ length: count }, () => specOf({ task }));
    return (await broker.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
  }
  /** The server removes a consumer's files when it has answered, and may take a new one's along for a moment. */
  const remade = (stream: string, config: ConsumerConfig) =>
    until("the lane to be made again", () =>
      scene.jsm.consumers.add(stream, config).catch(async (error: unknown) => {
        if (!(error instanceof JetStreamApiError && error.code === 10_012)) throw error;
        // The broker was faster, while the files were being removed: they went from under its consumer.
        await scene.jsm.consumers.delete(stream, config.durable_name as string).catch(() => undefined);
        return undefined;
      }),
    );
  const allDone = async (broker: RunningBroker, refs: readonly JobRef[]) => {
    for (let i = 0; i < refs.length; i += 1_000) {
      const some = refs.slice(i, i + 1_000);
      const { done } = await broker.api.jobs.wait(some, "all", 40_000, new AbortController().signal);
      expect(done).toBe(true);
    }
  };

  test("after SIGKILLs of nats-server during a drain no finished job runs again, and none is left", async () => {
    const brokers = [await scene.broker(), await scene.broker()];
    const [broker] = brokers as [RunningBroker];
    const tasks = [freshTask(), freshTask(), freshTask()];
    const refs: JobRef[] = [];
    for (const task of tasks) {
      refs.push(...(await submitMany(broker, task, 1_500)));
      // What a crash takes from a broker's hands comes back after this, not after 20 s.
      await scene.ackWait(task, 4_000);
    }
    const finished = new Set<string>();
    const again: string[] = [];
    const run = (grant: Grant, worker: SessionWorker) => {
      if (finished.has(grant.ref.key)) again.push(grant.ref.key);
      worker.session?.outcomes([
        { leaseId: grant.leaseId, token: "", report: { type: "success", result: undefined } },
      ]);
    };
    const draining = await Promise.all(brokers.map((on) => attach(on, tasks, { credit: 200, run })));
    const settled = () =>
      draining.reduce((sum, worker) => {
        for (const leaseId of worker.recorded) {
          const grant = worker.grants.find((g) => g.leaseId === leaseId);
          if (grant !== undefined) finished.add(grant.ref.key);
        }
        return sum + worker.recorded.length;
      }, 0);
    for (const at of [700, 1_800, 3_000]) {
      await until(`${at} jobs to be done`, () => settled() >= at);
      await scene.crash();
    }
    await allDone(broker, refs);
    expect(again).toEqual([]);
    for (let i = 0; i < refs.length; i += 500) {
      for (const view of await broker.api.jobs.status(refs.slice(i, i + 500), false)) {
        expect(view?.stored.job.history.at(-1)?.outcome).toBe(1);
        expect(view?.stored.job.crashes).toBe(0);
      }
    }
  }, 120_000);

  test("a lane that was deleted and made again brings finished jobs back, and none of them runs", async () => {
    const broker = await scene.broker();
    const task = freshTask();
    const refs = await submitMany(broker, task, 40);
    const worker = await attach(broker, task, { credit: 100, run: ({ leaseId }, w) => w.report(leaseId) });
    await allDone(broker, refs);
    const { stream, name, filter } = scene.lane(task);
    // Not swept yet: as after a crash that forgot what was acked.
    expect(await scene.count(task, filter)).toBeGreaterThan(0);
    const { config } = await scene.jsm.consumers.info(stream, name);
    await scene.jsm.consumers.delete(stream, name);
    await remade(stream, config);
    const { ref } = await submit(broker, { task });
    await allDone(broker, [ref]);
    await until("the old tickets to be looked at and acked", async () => {
      const { num_pending, num_ack_pending } = await scene.jsm.consumers.info(stream, name);
      return num_pending + num_ack_pending === 0;
    });
    expect(worker.grants).toHaveLength(41);
    expect(new Set(worker.grants.map((grant) => grant.ref.key)).size).toBe(41);
  });

  test("a run that goes on is left alone when its ticket comes again as if new", async () => {
    const [first, second] = [await scene.broker(), await scene.broker()];
    const task = freshTask();
    const { ref } = await submit(first, { task });
    const worker = await attach(first, task);
    const { leaseId } = await worker.next();
    const other = await attach(second, task);
    const { stream, name } = scene.lane(task);
    const { config } = await scene.jsm.consumers.info(stream, name);
    await scene.jsm.consumers.delete(stream, name);
    await remade(stream, config);
    await until("the ticket to be delivered once more", async () => {
      const { delivered } = await scene.jsm.consumers.info(stream, name);
      return delivered.consumer_seq > 0;
    });
    await elapsed(1_000);
    expect([worker.grants.length, other.grants.length]).toEqual([1, 0]);
    await worker.settle(leaseId);
    expect((await status(second, ref)).stored.job).toMatchObject({ attempt: 1, crashes: 0, redeliveries: 0 });
  });

  describe("a ticket that a frozen broker swallowed", () => {
    /** Takes tickets from a lane as an open pull of a frozen broker does: delivered, never acked. */
    async function swallow(task: string, count: number): Promise<void> {
      const { stream, name } = scene.lane(task);
      await scene.ackWait(task, 1_000);
      const inbox = `_INBOX.frozen.${task}`;
      const gone = scene.nc.subscribe(inbox, { max: count });
      const request = JSON.stringify({ batch: count, expires: 5_000_000_000 });
      scene.nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, request, { reply: inbox });
      for await (const _ of gone);
    }

    test("is issued anew once it is redelivered, and that is no crash of the job", async () => {
      const broker = await scene.broker();
      const task = freshTask();
      const refs = await submitMany(broker, task, 5);
      const before = await Promise.all(refs.map((ref) => scene.current(ref)));
      await swallow(task, 5);
      const worker = await attach(broker, task, { run: ({ leaseId }, w) => w.report(leaseId) });
      await allDone(broker, refs);
      expect(worker.grants).toHaveLength(5);
      for (const view of await broker.api.jobs.status(refs, false)) {
        expect(view?.stored.job).toMatchObject({ attempt: 1, crashes: 0, redeliveries: 1 });
        // The ticket of before, the one issued anew, the record.
        expect(view?.stored.rev).toBe(3);
      }
      for (const [i, ref] of refs.entries()) {
        expect((await scene.lying(ref))[0]?.seq).not.toBe(before[i]?.seq);
      }
    });

    test("is not touched while a broker that can be asked holds it", async () => {
      const broker = await scene.broker();
      const task = freshTask();
      await submit(broker, { task });
      // Held by a session, while its ticket is redelivered after a second.
      const { stream, name } = scene.lane(task);
      await scene.ackWait(task, 1_000);
      const worker = await attach(broker, task);
      const { leaseId, ref } = await worker.next();
      await until("a redelivery", async () => {
        const { num_redelivered } = await scene.jsm.consumers.info(stream, name);
        return num_redelivered > 0;
      });
      await elapsed(1_500);
      expect(worker.grants).toHaveLength(1);
      await worker.settle(leaseId);
      expect((await status(broker, ref)).stored.job).toMatchObject({ redeliveries: 0, crashes: 0 });
    });

    test("twenty times over without reaching a worker is a dead letter, not a loop", async () => {
      const broker = await scene.broker();
      const task = freshTask();
      const { ref } = await submit(broker, { task });
      const { journal } = broker.parts.store;
      // Twenty redeliveries are written into the ticket; the next one is too many.
      const current = await scene.current(ref);
      const job = current.stored?.job;
      if (job === undefined) throw new Error("no ticket");
      await journal.commit({
        ref,
        expected: current.seq,
        nonce: journal.nonce(),
        writes: [
          {
            kind: "job",
            phase: "ready",
            job: { ...job, redeliveries: 20 },
            rev: current.rev + 1,
            queue: "default",
            priority: 5,
            fireAt: 0,
            keepFor: 0,
          },
        ],
      });
      await swallow(task, 1);
      await elapsed(1_000);
      const worker = await attach(broker, task);
      await until("it to fail", async () => (await stateOf(broker, ref)) === "FAILED");
      const { failure, attempt, crashes } = (await status(broker, ref)).stored.job;
      expect([failure?.reason, attempt, crashes]).toEqual([10, 0, 0]);
      expect(worker.grants).toEqual([]);
    });
  });
});

describe("a ticket that waits in a buffer", () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.open();
  });
  afterAll(() => scene.close());

  test("goes back to its lane, and another broker's worker gets it", async () => {
    const quick = { buffered: 3_000 };
    const [first, second] = [await scene.broker(quick), await scene.broker(quick)];
    const tasks = [freshTask(), freshTask()];
    for (const task of tasks) await submit(first, { task });
    // One job at a time: the open requests on both lanes bring one more than it can take.
    const worker = await SessionWorker.attach(first, tasks, { credit: 1 });
    for (const _ of tasks) {
      const { leaseId } = await worker.next();
      await worker.settle(leaseId);
    }
    const made = [];
    for (const task of tasks) made.push((await submit(first, { task })).ref);
    const running = await worker.next();
    const waiting = made.find(({ task }) => task !== running.ref.task);
    if (waiting === undefined) throw new Error("both run");
    expect(await stateOf(second, waiting)).toBe("READY");
    const before = await scene.current(waiting);
    const other = await SessionWorker.attach(second, waiting.task);
    const grant = await other.next();
    expect([grant.ref, grant.attempt]).toEqual([waiting, 1]);
    const job = (await status(second, waiting)).stored;
    expect(job.seq).toBeGreaterThan(before.seq);
    expect(job.job).toMatchObject({ crashes: 0, redeliveries: 0, history: [] });
    await other.settle(grant.leaseId);
    await worker.settle(running.leaseId);
    for (const each of [worker, other]) each.leave();
  });

  test("goes back at once when its broker stops", async () => {
    const [leaving, staying] = [await scene.broker(), await scene.broker()];
    const task = freshTask();
    await submit(leaving, { task });
    // The call takes one and is over; the request that it left open brings the next one to nobody.
    const calls = lease(leaving, task, { maxJobs: 2 });
    await ack(leaving, (await calls)[0]?.token ?? "");
    const waiting = lease(leaving, task, { wait: 300 });
    expect(await waiting).toEqual([]);
    const { ref } = await submit(staying, { task });
    await until("the ticket to be delivered", async () => {
      const { stream, name } = scene.lane(task);
      return (await scene.jsm.consumers.info(stream, name)).num_ack_pending > 0;
    });
    const [grant] = await Promise.all([leaseOne(staying, task, { wait: 4_000 }), scene.stop(leaving)]);
    expect(grant.ref).toEqual(ref);
    expect(await ack(staying, grant.token)).toBe("SUCCEEDED");
  });
});
