// What a Celery user does, in TypeScript: one test per use, against a real broker. The numbers are those of the list of uses
// that all SDKs share; rows that the broker does not have yet are not here.

import { AsyncLocalStorage } from "node:async_hooks";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  Client,
  chain,
  chord,
  FlowFailedError,
  group,
  JobFailedError,
  type JobHandle,
  JobNotFoundError,
  type JobState,
  ResultTimeoutError,
  step,
} from "@drover/client";
import { type AnyTask, defineTask, Permanent, Retry, SoftTimeLimitExceeded, Worker } from "@drover/worker";
import { droverFixture, EagerClient, startDrover, type TestDrover } from "@drover/worker/testing";
import { afterAll, test as base, beforeAll, expect } from "vitest";
import { isAlive } from "../../../support/child-processes.js";
import { linesOf } from "../../../support/diary.js";
import { until } from "../../../support/until.js";

const patience = 45_000;
const lines: Record<string, unknown>[] = [];
const keep = (fields: object) => void lines.push({ ...fields });
const logger = { debug: keep, info: keep, warn: keep, error: keep };

/** Stands for a database session: opened for a run, closed whatever happens. */
const sessions = new AsyncLocalStorage<{ open: boolean }>();
const opened: { open: boolean }[] = [];
const life: string[] = [];
const started: string[] = [];

class MailServerBusy extends Error {}
class UserGone extends Error {}

const processUser = defineTask({
  name: "users.process",
  handler: ({ userId }: { userId: number }) => ({ userId, processed: true }),
});
/** Lets the one run of users.slow end. */
let letGo: () => void = () => {};
const mayEnd = new Promise<void>((resolve) => {
  letGo = resolve;
});
const slow = defineTask({
  name: "users.slow",
  handler: async () => {
    await mayEnd;
    return "done";
  },
});
/** Its runs end when as many as this are running. */
const together = 20;
let present = 0;
let allPresent: () => void = () => {};
const all = new Promise<void>((resolve) => {
  allPresent = resolve;
});
const meeting = defineTask({
  name: "users.meet",
  handler: () => {
    if (++present === together) allPresent();
    return all;
  },
});
const inSession = defineTask({
  name: "users.in_session",
  handler: async ({ fail }: { fail: boolean }) => {
    await sleep(1);
    if (fail) throw new Permanent("as asked for");
    return sessions.getStore()?.open;
  },
});
const labelled = defineTask({ name: "users.labels", handler: (_: unknown, { labels }) => labels });
const import_ = defineTask({
  name: "files.import",
  handler: async (_: unknown, context) => {
    for (let done = 1; done <= 2; done++) context.progress(done / 4, { done });
    await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    throw context.signal.reason;
  },
});
const flaky = defineTask({
  name: "mail.flaky",
  handler: (_: unknown, { attempt }) => {
    if (attempt < 4) throw new MailServerBusy("the mail server is busy");
    return attempt;
  },
  retry: { retries: 3, initialDelay: 20, jitter: 0 },
});
const backoff = defineTask({
  name: "mail.backoff",
  handler: () => {
    throw new MailServerBusy("the mail server is busy");
  },
  retry: { retries: 3, initialDelay: 60_000, factor: 2, jitter: 0 },
});
const temporary = defineTask({
  name: "mail.temporary",
  handler: () => {
    throw new Retry(300_000, "again in five minutes");
  },
});
const refused = defineTask({
  name: "mail.refused",
  handler: () => {
    throw new UserGone("no user 42");
  },
  permanentErrors: [UserGone],
});
const order = defineTask({
  name: "order.note",
  handler: ({ name }: { name: string }) => void started.push(name),
  concurrency: 1,
});
const plus = defineTask({
  name: "math.plus",
  handler: async ({ n }: { n: number }, context) => {
    const [before] = await context.inputs();
    return n + ((before?.result as number | undefined) ?? 0);
  },
});
const sum = defineTask({
  name: "math.sum",
  handler: async (_: unknown, context) => {
    started.push("sum");
    const inputs = await context.inputs();
    return inputs.reduce((total, { result }) => total + (result as number), 0);
  },
});
const softly = defineTask({
  name: "limits.soft",
  handler: async (_: unknown, { signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    if (signal.reason instanceof SoftTimeLimitExceeded) return "cleaned up";
    throw signal.reason;
  },
});

const module = new URL("./tasks.mjs", import.meta.url);
const tasks: AnyTask[] = [
  ...[
    processUser,
    slow,
    meeting,
    inSession,
    labelled,
    import_,
    flaky,
    backoff,
    temporary,
    refused,
    order,
    plus,
    sum,
    softly,
  ],
  ...Object.values<AnyTask>(await import(module.href)),
];

/** PARITY 23: what a test of a user's own has. */
const test = base.extend<{ drover: TestDrover; client: Client }>({
  drover: [
    droverFixture({
      tasks,
      logger,
      concurrency: 50,
      queues: ["default", "high_priority", "mail"],
      onStart: () => void life.push("started"),
      onStop: () => void life.push("stopped"),
      around: async (_context, run) => {
        const session = { open: true };
        opened.push(session);
        try {
          return await sessions.run(session, run);
        } finally {
          session.open = false;
        }
      },
    }),
    { scope: "file" },
  ],
  client: [
    async ({ drover }, use) => {
      const client = new Client({ address: drover.address });
      await use(client);
      client.close();
    },
    { scope: "file" },
  ],
});

let folder: string;
let fresh = 0;
const file = () => join(folder, `file-${++fresh}`);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "drover-parity-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function ended(job: JobHandle, state: JobState) {
  const status = await job.wait({ timeout: patience });
  expect(status.state, `${job.id}: ${JSON.stringify(status.failure)}`).toBe(state);
  return status;
}

test("1 simple task: a plain function under a name, callable directly", async ({ client }) => {
  expect(await processUser({ userId: 7 })).toEqual({ userId: 7, processed: true });
  const job = await client.submit(processUser, { userId: 7 });
  expect(await job.result({ timeout: patience })).toEqual({ userId: 7, processed: true });
});

test("2 async task: many at a time, a session for each run, closed whatever happens", async ({ client }) => {
  const many = await Promise.all(Array.from({ length: together }, () => client.submit(meeting, {})));
  await Promise.all(many.map((job) => job.result({ timeout: patience })));
  expect(await (await client.submit(inSession, { fail: false })).result({ timeout: patience })).toBe(true);
  await ended(await client.submit(inSession, { fail: true }), "FAILED");
  expect(opened.length).toBeGreaterThanOrEqual(22);
  expect(opened.filter(({ open }) => open)).toEqual([]);
  expect(life).toEqual(["started"]);
});

test("3 submit from a web route: an id at once, one job however often it is tried", async ({ client }) => {
  const [one, two] = await Promise.all([
    client.submit(processUser, { userId: 1 }, { key: "user-1" }),
    client.submit(processUser, { userId: 1 }, { key: "user-1" }),
  ]);
  expect(one.id).toBe("users.process~user-1");
  expect(two.id).toBe(one.id);
  expect((await ended(one, "SUCCEEDED")).attempt).toBe(1);
});

test("4 status endpoint: by id from any process, NOT_FOUND for an unknown one", async ({
  client,
  drover,
}) => {
  const job = await client.submit(processUser, { userId: 4 });
  await job.wait({ timeout: patience });
  const other = new Client({ address: drover.address });
  const status = await other.job(decodeURIComponent(encodeURIComponent(job.id))).status();
  other.close();
  expect(encodeURIComponent(job.id)).toBe(job.id);
  expect(status).toMatchObject({ state: "SUCCEEDED", attempt: 1, result: { userId: 4, processed: true } });
  expect(Number(status.finishedAt)).toBeGreaterThanOrEqual(Number(status.startedAt));
  await expect(client.job("users.process~nobody").status()).rejects.toThrow(JobNotFoundError);
});

test.for(["users.labels", "parity.labels"])(
  "4 labels of a submit: told by the status and to the handler of %s",
  async (task, { client }) => {
    const labels = { tenant: "acme", region: "eu" };
    const job = await client.submit(task, {}, { labels });
    expect((await job.status()).labels).toEqual(labels);
    expect(await job.result({ timeout: patience })).toEqual(labels);
  },
);

test("5 progress, and 33 revoke of a running job", async ({ client }) => {
  const job = await client.submit(import_, {});
  const watched: unknown[] = [];
  const watching = (async () => {
    for await (const { progress } of job.watch()) if (progress !== undefined) watched.push(progress.value);
  })();
  const seen = await until("progress", async () => {
    const { progress } = await job.status();
    return progress?.value === 0.5 && progress;
  });
  expect(seen).toMatchObject({ value: 0.5, detail: { done: 2 } });
  await until("the watch to see it", () => watched.includes(0.5));
  expect(await job.cancel("not needed")).toEqual({ outcome: "REQUESTED", previousState: "RUNNING" });
  await ended(job, "CANCELLED");
  await watching;
});

test("6 automatic retry: three retries are four runs, numbered", async ({ client }) => {
  const job = await client.submit(flaky, {});
  expect(await ended(job, "SUCCEEDED")).toMatchObject({ result: 4, failures: 3 });
  const once = await client.submit(flaky, {}, { retry: { retries: 0 } });
  expect(await ended(once, "FAILED")).toMatchObject({ failures: 1, failure: { type: "MailServerBusy" } });
});

test("7 exponential backoff: 60, 120, 240 s to the second", async ({ client }) => {
  const job = await client.submit(backoff, {});
  const first = await until("the failure", async () => {
    const status = await job.status();
    return status.state === "RETRYING" && status;
  });
  expect(Number(first.dueAt) - Number(first.history[0]?.endedAt)).toBeGreaterThanOrEqual(59_900);
  expect(Number(first.dueAt) - Number(first.history[0]?.endedAt)).toBeLessThan(61_000);
  const eager = await new EagerClient({ tasks: [backoff] }).submit(backoff, {});
  expect(eager.attempts.map(({ nextAfter }) => nextAfter)).toEqual([60_000, 120_000, 240_000, undefined]);
});

test("8 temporary error: again in 300 s, whatever the policy says", async ({ client }) => {
  const job = await client.submit(temporary, {});
  const status = await until("the failure", async () => {
    const status = await job.status();
    return status.state === "RETRYING" && status;
  });
  const wait = Number(status.dueAt) - Number(status.history[0]?.endedAt);
  expect(Math.round(wait / 1_000)).toBe(300);
});

test("9 permanent error: no retry, with type, message and stack", async ({ client }) => {
  const job = await client.submit(refused, {});
  const error: JobFailedError = await job.result({ timeout: patience }).catch((error) => error);
  expect(error).toBeInstanceOf(JobFailedError);
  expect(error.failure).toMatchObject({ reason: "PERMANENT", type: "UserGone", message: "no user 42" });
  expect(error.failure?.stack).toContain("parity.test.ts");
  expect((await job.status()).attempt).toBe(1);
});

test("10 countdown and 11 eta: never early", async ({ client }) => {
  const delayed = await client.submit(processUser, { userId: 10 }, { delay: 700 });
  const at = new Date(Date.now() + 900);
  const timed = await client.submit(processUser, { userId: 11 }, { runAt: at });
  expect(delayed.submittedAs).toBe("SCHEDULED");
  const [one, two] = [await ended(delayed, "SUCCEEDED"), await ended(timed, "SUCCEEDED")];
  expect(Number(one.startedAt) - Number(one.submittedAt)).toBeGreaterThanOrEqual(700);
  expect(Number(two.startedAt)).toBeGreaterThanOrEqual(at.getTime());
});

test("12 periodic by cron: in a zone, declared again without effect, triggered", async ({ client }) => {
  const crons = { daily: "0 9 * * *", half: "*/30 * * * *", monday: "0 8 * * 1", midnight: "0 0 * * *" };
  const schedules = Object.entries(crons).map(([name, cron]) => ({
    name: `p-${name}`,
    task: "users.process",
    payload: { user_id: 12 },
    cron,
    timeZone: "Europe/Berlin",
  }));
  const names = schedules.map(({ name }) => name);
  expect((await client.schedules.put("parity", schedules)).added).toEqual(names);
  expect((await client.schedules.put("parity", schedules)).unchanged).toEqual(names);
  // A Friday, before Berlin's clocks are put forward.
  const from = new Date("2027-03-26T12:00:00Z");
  const times = async (name: string) =>
    (await client.schedules.preview(name, { from, count: 2 })).map((time) => time.toISOString().slice(0, 16));
  expect(await Promise.all(names.map(times))).toEqual([
    ["2027-03-27T08:00", "2027-03-28T07:00"],
    ["2027-03-26T12:30", "2027-03-26T13:00"],
    ["2027-03-29T06:00", "2027-04-05T06:00"],
    ["2027-03-26T23:00", "2027-03-27T23:00"],
  ]);
  const job = client.job(await client.schedules.trigger("p-daily"));
  expect(await job.result({ timeout: patience })).toMatchObject({ processed: true });
  expect((await client.schedules.put("parity", [], { removeUndeclared: true })).undeclared).toEqual(
    [...names].sort(),
  );
});

test("13 periodic by interval: a job for each second", async ({ client }) => {
  const tick = { name: "p-tick", task: "users.process", payload: { user_id: 13 }, every: 1_000 };
  await client.schedules.put("parity-13", [tick]);
  await until("two firings", async () => (await client.schedules.get("p-tick")).firings.length >= 2);
  const { firings } = await client.schedules.get("p-tick");
  await client.schedules.delete("p-tick");
  const [later, earlier] = firings;
  expect(Number(later?.plannedAt) - Number(earlier?.plannedAt)).toBe(1_000);
  const job = client.job(firings.at(-1)?.jobId ?? "");
  expect(await job.result({ timeout: patience })).toMatchObject({ processed: true });
});

test("14 priority: 9 before 0, 15 a queue of one's choice", async ({ client, drover }) => {
  const queue = "line";
  const names = ["low 1", "low 2", "high 1", "high 2"];
  for (const name of names)
    await client.submit(order, { name }, { queue, priority: name.startsWith("high") ? 9 : 0 });
  const other = new Worker({
    address: drover.address,
    logger,
    queues: [{ name: queue, weight: 2 }],
    tasks: [order],
    concurrency: 1,
  });
  started.length = 0;
  await other.start();
  await until("all of them", () => started.length === names.length, patience);
  await other.stop();
  expect(started).toEqual(["high 1", "high 2", "low 1", "low 2"]);
  const chosen = await client.submit(processUser, { userId: 15 }, { queue: "high_priority", priority: 9 });
  expect(await ended(chosen, "SUCCEEDED")).toMatchObject({ queue: "high_priority", priority: 9 });
});

test("16 routes: globs kept by the broker, explicit values win", async ({ client }) => {
  await client.routes.put("parity", [{ name: "mails", task: "mail.*", queue: "mail", priority: 8 }]);
  const routed = await client.submit(flaky, {});
  expect(await routed.status()).toMatchObject({ queue: "mail", priority: 8 });
  const explicit = await client.submit(flaky, {}, { queue: "default", priority: 1 });
  expect(await explicit.status()).toMatchObject({ queue: "default", priority: 1 });
  await client.routes.put("parity", []);
});

test("17 fire and forget: no result, but a status and idempotency", async ({ client }) => {
  const options = { resultRetention: 0, key: "forgotten" };
  const job = await client.submit(processUser, { userId: 17 }, options);
  expect((await ended(job, "SUCCEEDED")).result ?? null).toBeNull();
  expect((await client.submit(processUser, { userId: 17 }, options)).deduplicated).toBe(true);
});

test("18 wait for a result: the time-out has the id, and the job goes on", async ({ client }) => {
  const job = await client.submit(slow, {});
  const error: ResultTimeoutError = await job.result({ timeout: 50 }).catch((error) => error);
  expect(error).toBeInstanceOf(ResultTimeoutError);
  letGo();
  expect(await client.job(error.jobId).result({ timeout: patience })).toBe("done");
});

test("19 chain: each step has what the one before came to", async ({ client }) => {
  const flow = await client.flows.submit(
    chain(step(plus, { n: 1 }), step(plus, { n: 10 }), step(plus, { n: 100 })),
  );
  expect(await flow.result({ timeout: patience })).toBe(111);
  const broken = await client.flows.submit(
    chain(step(plus, { n: 1 }), step(refused, {}), step(plus, { n: 1 })),
  );
  await expect(broken.result({ timeout: patience })).rejects.toThrow(FlowFailedError);
  expect((await broken.status()).failedMember).toBe(1);
});

test("20 group: results in order, a partial failure told apart", async ({ client }) => {
  const all = await client.flows.submit(group([3, 1, 2].map((n) => step(plus, { n }))));
  expect(await all.results({ timeout: patience })).toEqual([3, 1, 2]);
  const partly = await client.flows.submit(
    group([step(plus, { n: 1 }), step(refused, {}, { onFailure: "continue" })]),
  );
  const states = (await partly.outcomes({ timeout: patience })).map(({ state }) => state);
  expect(states).toEqual(["SUCCEEDED", "FAILED"]);
});

test("21 chord: one callback with the list of results", async ({ client }) => {
  started.length = 0;
  const header = [1, 2, 3, 4].map((n) => step(plus, { n }));
  const flow = await client.flows.submit(chord(header, step(sum, {})));
  expect(await flow.result({ timeout: patience })).toBe(10);
  expect(started.filter((what) => what === "sum")).toEqual(["sum"]);
});

test("22 unit test: no broker, no network", async () => {
  await expect(refused({})).rejects.toThrow(UserGone);
  expect(await processUser({ userId: 22 })).toMatchObject({ userId: 22 });
});

test("23 integration test: a broker and a worker of a test's own, gone with it", async ({ drover }) => {
  const own = await startDrover({ tasks: [processUser], logger });
  expect(own.address).not.toBe(drover.address);
  const client = new Client({ address: own.address });
  const job = await client.submit(processUser, { userId: 23 });
  expect(await job.result({ timeout: patience })).toMatchObject({ userId: 23 });
  await own.stop();
  await expect(job.status({ timeout: 300 })).rejects.toThrow();
  client.close();
});

test("24 eager: handlers inline with the same retry and error rules", async () => {
  const eager = new EagerClient({ tasks });
  expect(await (await eager.submit(flaky, {})).result()).toBe(4);
  await expect((await eager.submit(refused, {})).result()).rejects.toMatchObject({ reason: "PERMANENT" });
});

test("25 structured logs: started, completed and failed, by themselves", async ({ client }) => {
  const good = await client.submit(processUser, { userId: 25 });
  const bad = await client.submit(refused, {});
  await Promise.all([good.wait({ timeout: patience }), bad.wait({ timeout: patience })]);
  const told = ({ id }: JobHandle) => lines.filter(({ job_id }) => job_id === id);
  await until("the log", () => told(good).length === 2 && told(bad).length === 2);
  const common = { task: "users.process", attempt: 1 };
  expect(told(good)).toMatchObject([
    { event: "task_started", ...common },
    { event: "task_completed", ...common, duration_ms: expect.any(Number) },
  ]);
  expect(told(bad)[1]).toMatchObject({ event: "task_failed", error_type: "UserGone", final: true });
});

test("26 soft time limit: the handler is told and may clean up", async ({ client }) => {
  const job = await client.submit(softly, {}, { softTimeLimit: 100 });
  expect((await ended(job, "SUCCEEDED")).result).toBe("cleaned up");
});

test("27 hard time limit: an isolated run is ended for real", async ({ client }) => {
  const began = file();
  const options = { hardTimeLimit: 3_000, retry: { retries: 0 } };
  const job = await client.submit("parity.endless", { began }, options);
  expect((await ended(job, "FAILED")).failure).toMatchObject({ reason: "TIME_LIMIT" });
  await until("its process to be gone", () => linesOf(began).every((pid) => !isAlive(Number(pid))));
});

test("28 rate limit: of a task, and of a queue", async ({ client }) => {
  await client.tasks.limit("math.plus", { rate: "2/s" });
  const jobs = await Promise.all([1, 2, 3].map((n) => client.submit(plus, { n })));
  const runs = await Promise.all(jobs.map((job) => ended(job, "SUCCEEDED")));
  const starts = runs.map(({ startedAt }) => Number(startedAt)).sort((a, b) => a - b);
  expect(Number(starts.at(-1)) - Number(starts[0])).toBeGreaterThanOrEqual(950);
  await client.tasks.limit("math.plus", {});
  const { limits } = await client.queues.update("high_priority", { limits: { rate: "10/m" } });
  expect(limits?.rate).toMatchObject({ count: 10, period: 60_000 });
  await client.queues.update("high_priority", { limits: {} });
});

test("29 worker command: a module, flags and a log level", async ({ client, drover }) => {
  const main = fileURLToPath(new URL("../../../../worker-sdk/typescript/dist/main.js", import.meta.url));
  const args = [main, fileURLToPath(module), "--queues", "by-command", "--log-level", "debug"];
  const env = { ...process.env, DROVER_ADDRESS: drover.address };
  const child: ChildProcess = spawn(process.execPath, args, { env, stdio: "ignore" });
  const gone = once(child, "exit");
  const job = await client.submit("parity.greet", { name: "Ada" }, { queue: "by-command" });
  expect(await job.result({ timeout: patience })).toBe("Hello, Ada!");
  child.kill("SIGTERM");
  expect(await gone).toEqual([0, null]);
});

test("30 inspect active, 31 inspect registered", async ({ client }) => {
  const job = await client.submit(import_, {});
  const active = await until("it to run", async () => {
    const { items } = await client.inspect.active();
    return items.find(({ jobId }) => jobId === job.id);
  });
  expect(active).toMatchObject({ queue: "default", attempt: 1, startedAt: expect.any(Date) });
  const { items } = await client.inspect.registered();
  expect(items.find(({ task }) => task === "files.import")?.workers).toContain(active.worker);
  await job.cancel();
  await job.wait({ timeout: patience });
});

test("32 purge: a dry run says how many, then they are gone", async ({ client }) => {
  const queue = "nobody-serves";
  await client.submitBatch([1, 2, 3].map((userId) => ({ task: processUser, payload: { userId }, queue })));
  expect(await client.queues.purge(queue, { dryRun: true })).toMatchObject({ ready: 3 });
  expect(await client.queues.purge(queue)).toMatchObject({ ready: 3 });
  expect(await client.queues.purge(queue, { dryRun: true })).toMatchObject({ ready: 0 });
});

test("33 revoke: scheduled, ready and running ones, an isolated run ended for real", async ({ client }) => {
  const scheduled = await client.submit(processUser, { userId: 33 }, { delay: 3_600_000 });
  expect(await scheduled.cancel()).toEqual({ outcome: "CANCELLED", previousState: "SCHEDULED" });
  const ready = await client.submit(processUser, { userId: 33 }, { queue: "nobody-serves" });
  expect(await ready.cancel()).toEqual({ outcome: "CANCELLED", previousState: "READY" });
  const began = file();
  const running = await client.submit("parity.endless", { began });
  await until("it to run", () => linesOf(began).length > 0, patience);
  expect(await running.cancel()).toEqual({ outcome: "REQUESTED", previousState: "RUNNING" });
  await ended(running, "CANCELLED");
  await until("its process to be gone", () => linesOf(began).every((pid) => !isAlive(Number(pid))));
  expect((await running.cancel()).outcome).toBe("ALREADY_FINISHED");
});

test("34 idempotent tasks: one key, one job, also when a route has changed", async ({ client }) => {
  const first = await client.submit(processUser, { userId: 34 }, { key: "user-34" });
  await first.wait({ timeout: patience });
  await client.routes.put("parity", [{ name: "users", task: "users.*", queue: "mail" }]);
  const second = await client.submit(processUser, { userId: 34 }, { key: "user-34" });
  await client.routes.put("parity", []);
  expect([second.id, second.deduplicated]).toEqual([first.id, true]);
  expect((await second.status()).queue).toBe("default");
});
