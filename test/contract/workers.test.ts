// WorkerService and InspectService, as any language can call them: single calls, and a session by hand.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { type Message, Stranger } from "../support/stranger.js";

/** A policy that keeps what has failed waiting for as long as anybody looks. */
const inAMinute = { initialDelay: { seconds: 60 } };

let broker: Broker;
let stranger: Stranger;

beforeAll(async () => {
  broker = await Broker.start({ env: { DROVER_SESSION_GRACE: "3s" } });
  stranger = new Stranger(broker.address);
});

afterAll(async () => {
  stranger.close();
  await broker.stop();
});

async function submit(task: string, fields: Message = {}): Promise<string> {
  const payload = { data: Buffer.from('{"n":1}') };
  return (await stranger.call("JobService/Submit", { job: { task, payload, ...fields } })).id as string;
}

async function lease(task: string, fields: Message = {}): Promise<Message> {
  const { leases } = await stranger.call("WorkerService/Lease", { worker: "w", tasks: [task], ...fields });
  expect(leases).toHaveLength(1);
  return (leases as Message[])[0] as Message;
}

async function ack(outcome: Message): Promise<Message> {
  const { results } = await stranger.call("WorkerService/Ack", { outcomes: [outcome] });
  return (results as Message[])[0] as Message;
}

async function status(id: string): Promise<Message> {
  return (await stranger.call("JobService/Status", { id })).job as Message;
}

describe("in single calls", () => {
  test("a lease carries the job", async () => {
    const id = await submit("lease.carries", {
      labels: { a: "b" },
      hardTimeLimit: { seconds: 60 },
      priority: 8,
    });
    expect(await lease("lease.carries")).toMatchObject({
      jobId: id,
      task: "lease.carries",
      queue: "default",
      priority: 8,
      attempt: 1,
      failures: 0,
      maxAttempts: 4,
      payload: { data: Buffer.from('{"n":1}') },
      labels: { a: "b" },
      hardTimeLimit: { seconds: 60 },
      token: expect.stringMatching(/^[A-Za-z0-9_.-]{1,512}$/),
    });
    expect(await status(id)).toMatchObject({ state: "JOB_STATE_RUNNING", attempt: 1, worker: "w" });
  });

  test("without jobs there is an empty answer at the end of the wait", async () => {
    const request = { worker: "w", tasks: ["nothing"], wait: { nanos: 200_000_000 } };
    expect(await stranger.call("WorkerService/Lease", request)).toMatchObject({ leases: [] });
  });

  test.each<[string, Message, string, Message]>([
    [
      "success",
      { success: { result: { data: Buffer.from("42") } } },
      "SUCCEEDED",
      { result: { data: Buffer.from("42") } },
    ],
    [
      "failure",
      { failure: { type: "E", message: "m" } },
      "RETRYING",
      { failures: 1, failure: { type: "E", message: "m" } },
    ],
    ["permanent failure", { failure: { reason: "FAILURE_REASON_PERMANENT" } }, "FAILED", { failures: 1 }],
    ["release", { release: {} }, "READY", { failures: 0, crashes: 0 }],
    ["snooze", { snooze: { delay: { seconds: 60 } } }, "SCHEDULED", { failures: 0, crashes: 0 }],
  ])("a report of %s is recorded", async (name, report, state, told) => {
    const task = `report.${name.replace(" ", "-")}`;
    const id = await submit(task, { retry: inAMinute });
    const { token } = await lease(task);
    expect(await ack({ token, ...report })).toMatchObject({ error: null, state: `JOB_STATE_${state}` });
    expect(await status(id)).toMatchObject({ state: `JOB_STATE_${state}`, ...told });
  });

  test("a result too large fails the job, and says so", async () => {
    const id = await submit("large.result");
    const { token } = await lease("large.result");
    const result = { data: Buffer.alloc(256 * 1_024 + 1) };
    expect(await ack({ token, success: { result } })).toMatchObject({ state: "JOB_STATE_FAILED" });
    expect(await status(id)).toMatchObject({ failure: { reason: "FAILURE_REASON_RESULT_TOO_LARGE" } });
  });

  test("what is repeated, made up or malformed is refused, each by itself", async () => {
    await submit("refused");
    const { token } = await lease("refused");
    const success = { success: {} };
    await ack({ token, ...success });
    const { results } = await stranger.call("WorkerService/Ack", {
      outcomes: [
        { token, ...success },
        { token: "made.up", ...success },
        { token },
        { leaseId: 5, ...success },
        { token, snooze: { delay: { seconds: 31 * 86_400 } } },
      ],
    });
    expect((results as Message[]).map(({ error }) => (error as Message).reason)).toEqual([
      "ALREADY_REPORTED",
      "INVALID_TOKEN",
      "INVALID_ARGUMENT",
      "INVALID_ARGUMENT",
      "INVALID_ARGUMENT",
    ]);
  });

  test("`cancelled` is refused when nobody asked for it", async () => {
    await submit("not.cancelled");
    const { token } = await lease("not.cancelled");
    expect(await ack({ token, cancelled: {} })).toMatchObject({
      error: { code: 9, reason: "NOT_CANCELLED" },
    });
  });

  test("extending keeps a lease, reports progress and tells of a cancel", async () => {
    const id = await submit("extended");
    const { token } = await lease("extended", { leaseDuration: { seconds: 5 } });
    const extend = async (fields: Message = {}) => {
      const { results } = await stranger.call("WorkerService/Extend", { leases: [{ token, ...fields }] });
      return (results as Message[])[0];
    };
    const progress = { value: 0.5, detail: Buffer.from('"half"') };
    expect(await extend({ duration: { seconds: 30 }, progress })).toMatchObject({
      error: null,
      cancelRequested: false,
    });
    expect(await status(id)).toMatchObject({ progress: { value: 0.5, detail: Buffer.from('"half"') } });
    expect(await stranger.call("JobService/Cancel", { id })).toMatchObject({
      outcome: "CANCEL_OUTCOME_REQUESTED",
    });
    expect(await extend()).toMatchObject({ error: null, cancelRequested: true });
    expect(await ack({ token, cancelled: {} })).toMatchObject({ state: "JOB_STATE_CANCELLED" });
    expect(await extend()).toMatchObject({ error: { code: 9, reason: "JOB_CANCELLED" } });
  });

  test("a lease that is not kept is lost, and the job runs again", async () => {
    const id = await submit("lost");
    const { token } = await lease("lost", { leaseDuration: { seconds: 1 } });
    const again = await lease("lost", { wait: { seconds: 20 } });
    expect(again).toMatchObject({ jobId: id, attempt: 2, failures: 0 });
    expect(await ack({ token, success: {} })).toMatchObject({ error: { code: 10, reason: "LEASE_LOST" } });
    expect(await ack({ token: again.token, success: {} })).toMatchObject({ error: null });
    expect(await status(id)).toMatchObject({
      crashes: 1,
      history: [{ outcome: "ATTEMPT_OUTCOME_CRASHED" }, {}],
    });
  });
});

describe("in a session", () => {
  test("jobs come, outcomes are settled", async () => {
    const ids = [await submit("session"), await submit("session")];
    const work = stranger.work().attach({ tasks: [{ task: "session" }] });
    expect(await work.hear("attached")).toMatchObject({
      pingInterval: { seconds: 5 },
      sessionTimeout: { seconds: 15 },
    });
    const leased: Message[] = [];
    while (leased.length < 2) leased.push(...((await work.hear("leases")).leases as Message[]));
    expect(leased.map(({ jobId }) => jobId).sort()).toEqual(ids.sort());
    work.say({ outcomes: { outcomes: leased.map(({ leaseId }) => ({ leaseId, success: {} })) } });
    const settled: unknown[] = [];
    while (settled.length < 2) settled.push(...((await work.hear("settled")).recorded as unknown[]));
    expect(settled.sort()).toEqual(leased.map(({ leaseId }) => leaseId).sort());
    for (const id of ids) expect(await status(id)).toMatchObject({ state: "JOB_STATE_SUCCEEDED" });
    work.stream.end();
    expect(await work.ended).toMatchObject({ code: "OK" });
  });

  test("never more than the credit allows", async () => {
    for (let i = 0; i < 5; i++) await submit("credit");
    const work = stranger.work().attach({ tasks: [{ task: "credit" }], credit: { jobs: 2 } });
    const leased: Message[] = [];
    while (leased.length < 2) leased.push(...((await work.hear("leases")).leases as Message[]));
    await expect(work.hear("leases", 500)).rejects.toThrow();
    work.say({ credit: { jobs: 5 } });
    while (leased.length < 5) leased.push(...((await work.hear("leases")).leases as Message[]));
    work.say({ outcomes: { outcomes: leased.map(({ leaseId }) => ({ leaseId, success: {} })) } });
    await work.hear("settled");
    work.stream.end();
    await work.ended;
  });

  test("an outcome of no lease of the session is refused by itself", async () => {
    const work = stranger.work().attach();
    await work.hear("attached");
    work.say({ outcomes: { outcomes: [{ leaseId: 999, success: {} }] } });
    expect(await work.hear("settled")).toMatchObject({
      recorded: [],
      refused: [{ leaseId: 999, error: {} }],
    });
    work.stream.end();
    expect(await work.ended).toMatchObject({ code: "OK" });
  });

  test("a report beyond its limits fails the attempt, not the session", async () => {
    const id = await submit("misreport", { retry: inAMinute });
    const work = stranger.work().attach({ tasks: [{ task: "misreport" }] });
    const { leases } = await work.hear("leases");
    const { leaseId } = (leases as Message[])[0] as Message;
    work.say({ outcomes: { outcomes: [{ leaseId, snooze: { delay: { seconds: 99 * 86_400 } } }] } });
    expect(await work.hear("settled")).toMatchObject({ recorded: [leaseId] });
    expect(await status(id)).toMatchObject({
      state: "JOB_STATE_RETRYING",
      failure: { type: "InvalidReport" },
    });
    work.stream.end();
    await work.ended;
  });

  test("a cancel is told to whoever runs the job", async () => {
    const id = await submit("told.cancel");
    const work = stranger.work().attach({ tasks: [{ task: "told.cancel" }] });
    const { leases } = await work.hear("leases");
    const { leaseId } = (leases as Message[])[0] as Message;
    expect(await stranger.call("JobService/Cancel", { id })).toMatchObject({
      outcome: "CANCEL_OUTCOME_REQUESTED",
    });
    expect(await work.hear("cancel")).toMatchObject({
      leases: [{ leaseId, reason: "CANCEL_REASON_REQUESTED" }],
    });
    work.say({ outcomes: { outcomes: [{ leaseId, cancelled: {} }] } });
    await work.hear("settled");
    expect(await status(id)).toMatchObject({ state: "JOB_STATE_CANCELLED" });
    work.stream.end();
    await work.ended;
  });

  test("a worker that comes back in time keeps its leases", async () => {
    const id = await submit("comes.back");
    const who = { instance: "comes-back", tasks: [{ task: "comes.back" }] };
    const before = stranger.work().attach(who);
    const { leases } = await before.hear("leases");
    const { token } = (leases as Message[])[0] as Message;
    before.stream.cancel();
    const after = stranger.work().attach({ ...who, held: [token, "made.up"] });
    const attached = await after.hear("attached");
    expect(attached).toMatchObject({ held: [{ token }], lost: ["made.up"] });
    const { leaseId } = (attached.held as Message[])[0] as Message;
    after.say({ outcomes: { outcomes: [{ leaseId, success: {} }] } });
    expect(await after.hear("settled")).toMatchObject({ recorded: [leaseId] });
    expect(await status(id)).toMatchObject({ state: "JOB_STATE_SUCCEEDED", attempt: 1, crashes: 0 });
    after.stream.end();
    await after.ended;
  });

  test("a worker that vanishes loses them to the next", async () => {
    const id = await submit("vanishes");
    const who = { tasks: [{ task: "vanishes" }] };
    const before = stranger.work().attach(who);
    await before.hear("leases");
    before.stream.cancel();
    const after = stranger.work().attach(who);
    const { leases } = await after.hear("leases");
    expect(leases).toMatchObject([{ jobId: id, attempt: 2 }]);
    expect(await status(id)).toMatchObject({ crashes: 1 });
    after.stream.cancel();
  });

  test("pings come every five seconds", async () => {
    const work = stranger.work().attach();
    const { serverTime } = await work.hear("ping");
    const { seconds } = serverTime as { seconds: number };
    expect(Math.abs(seconds - Date.now() / 1_000)).toBeLessThan(5);
    work.say({ pong: {} });
    await work.hear("ping");
    work.stream.end();
    await work.ended;
  });
});

describe("inspecting", () => {
  test("the workers, what they run and what they serve", async () => {
    const id = await submit("inspected");
    const work = stranger.work().attach({
      worker: "host:42",
      instance: "inspected-1",
      tasks: [{ task: "inspected" }],
      queues: [{ queue: "default" }, { queue: "bulk", weight: 2 }],
      credit: { jobs: 7 },
      sdk: "bare 1",
    });
    await work.hear("leases");
    const { workers } = await stranger.call("InspectService/Workers");
    expect(workers).toContainEqual(
      expect.objectContaining({
        name: "host:42",
        instance: "inspected-1",
        sdk: "bare 1",
        tasks: ["inspected"],
        queues: ["default", "bulk"],
        credit: 7,
        running: 1,
        draining: false,
        peer: expect.stringMatching(/:\d+$/),
      }),
    );
    const { jobs } = await stranger.call("InspectService/Active", { limit: 10_000 });
    expect(jobs).toContainEqual(expect.objectContaining({ jobId: id, worker: "host:42", attempt: 1 }));
    const { tasks } = await stranger.call("InspectService/Registered");
    expect(tasks).toContainEqual(expect.objectContaining({ task: "inspected", workers: ["host:42"] }));
    work.stream.cancel();
  });

  test("the broker and its limits", async () => {
    const info = await stranger.call("InspectService/ServerInfo");
    expect(info).toMatchObject({
      namespace: "default",
      shards: 1,
      replicas: 1,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      natsServerVersion: expect.stringMatching(/^2\./),
      limits: {
        payload: 524_288,
        result: 262_144,
        batch: 1_000,
        lanes: 1_000,
        idempotencyWindow: { seconds: 600 },
      },
    });
    expect(info.brokers).toEqual([info.broker]);
  });
});
