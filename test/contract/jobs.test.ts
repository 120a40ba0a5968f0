// JobService and QueueService, as any language can call them.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { type Message, Stranger } from "../support/stranger.js";

let broker: Broker;
let stranger: Stranger;
let keys = 0;

beforeAll(async () => {
  broker = await Broker.start();
  stranger = new Stranger(broker.address);
});

afterAll(async () => {
  stranger.close();
  await broker.stop();
});

/** A job that nobody runs. */
function job(fields: Message = {}): Message {
  return { task: "idle", key: `key-${++keys}`, payload: { data: Buffer.from("{}") }, ...fields };
}

async function submitted(fields: Message = {}): Promise<string> {
  return (await stranger.call("JobService/Submit", { job: job(fields) })).id as string;
}

/** Leases the one job of a task and fails it for good. */
async function fail(task: string): Promise<void> {
  const { leases } = await stranger.call("WorkerService/Lease", { worker: "w", tasks: [task] });
  const [lease] = leases as Message[];
  const report = { token: lease?.token, failure: { reason: "FAILURE_REASON_PERMANENT", message: "broken" } };
  const { results } = await stranger.call("WorkerService/Ack", { outcomes: [report] });
  expect(results).toMatchObject([{ state: "JOB_STATE_FAILED" }]);
}

describe("submit", () => {
  test("a job is ready at once, and told with its defaults", async () => {
    const request = { job: { task: "mail.send", key: "k1", labels: { a: "b" }, headers: { h: "1" } } };
    expect(await stranger.call("JobService/Submit", request)).toMatchObject({
      id: "mail.send~k1",
      state: "JOB_STATE_READY",
    });
    const { job } = await stranger.call("JobService/Status", { id: "mail.send~k1" });
    expect(job).toMatchObject({
      id: "mail.send~k1",
      task: "mail.send",
      key: "k1",
      queue: "default",
      priority: 5,
      state: "JOB_STATE_READY",
      labels: { a: "b" },
      headers: { h: "1" },
      retry: { maxAttempts: 4, maxCrashes: 3, factor: 2, jitter: 0.1, initialDelay: { seconds: 1 } },
    });
  });

  test("without a key the broker makes one", async () => {
    const { id } = await stranger.call("JobService/Submit", { job: { task: "idle" } });
    expect(id).toMatch(/^idle~[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  test("the same key again is the same job", async () => {
    const request = { job: job({ priority: 3 }) };
    const first = await stranger.call("JobService/Submit", request);
    expect(await stranger.call("JobService/Submit", request)).toMatchObject({
      id: first.id,
      deduplicated: true,
    });
    expect(
      await stranger.call("JobService/Submit", { job: { ...request.job, queue: "other" } }),
    ).toMatchObject({
      id: first.id,
      deduplicated: true,
    });
  });

  test("the same key again is refused where that was asked for", async () => {
    const request = { job: job(), onConflict: "CONFLICT_POLICY_REJECT" };
    await stranger.call("JobService/Submit", request);
    expect(await stranger.refused("JobService/Submit", request)).toMatchObject({
      code: "ALREADY_EXISTS",
      reason: "JOB_EXISTS",
      domain: "drover.dev",
    });
  });

  test("a job with a delay is scheduled", async () => {
    const id = await submitted({ delay: { seconds: 3_600 } });
    const { job: found } = await stranger.call("JobService/Status", { id });
    expect(found).toMatchObject({ state: "JOB_STATE_SCHEDULED", attempt: 0 });
    const { seconds } = (found as Message).dueAt as { seconds: number };
    expect(Math.abs(seconds - Date.now() / 1_000 - 3_600)).toBeLessThan(10);
  });

  test("of a batch each job has an answer of its own, in order", async () => {
    const jobs = [
      job({ key: "b1" }),
      job({ key: "b2", priority: 10 }),
      job({ key: "b3" }),
      job({ key: "b1" }),
    ];
    const { results } = await stranger.call("JobService/SubmitBatch", { jobs });
    expect(results).toMatchObject([
      { id: "idle~b1", error: null },
      {
        id: "",
        error: { code: 3, reason: "INVALID_ARGUMENT", message: expect.stringContaining("jobs[1].priority") },
      },
      { id: "idle~b3", error: null },
      { id: "idle~b1", error: null },
    ]);
    const [first, , , last] = results as Message[];
    expect([first?.deduplicated, last?.deduplicated].filter(Boolean)).toHaveLength(1);
  });
});

describe("reading", () => {
  test("the payload comes only when asked for", async () => {
    const id = await submitted({
      payload: { data: Buffer.from('{"a":1}'), contentType: "application/cbor" },
    });
    expect((await stranger.call("JobService/Status", { id })).job).toMatchObject({ payload: null });
    expect((await stranger.call("JobService/Status", { id, includePayload: true })).job).toMatchObject({
      payload: { data: Buffer.from('{"a":1}'), contentType: "application/cbor" },
    });
  });

  test("a large payload comes back whole", async () => {
    const data = Buffer.alloc(512 * 1_024, 7);
    const id = await submitted({ payload: { data } });
    const { job: found } = await stranger.call("JobService/Status", { id, includePayload: true });
    expect(((found as Message).payload as Message).data).toEqual(data);
  });

  test("of many jobs the unknown and the malformed have an answer of their own", async () => {
    const id = await submitted();
    const { results } = await stranger.call("JobService/StatusBatch", {
      ids: ["idle~nobody", id, "nonsense"],
    });
    expect(results).toMatchObject([
      { job: null, error: { code: 5, reason: "JOB_NOT_FOUND" } },
      { job: { id }, error: null },
      { job: null, error: { code: 3, reason: "INVALID_ARGUMENT" } },
    ]);
  });

  test("a list goes through all jobs by pages", async () => {
    const queue = "listed";
    const ids = await Promise.all(Array.from({ length: 5 }, () => submitted({ queue })));
    const found: unknown[] = [];
    let pageToken: unknown = "";
    do {
      const page = await stranger.call("JobService/List", {
        queue,
        state: "JOB_STATE_READY",
        pageSize: 2,
        pageToken,
      });
      found.push(...(page.jobs as Message[]).map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(found.sort()).toEqual(ids.sort());
  });
});

test("a list of nothing is empty", async () => {
  expect(await stranger.call("JobService/List", { queue: "nothing" })).toMatchObject({
    jobs: [],
    nextPageToken: "",
  });
});

describe("waiting", () => {
  test("is over at its timeout, without an error", async () => {
    const id = await submitted();
    const started = Date.now();
    const answer = await stranger.call("JobService/Wait", { ids: [id], timeout: { nanos: 300_000_000 } });
    expect(answer).toMatchObject({ done: false, results: [{ job: { id, state: "JOB_STATE_READY" } }] });
    expect(Date.now() - started).toBeGreaterThanOrEqual(290);
  });

  test("is over when the job has ended", async () => {
    const id = await submitted({ task: "waited" });
    const answer = stranger.call("JobService/Wait", { ids: [id], timeout: { seconds: 20 } });
    await fail("waited");
    expect(await answer).toMatchObject({
      done: true,
      results: [{ job: { state: "JOB_STATE_FAILED", failure: { message: "broken" } } }],
    });
  });

  test("a watch tells the job's way to its end", async () => {
    const id = await submitted({ task: "watched" });
    const states: unknown[] = [];
    const watch = stranger.stream("JobService/Watch", { id });
    const ended = new Promise((resolve, reject) => {
      watch.on("data", ({ job }: { job: Message }) => {
        states.push(job.state);
        if (states.length === 1) fail("watched").catch(reject);
      });
      watch.on("error", reject);
      watch.on("end", resolve);
    });
    await ended;
    expect(states[0]).toBe("JOB_STATE_READY");
    expect(states.at(-1)).toBe("JOB_STATE_FAILED");
  });
});

describe("changing", () => {
  test("a job that waits is cancelled at once, and once", async () => {
    const id = await submitted();
    expect(await stranger.call("JobService/Cancel", { id, reason: "enough" })).toMatchObject({
      outcome: "CANCEL_OUTCOME_CANCELLED",
      previousState: "JOB_STATE_READY",
    });
    expect(await stranger.call("JobService/Cancel", { id })).toMatchObject({
      outcome: "CANCEL_OUTCOME_ALREADY_FINISHED",
      previousState: "JOB_STATE_CANCELLED",
    });
  });

  test("a failed job is made ready again, any other is not", async () => {
    const id = await submitted({ task: "redriven" });
    expect(await stranger.refused("JobService/Redrive", { id })).toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "NOT_FAILED",
    });
    await fail("redriven");
    expect(await stranger.call("JobService/Redrive", { id })).toMatchObject({
      job: { id, state: "JOB_STATE_READY", failures: 0, crashes: 0 },
    });
  });
});

describe("queues", () => {
  test("are told with what waits in them", async () => {
    await submitted({ queue: "told", task: "a", priority: 9 });
    await submitted({ queue: "told", task: "b", delay: { seconds: 3_600 } });
    const { queue } = await stranger.call("QueueService/Get", { queue: "told" });
    expect(queue).toMatchObject({ name: "told", paused: false, ready: 1, scheduled: 1 });
    const { queues } = await stranger.call("QueueService/List");
    expect((queues as Message[]).map(({ name }) => name)).toContain("told");
  });

  test("hand out nothing while they are paused", async () => {
    await stranger.call("QueueService/Pause", { queue: "rests" });
    await submitted({ queue: "rests", task: "paused" });
    const ask = { worker: "w", tasks: ["paused"], queues: ["rests"] };
    expect(
      await stranger.call("WorkerService/Lease", { ...ask, wait: { nanos: 500_000_000 } }),
    ).toMatchObject({ leases: [] });
    await stranger.call("QueueService/Resume", { queue: "rests" });
    const { leases } = await stranger.call("WorkerService/Lease", { ...ask, wait: { seconds: 15 } });
    expect(leases).toHaveLength(1);
  });

  test("are emptied, or counted only", async () => {
    for (let i = 0; i < 3; i++) await submitted({ queue: "purged", task: "purged" });
    await submitted({ queue: "purged", task: "purged", delay: { seconds: 3_600 } });
    expect(await stranger.call("QueueService/Purge", { queue: "purged", dryRun: true })).toMatchObject({
      ready: 3,
    });
    expect(
      await stranger.call("QueueService/Purge", { queue: "purged", includeScheduled: true }),
    ).toMatchObject({
      ready: 3,
      scheduled: 1,
    });
    expect(await stranger.call("JobService/List", { queue: "purged" })).toMatchObject({ jobs: [] });
  });

  test("that nothing was ever submitted to are not there", async () => {
    expect(await stranger.refused("QueueService/Get", { queue: "never" })).toMatchObject({
      code: "NOT_FOUND",
      reason: "QUEUE_NOT_FOUND",
    });
  });
});
