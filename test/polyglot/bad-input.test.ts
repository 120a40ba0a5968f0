// What must not happen in a handler, and does: in every language the job has an outcome that can be read at the client, and
// the worker goes on with others.

import { Client, type JobHandle, type JobOptions, type JobState, type JobStatus } from "@drover/client";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { isAlive } from "../support/child-processes.js";
import { until } from "../support/until.js";
import { buildWorkers, FixtureWorker, languages } from "./fixture-worker.js";

/** For whatever is waited for: machines may be busy. */
const patience = 45_000;
const once = { retry: { retries: 0 } };

let broker: Broker;
let client: Client;
let fresh = 0;
const workers: FixtureWorker[] = [];
const started: number[] = [];

beforeAll(async () => {
  await buildWorkers();
  broker = await Broker.start();
  client = new Client({ address: broker.address });
}, 300_000);

afterEach(async () => {
  for (const worker of workers) if (worker.running) worker.kill("SIGKILL");
  await Promise.all(workers.splice(0).map((worker) => worker.ended()));
  for (const pid of started.splice(0)) if (isAlive(pid)) process.kill(pid, "SIGKILL");
});

afterAll(async () => {
  client?.close();
  await broker?.stop();
});

/** What the failure of a job must say. */
interface Misdeed {
  readonly what: string;
  readonly task: string;
  readonly payload?: unknown;
  readonly options?: JobOptions;
  readonly reason: string;
  readonly message: RegExp;
}

const misdeeds: readonly Misdeed[] = [
  {
    what: "a payload that does not fit fails for good, and names the field",
    task: "strict",
    payload: { user: { id: "nobody" } },
    reason: "PERMANENT",
    message: /\buser\b.*\bid\b/,
  },
  {
    what: "a result that has no JSON fails for good",
    task: "opaque",
    reason: "PERMANENT",
    message: /json/i,
  },
  {
    what: "what is no error is a failure all the same",
    task: "odd",
    options: once,
    reason: "ERROR",
    message: /no error at all/,
  },
];

describe.each(languages)("in %s", (language) => {
  function worker(queue = `${language}-${++fresh}`): FixtureWorker & { queue: string } {
    const options = { address: broker.address, queue, name: `${language}-worker-${++fresh}` };
    const one = FixtureWorker.start(language, options);
    workers.push(one);
    return Object.assign(one, { queue });
  }

  const works = async (queue: string) => ended(await submit("echo", queue, { value: 1 }), "SUCCEEDED");

  test.each(misdeeds)("$what", async ({ task, payload = {}, options = {}, reason, message }) => {
    const { queue } = worker();
    const { failure, attempt } = await ended(await submit(task, queue, payload, options), "FAILED");
    expect(failure).toMatchObject({ reason });
    expect(failure?.message).toMatch(message);
    expect(attempt).toBe(1);
    await works(queue);
  });

  test("a handler that returns nothing has the result null", async () => {
    const { queue } = worker();
    expect((await ended(await submit("silent", queue), "SUCCEEDED")).result).toBeNull();
  });

  test("a handler that never yields is over at its hard time limit", async () => {
    const { queue } = worker();
    // Before the broker, which comes for it 2 s after its limit, would end the run by itself.
    const payload = { milliseconds: 1_500, diary: "/dev/null" };
    const job = await submit("busy", queue, payload, { ...once, hardTimeLimit: 1_000 });
    expect((await ended(job, "FAILED")).failure).toMatchObject({ reason: "TIME_LIMIT" });
    await works(queue);
  });

  test("a handler that exits takes its worker along, which is a crash and no failure", async () => {
    const first = worker();
    const job = await submit("exits", first.queue, { code: 3 }, { retry: { maxCrashes: 1 } });
    expect(await first.ended()).toBe(3);
    const second = worker(first.queue);
    expect(await second.ended()).toBe(3);
    const { failure, failures, crashes } = await ended(job, "FAILED");
    expect({ failures, crashes }).toEqual({ failures: 0, crashes: 2 });
    expect(failure).toMatchObject({
      reason: "CRASHED",
      message: expect.stringContaining(`the process of worker ${second.name} ended`),
    });
    worker(first.queue);
    await works(first.queue);
  });

  test.each(language === "python" ? ["forks", "forks_async"] : ["forks"])(
    "what a handler forks reports nothing and holds nobody up: %s",
    async (task) => {
      const one = worker();
      const { result, attempt } = await ended(await submit(task, one.queue), "SUCCEEDED");
      const { by, pid } = result as { by: string; pid: number };
      started.push(pid);
      expect({ by, attempt }).toEqual({ by: "the worker", attempt: 1 });
      for (let i = 0; i < 20; i++) await works(one.queue);
      // A child that came back from its handler has no business there.
      if (language === "python") await until("the child to be gone", () => !isAlive(pid), patience);
      one.kill("SIGTERM");
      expect(await one.ended()).toBe(0);
      await until("the broker to know", async () => !(await attached(one.name)), patience);
    },
  );

  test("a task that no worker has registered waits, and it can be asked why", async () => {
    const { queue, name } = worker();
    await until("the worker to attach", () => attached(name), patience);
    const job = await submit(`nobodys-${language}`, queue);
    const { state, obstacles } = await until("the reason", async () => {
      const explained = await job.explain();
      return explained.obstacles.length > 0 && explained;
    });
    expect(state).toBe("READY");
    expect(obstacles.map(({ kind }) => kind)).toContain("NO_WORKER");
    await works(queue);
  });
});

function submit(task: string, queue: string, payload: unknown = {}, options: JobOptions = {}) {
  return client.submit(task, payload, { queue, ...options });
}

async function ended(job: JobHandle, state: JobState): Promise<JobStatus> {
  const status = await job.wait({ timeout: patience });
  expect(status.state, `${job.id}: ${JSON.stringify(status.failure)}`).toBe(state);
  return status;
}

async function attached(name: string): Promise<boolean> {
  const { items } = await client.inspect.workers();
  return items.some((worker) => worker.name === name);
}
