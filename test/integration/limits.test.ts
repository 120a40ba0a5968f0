// Rate and concurrency limits over several brokers: never exceeded, and used as far as there is work.

import * as storage from "@drover/proto/storage";
import { headers } from "nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { Rate } from "../../broker/src/core/rate.js";
import type { RunLimits } from "../../broker/src/core/run-limits.js";
import { lease, specOf, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

let scene: Scene;
let brokers: RunningBroker[];

beforeAll(async () => {
  scene = await Scene.open();
  brokers = await scene.brokers(3);
});
afterAll(() => scene.close());

const at = (i: number): RunningBroker => {
  const broker = brokers[i % brokers.length];
  if (broker === undefined) throw new Error("no broker");
  return broker;
};

async function fill(count: number, task: string, queue = "default", priority = 5): Promise<void> {
  const specs = Array.from({ length: count }, () => specOf({ task, queue, priority }));
  for (const answer of await at(0).api.jobs.submit(specs, "return")) succeeded(answer);
}
const limitTask = (task: string, limits: Partial<RunLimits>) =>
  at(1).api.tasks.update(task, { rate: undefined, ...limits });
const limitQueue = (queue: string, limits: Partial<RunLimits>) =>
  at(2).api.queues.update(queue, { limits: { rate: undefined, ...limits }, retention: undefined });

/** When each job reached its worker, by the nats-server's clock as its broker knows it: later than its start, as far as
 *  this machine is busy. */
interface Starts {
  times: number[];
  running: number;
  most: number;
}

/** When each job was started, as its broker decided: what a limit holds for. */
async function startsOf(task: string): Promise<number[]> {
  const all = { state: "SUCCEEDED" as const, task, queue: undefined, pageSize: 1_000, pageToken: "" };
  const { jobs } = await at(0).api.jobs.list({ ...all, includePayload: false });
  return jobs.flatMap(({ stored }) => stored.job.history.map(({ startedAt }) => startedAt));
}

/** Ten workers over three brokers; each job runs for so long, ms. */
async function tenWorkers(
  tasks: readonly string[],
  queue: string,
  runFor: number,
  starts: Starts = { times: [], running: 0, most: 0 },
) {
  return Promise.all(
    Array.from({ length: 10 }, (_, i) => {
      const broker = at(i);
      return SessionWorker.attach(broker, tasks, {
        queues: [{ queue, weight: 1 }],
        credit: 4,
        run: ({ leaseId }, worker) => {
          starts.times.push(broker.parts.store.clock.now());
          starts.running++;
          starts.most = Math.max(starts.most, starts.running);
          setTimeout(() => {
            starts.running--;
            worker.report(leaseId);
          }, runFor);
        },
      });
    }),
  );
}
const leave = (workers: readonly SessionWorker[]) => {
  for (const worker of workers) worker.leave();
};

function mostInAPeriod(times: readonly number[], period: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  let first = 0;
  return sorted.reduce((most, time, i) => {
    while ((sorted[first] ?? time) <= time - period) first++;
    return Math.max(most, i - first + 1);
  }, 0);
}

describe("a rate", () => {
  test("of a task holds over all brokers, in any second", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const rate: Rate = { count: 20, period: 1_000, burst: 1 };
    await limitTask(task, { rate });
    await fill(400, task, queue);
    const workers = await tenWorkers([task], queue, 5);
    const times = await until(
      "nine seconds of starts",
      async () => {
        const starts = await startsOf(task);
        return starts.length >= 180 ? starts : undefined;
      },
      60_000,
    );
    leave(workers);
    expect(mostInAPeriod(times, rate.period)).toBeLessThanOrEqual(rate.count);
  });

  test("is used by more than 95 % where a machine that stands still now and then cannot be to blame", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    // A start may be late by 3.6 s, and what a stand of three seconds leaves out is made up.
    const rate: Rate = { count: 2_400, period: 120_000, burst: 60 };
    await limitTask(task, { rate });
    await fill(340, task, queue);
    const starts: Starts = { times: [], running: 0, most: 0 };
    const workers = await tenWorkers([task], queue, 5, starts);
    await until("the burst and eleven seconds of starts", () => starts.times.length >= 280, 50_000);
    leave(workers);
    const sorted = starts.times.toSorted((a, b) => a - b);
    const share = (i: number) =>
      (((i + 1 - rate.burst) / rate.count) * rate.period) / ((sorted[i] ?? 0) - (sorted[0] ?? 0));
    // Any of the last starts may be late by itself: the one that is least tells how many there were by then.
    expect(Math.max(...sorted.map((_, i) => (i < 240 ? 0 : share(i))))).toBeGreaterThan(0.95);
  });

  test("with a burst starts no more than that above its count in any second", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const rate: Rate = { count: 20, period: 1_000, burst: 20 };
    await limitTask(task, { rate });
    await fill(140, task, queue);
    const workers = await tenWorkers([task], queue, 5);
    const times = await until(
      "the burst and all that follows",
      async () => {
        const starts = await startsOf(task);
        return starts.length >= 140 ? starts : undefined;
      },
      60_000,
    );
    leave(workers);
    expect(mostInAPeriod(times, rate.period)).toBeLessThanOrEqual(rate.count + rate.burst - 1);
  });

  test("of a queue holds for all of its tasks together, the highest priority first", async () => {
    const queue = freshTask("queue");
    const [low, high] = [freshTask(), freshTask()];
    await limitQueue(queue, { rate: { count: 10, period: 1_000, burst: 1 } });
    await fill(10, low, queue, 1);
    await fill(10, high, queue, 9);
    const worker = await SessionWorker.attach(at(0), [low, high], {
      queues: [{ queue, weight: 1 }],
      credit: 50,
    });
    const order: string[] = [];
    for (let i = 0; i < 14; i++) {
      const { ref, leaseId } = await worker.next();
      order.push(ref.task === high ? "high" : "low");
      await worker.settle(leaseId);
    }
    worker.leave();
    expect(order).toEqual([...Array(10).fill("high"), ...Array(4).fill("low")]);
    const times = [...(await startsOf(high)), ...(await startsOf(low))];
    expect(times.length).toBeGreaterThanOrEqual(14);
    expect(mostInAPeriod(times, 1_000)).toBeLessThanOrEqual(10);
  });

  test("of a task leaves the others of its queue alone", async () => {
    const queue = freshTask("queue");
    const [slow, free] = [freshTask(), freshTask()];
    await limitTask(slow, { rate: { count: 1, period: 3_600_000, burst: 1 } });
    await fill(5, slow, queue, 9);
    await fill(30, free, queue, 1);
    const worker = await SessionWorker.attach(at(0), [slow, free], {
      queues: [{ queue, weight: 1 }],
      credit: 2,
    });
    const seen: string[] = [];
    for (let i = 0; i < 31; i++) {
      const { ref, leaseId } = await worker.next();
      seen.push(ref.task);
      worker.report(leaseId);
    }
    expect(seen.filter((task) => task === slow)).toHaveLength(1);
    worker.leave();
  });

  test("and one of its queue are both kept", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await limitTask(task, { rate: { count: 10, period: 1_000, burst: 5 } });
    await limitQueue(queue, { rate: { count: 3, period: 1_000, burst: 1 } });
    await fill(20, task, queue);
    const workers = await tenWorkers([task], queue, 5);
    const times = await until(
      "nine starts",
      async () => {
        const starts = await startsOf(task);
        return starts.length >= 9 ? starts : undefined;
      },
      60_000,
    );
    leave(workers);
    expect(mostInAPeriod(times, 1_000)).toBeLessThanOrEqual(3);
  });

  test("may be changed while it is waited for, and is shown with how far it is used up", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const shown = await limitTask(task, { rate: { count: 1, period: 3_600_000, burst: 1 } });
    expect(shown.limits).toMatchObject({ rate: { count: 1 }, tokens: 1 });
    await fill(5, task, queue);
    const worker = await SessionWorker.attach(at(0), task, { queues: [{ queue, weight: 1 }], credit: 9 });
    await worker.next();
    const used = await at(2).api.tasks.get(task);
    expect(used.limits).toMatchObject({ tokens: 0 });
    expect((used.limits?.nextTokenAt ?? 0) - at(2).parts.store.clock.now()).toBeGreaterThan(3_500_000);
    expect(used).toMatchObject({ running: 1, ready: 4, workers: 1, queues: [queue] });
    await limitTask(task, {});
    for (let i = 0; i < 4; i++) await worker.next();
    expect((await at(0).api.tasks.get(task)).limits).toBeUndefined();
    worker.leave();
  });

  test("holds for single calls as well", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await limitTask(task, { rate: { count: 2, period: 3_600_000, burst: 2 } });
    await fill(5, task, queue);
    const options = { queues: [queue], maxJobs: 5, wait: 5_000 };
    const granted = await Promise.all(brokers.map((broker) => lease(broker, task, options)));
    expect(granted.flat().length).toBeLessThanOrEqual(2);
    expect(granted.flat().length).toBeGreaterThan(0);
  });
});

describe("a number running at a time", () => {
  test("of a queue holds over all brokers, and all of its places are used", async () => {
    const queue = freshTask("queue");
    const tasks = [freshTask(), freshTask()];
    await limitQueue(queue, { concurrency: 5 });
    for (const task of tasks) await fill(60, task, queue);
    const starts: Starts = { times: [], running: 0, most: 0 };
    const workers = await tenWorkers(tasks, queue, 40, starts);
    await until("all jobs to have run", () => starts.times.length === 120, 60_000);
    leave(workers);
    expect(starts.most).toBe(5);
  });

  test("of a task is one place for one job, whoever asks, and comes back when it ends", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await limitTask(task, { concurrency: 1 });
    await fill(3, task, queue);
    const workers = await Promise.all(
      brokers.map((broker) =>
        SessionWorker.attach(broker, task, { queues: [{ queue, weight: 1 }], credit: 5 }),
      ),
    );
    const grants = () => workers.flatMap((worker) => worker.grants.map((grant) => ({ worker, grant })));
    for (let ran = 1; ran <= 3; ran++) {
      await until("the next one", () => grants().length === ran, 30_000);
      const running = (await Promise.all(brokers.map((broker) => broker.api.tasks.get(task))))[0]?.running;
      expect(running).toBe(1);
      const last = grants().find(({ worker, grant }) => !worker.recorded.includes(grant.leaseId));
      await last?.worker.settle(last.grant.leaseId);
    }
    leave(workers);
  });

  test("counts what ran before it was set, and may be raised", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await fill(6, task, queue);
    const worker = await SessionWorker.attach(at(0), task, { queues: [{ queue, weight: 1 }], credit: 2 });
    await worker.next();
    await worker.next();
    await limitTask(task, { concurrency: 2 });
    expect(await lease(at(1), task, { queues: [queue], maxJobs: 5, wait: 700 })).toEqual([]);
    await limitTask(task, { concurrency: 3 });
    expect(await lease(at(1), task, { queues: [queue], maxJobs: 5, wait: 15_000 })).toHaveLength(1);
    worker.leave();
  });
});

describe("the places", () => {
  test("of a broker that is gone come back, and are not given away before", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    const limit = { kind: "task", name: task } as const;
    await limitTask(task, { concurrency: 2 });
    // What a broker leaves that was killed, with less time to go.
    const gone = storage.Places.encode({ broker: "gone", taken: 2 }).finish();
    const hdrs = headers();
    hdrs.set("Nats-TTL", "4s");
    await scene.nc.request(scene.subjects.places(limit, "gone"), gone, { headers: hdrs, timeout: 5_000 });
    await fill(3, task, queue);
    const worker = await SessionWorker.attach(at(0), task, { queues: [{ queue, weight: 1 }], credit: 5 });
    await until("its places to be free", async () => {
      const granted = worker.grants.length;
      const { taken } = await at(0).parts.store.limits.places(limit);
      if (taken.has("gone")) expect(granted).toBe(0);
      return !taken.has("gone");
    });
    await worker.next();
    await worker.next();
    expect(worker.grants).toHaveLength(2);
    worker.leave();
  });

  test("are taken by a lease that moves to another broker, even above the limit", async () => {
    const [task, queue] = [freshTask(), freshTask("queue")];
    await limitTask(task, { concurrency: 1 });
    await fill(2, task, queue);
    const queues = [{ queue, weight: 1 }];
    const before = await SessionWorker.attach(at(0), task, { queues, credit: 1 });
    const { token } = await before.next();
    const after = await SessionWorker.attach(at(1), task, {
      queues,
      credit: 1,
      held: [token],
      instance: before.instance,
    });
    const limit = { kind: "task", name: task } as const;
    await until("the place to be taken at the other broker", async () => {
      const { taken } = await at(1).parts.store.limits.places(limit);
      return taken.get(at(1).parts.store.peers.self) === 1;
    });
    const moved = after.hello?.held[0];
    expect(moved?.token).toBe(token);
    expect(after.grants).toEqual([]);
    await after.settle(moved?.leaseId ?? 0);
    await after.next();
    leave([before, after]);
  });
});

test("a task nobody ever spoke of has no limits", async () => {
  expect(await at(0).api.tasks.get("never-heard-of")).toEqual({
    name: "never-heard-of",
    limits: undefined,
    queues: [],
    ready: 0,
    running: 0,
    workers: 0,
  });
  await submit(at(0), { task: freshTask() });
});
