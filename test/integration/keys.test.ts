// Concurrency keys over several brokers: at most so many of one key run, others flow past them, and none is forgotten.

import { Client } from "@drover/client";
import { Worker } from "@drover/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { Broker } from "../support/broker.js";
import { ack, failure, leaseOne, specOf, stateOf, submit, succeeded } from "../support/job-calls.js";
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
const attach = (broker: RunningBroker, task: string, credit = 4) =>
  SessionWorker.attach(broker, task, { credit });
const perKey = (task: string, concurrencyPerKey: number) =>
  at(1).api.tasks.update(task, { rate: undefined, concurrencyPerKey });
const fill = async (task: string, key: string, count: number) => {
  const specs = Array.from({ length: count }, (_, i) => {
    return specOf({ task, key: `${key}-${i}`, concurrencyKey: key });
  });
  for (const answer of await at(0).api.jobs.submit(specs, "return")) succeeded(answer);
};
const leave = (workers: readonly SessionWorker[]) => {
  for (const worker of workers) worker.leave();
};

/** Workers at all brokers; each job runs for so long, ms. How many of each key ran at a time at most. */
async function crew(task: string, runFor: number) {
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const ran: string[] = [];
  const count = (key: string, by: number) => {
    running.set(key, (running.get(key) ?? 0) + by);
    most.set(key, Math.max(most.get(key) ?? 0, running.get(key) ?? 0));
  };
  const workers = await Promise.all(
    [0, 1, 2, 3, 4, 5].map((i) =>
      SessionWorker.attach(at(i), task, {
        credit: 4,
        run: ({ leaseId, spec, ref }, worker) => {
          ran.push(ref.key);
          count(spec.concurrencyKey, 1);
          setTimeout(() => {
            count(spec.concurrencyKey, -1);
            worker.report(leaseId);
          }, runFor);
        },
      }),
    ),
  );
  return { workers, most, ran };
}

describe("of one key", () => {
  test("as many run as may over all brokers, never more, each job once, and every place is used", async () => {
    const task = freshTask();
    await perKey(task, 2);
    await Promise.all(["acme", "bolt"].map((key) => fill(task, key, 30)));
    const { workers, most, ran } = await crew(task, 20);
    await until("all to have run", () => ran.length >= 60, 60_000);
    leave(workers);
    expect(Object.fromEntries(most)).toEqual({ acme: 2, bolt: 2 });
    expect(new Set(ran).size).toBe(60);
    expect(ran).toHaveLength(60);
  });

  test("one runs at a time where nothing is set, the more urgent first, then by submission", async () => {
    const task = freshTask();
    const worker = await attach(at(0), task, 3);
    for (const [key, priority] of [
      ["first", 5],
      ["low", 1],
      ["low-2", 1],
      ["high", 9],
    ] as const) {
      await submit(at(0), { task, key, priority, concurrencyKey: "acme" });
      if (key === "first") await worker.next();
      else
        await until(`${key} to be parked`, async () => (await stateOf(at(1), { task, key })) === "BLOCKED");
    }
    for (const [i, key] of ["first", "high", "low", "low-2"].entries()) {
      const grant = await until("the next", () => worker.grants[i]);
      expect(grant.ref.key).toBe(key);
      await worker.settle(grant.leaseId);
    }
    expect(worker.grants).toHaveLength(4);
    worker.leave();
  });

  test("a retry gives its place to the next and takes its turn again", async () => {
    const task = freshTask();
    const a = await submit(at(0), { task, key: "a", concurrencyKey: "acme" });
    const first = await leaseOne(at(0), task);
    await submit(at(0), { task, key: "b", concurrencyKey: "acme" });
    expect(await ack(at(1), first.token, failure(undefined, 300_000))).toBe("RETRYING");
    const second = await leaseOne(at(0), task);
    expect(second.ref.key).toBe("b");
    expect(await ack(at(2), second.token)).toBe("SUCCEEDED");
    expect(await stateOf(at(0), a.ref)).toBe("RETRYING");
  });
});

describe("those that find no place", () => {
  test("let others of their lane by, however many they are", async () => {
    const task = freshTask();
    const worker = await attach(at(0), task, 2);
    await fill(task, "acme", 100);
    await worker.next();
    await submit(at(0), { task, key: "other" });
    const next = await worker.next();
    expect(next.ref.key).toBe("other");
    worker.leave();
  });

  test("say so, and how many come before them", async () => {
    const task = freshTask();
    const worker = await attach(at(0), task, 2);
    await fill(task, "acme", 3);
    await worker.next();
    const ref = { task, key: "acme-2" };
    await until("all to be parked", async () => {
      const states = await Promise.all([1, 2].map((i) => stateOf(at(1), { task, key: `acme-${i}` })));
      return states.every((state) => state === "BLOCKED");
    });
    const { state, obstacles } = await at(1).api.jobs.explain(ref);
    expect(state).toBe("BLOCKED");
    expect(obstacles).toMatchObject([{ kind: "CONCURRENCY_KEY", subject: "acme", count: 1 }]);
    expect(obstacles[0]?.detail).toContain("1 of 1 of key acme run");
    worker.leave();
  });

  test("may be cancelled and moved, and those behind them go on", async () => {
    const task = freshTask();
    const worker = await attach(at(0), task, 2);
    await fill(task, "acme", 4);
    const first = await worker.next();
    const parked = (i: number): JobRef => ({ task, key: `acme-${i}` });
    for (const i of [1, 2, 3]) {
      await until("it to be parked", async () => (await stateOf(at(1), parked(i))) === "BLOCKED");
    }
    expect(await at(1).api.jobs.cancel(parked(1), "")).toMatchObject({ outcome: "cancelled" });
    const moved = await at(2).api.jobs.move(parked(3), { queue: undefined, priority: 9 });
    expect(moved).toMatchObject({ state: "BLOCKED", stored: { priority: 9, job: { parked: true } } });
    await worker.settle(first.leaseId);
    const second = await worker.next();
    expect(second.ref.key).toBe("acme-3");
    await worker.settle(second.leaseId);
    expect((await worker.next()).ref.key).toBe("acme-2");
    worker.leave();
  });

  test("fail as EXPIRED when their start_by comes first", async () => {
    const task = freshTask();
    const worker = await attach(at(0), task, 2);
    await fill(task, "acme", 1);
    const first = await worker.next();
    const startBy = at(0).parts.store.clock.now() + 4_000;
    const { ref } = await submit(at(0), { task, key: "late", concurrencyKey: "acme", startBy });
    await until("it to be parked", async () => (await stateOf(at(1), ref)) === "BLOCKED");
    await until("it to expire", async () => (await stateOf(at(1), ref)) === "FAILED");
    expect((await scene.current(ref)).stored?.job.failure?.reason).toBe(6);
    await worker.settle(first.leaseId);
    await submit(at(0), { task, key: "next", concurrencyKey: "acme" });
    expect((await worker.next()).ref.key).toBe("next");
    worker.leave();
  });

  test("start when more of the key may run", async () => {
    const task = freshTask();
    const worker = await attach(at(0), task, 5);
    await fill(task, "acme", 3);
    await worker.next();
    await until("the last to be parked", async () => {
      return (await stateOf(at(1), { task, key: "acme-2" })) === "BLOCKED";
    });
    await perKey(task, 3);
    await worker.next();
    await worker.next();
    worker.leave();
  });
});

describe("a broker that died", () => {
  test("in the middle of parking, or of admitting, leaves no job behind", async () => {
    const task = freshTask();
    const worker = await attach(at(0), task, 2);
    await fill(task, "acme", 2);
    const first = await worker.next();
    const second = { task, key: "acme-1" };
    await until("it to be parked", async () => (await stateOf(at(1), second)) === "BLOCKED");
    // One gave a place back, reserved it for the next, and died before it admitted that; another never gave its own back.
    const reserved = { key: "acme-1", origin: 0, since: 1 };
    const stale = { key: "gone", origin: 1, since: 1 };
    await at(0).parts.store.keys.update({ task, key: "acme" }, ({ parkedAt }) => {
      return { taken: [reserved, stale], parkedAt };
    });
    expect((await worker.next()).ref.key).toBe("acme-1");
    await worker.settle(first.leaseId);
    worker.leave();
  });

  test("for real, with a SIGKILL: every job ends, and never more of a key run than may", async () => {
    const [one, two] = [
      await Broker.start({ natsUrl: scene.url }),
      await Broker.start({ natsUrl: scene.url }),
    ];
    const silent = { debug() {}, info() {}, warn() {}, error() {} };
    const address = `${one.address},${two.address}`;
    const client = new Client({ address });
    const worker = new Worker({ address, logger: silent, concurrency: 8 });
    const task = freshTask("killed");
    let running = 0;
    let most = 0;
    const ran = new Set<number>();
    let goOn: () => void = () => undefined;
    const killed = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    worker.task(task, async (n: number) => {
      running++;
      most = Math.max(most, running);
      if (ran.size >= 5) await killed;
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      ran.add(n);
    });
    try {
      await worker.start();
      const jobs = await Promise.all(
        Array.from({ length: 20 }, (_, n) => client.submit(task, n, { concurrencyKey: "acme" })),
      );
      await until("the sixth to run", () => ran.size === 5 && running === 1, 60_000);
      // Whichever the worker is attached to: it parked those that wait, and admits the next.
      const victim = (await serves(two, task)) ? two : one;
      expect(await serves(victim, task)).toBe(true);
      const { jobs: parked } = await client.listPage({ task, state: "BLOCKED" });
      expect(parked.length).toBeGreaterThan(0);
      await victim.kill();
      goOn();
      const ended = await Promise.all(jobs.map((job) => job.wait({ timeout: 90_000 })));
      expect(ended.map(({ state }) => state)).toEqual(Array(20).fill("SUCCEEDED"));
      expect(most).toBe(1);
    } finally {
      client.close();
      await worker.stop();
      await one.stop();
      await two.stop();
    }
  });
});

/** Whether the task's worker is attached to this broker. */
async function serves(broker: Broker, task: string): Promise<boolean> {
  const client = new Client({ address: broker.address });
  try {
    const { items } = await client.inspect.workers();
    const { broker: self } = await client.inspect.serverInfo();
    return items.some(({ tasks, broker: at }) => tasks.includes(task) && at === self);
  } finally {
    client.close();
  }
}
