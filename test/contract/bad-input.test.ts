// What a broker is sent by mistake or by malice: refused with a reason and the fields to mend, and the broker unharmed.

import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { type Message, methods, refusalOf, Stranger } from "../support/stranger.js";
import { Wire } from "../support/wire.js";

let broker: Broker;
let stranger: Stranger;
let pid: number;

beforeAll(async () => {
  broker = await Broker.start();
  stranger = new Stranger(broker.address);
  pid = broker.pid;
});

afterAll(async () => {
  stranger.close();
  await broker.stop();
});

// Unharmed: the same process takes a job, and met nothing that it takes for its own fault.
afterEach(async () => {
  await stranger.call("JobService/Submit", { job: { task: "unharmed" } });
  expect(broker.pid).toBe(pid);
  expect(broker.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});

const day = 86_400;
const job = (fields: Message) => ({ job: { task: "t", ...fields } });
const leased = { worker: "w", tasks: ["t"] };
const many = (count: number, item: unknown = "t~k") => Array.from({ length: count }, () => item);

const route = (fields: Message) => ({ name: "a", task: "*", queue: "q", ...fields });
const routes = (...all: Message[]) => ({ owner: "o", routes: all.map(route) });

const limits = (fields: Message): Message => ({ queue: "q", limits: fields });

const member = (...dependsOn: number[]): Message => ({ job: { task: "t" }, dependsOn });
const flow = (...members: unknown[]) => ({ flow: { members } });

const schedule = (fields: Message): Message => ({
  name: "s",
  cron: "* * * * *",
  job: { task: "t" },
  ...fields,
});
const put = (fields: Message): Message => ({ owner: "o", schedules: [schedule(fields)] });

type Row = [method: string, what: string, request: Message, fields: string[]];

const invalid: Row[] = [
  ["JobService/Submit", "no job", {}, ["job"]],
  ["JobService/Submit", "no task", job({ task: "" }), ["job.task"]],
  [
    "JobService/Submit",
    "bad characters",
    job({ task: "a b", key: "ключ", queue: "a>" }),
    ["job.task", "job.key", "job.queue"],
  ],
  ["JobService/Submit", "a queue set to nothing", job({ queue: "" }), ["job.queue"]],
  ["JobService/Submit", "priority 10", job({ priority: 10 }), ["job.priority"]],
  ["JobService/Submit", "a negative delay", job({ delay: { seconds: -1 } }), ["job.delay"]],
  ["JobService/Submit", "a broken duration", job({ delay: { seconds: 1, nanos: -1 } }), ["job.delay"]],
  ["JobService/Submit", "a delay beyond ten years", job({ delay: { seconds: 3_651 * day } }), ["job.delay"]],
  [
    "JobService/Submit",
    "both delay and run_at",
    job({ delay: { seconds: 1 }, runAt: { seconds: 2e9 } }),
    ["job.run_at"],
  ],
  ["JobService/Submit", "run_at beyond 2200", job({ runAt: { seconds: 7_258_118_400 } }), ["job.run_at"]],
  ["JobService/Submit", "a broken time", job({ runAt: { seconds: 1e15 } }), ["job.run_at"]],
  [
    "JobService/Submit",
    "start_by before it is due",
    job({ delay: { seconds: 60 }, startBy: { seconds: 5 } }),
    ["job.start_by"],
  ],
  [
    "JobService/Submit",
    "a payload too large",
    job({ payload: { data: Buffer.alloc(524_289) } }),
    ["job.payload.data"],
  ],
  [
    "JobService/Submit",
    "a content type that is none",
    job({ payload: { contentType: "\r\n" } }),
    ["job.payload.content_type"],
  ],
  ["JobService/Submit", "attempts 0", job({ retry: { maxAttempts: 0 } }), ["job.retry.max_attempts"]],
  [
    "JobService/Submit",
    "a cap below the first delay",
    job({ retry: { initialDelay: { seconds: 9 }, maxDelay: { seconds: 1 } } }),
    ["job.retry.max_delay"],
  ],
  [
    "JobService/Submit",
    "a factor that is no number",
    job({ retry: { factor: Number.NaN } }),
    ["job.retry.factor"],
  ],
  [
    "JobService/Submit",
    "soft above hard",
    job({ softTimeLimit: { seconds: 2 }, hardTimeLimit: { seconds: 1 } }),
    ["job.soft_time_limit"],
  ],
  [
    "JobService/Submit",
    "a retention of a minute",
    job({ resultRetention: { seconds: 60 } }),
    ["job.result_retention"],
  ],
  [
    "JobService/Submit",
    "17 labels",
    job({ labels: Object.fromEntries(many(17, 0).map((_, i) => [`l${i}`, ""])) }),
    ["job.labels"],
  ],
  ["JobService/Submit", "headers too large", job({ headers: { h: "x".repeat(9_000) } }), ["job.headers"]],
  [
    "JobService/Submit",
    "all wrong at once",
    job({ priority: 11, delay: { seconds: -1 } }),
    ["job.priority", "job.delay"],
  ],
  [
    "JobService/Submit",
    "a concurrency key that is no name",
    job({ concurrencyKey: "a b" }),
    ["job.concurrency_key"],
  ],
  [
    "JobService/Submit",
    "a unique key that is none, for an instant",
    job({ unique: { key: "a b", period: { nanos: 1 } } }),
    ["job.unique.key", "job.unique.period"],
  ],
  [
    "JobService/Submit",
    "a debounce without a key, together with a delay and a unique key",
    job({ delay: { seconds: 1 }, unique: { key: "u" }, debounce: { wait: { seconds: 1 } } }),
    ["job.debounce", "job.delay", "job.unique"],
  ],
  ["JobService/Submit", "a debounce without a wait", job({ key: "k", debounce: {} }), ["job.debounce.wait"]],
  [
    "JobService/Submit",
    "a longest wait below the wait",
    job({ key: "k", debounce: { wait: { seconds: 2 }, maxWait: { seconds: 1 } } }),
    ["job.debounce.max_wait"],
  ],
  [
    "FlowService/Submit",
    "a unique member, and one that is debounced",
    flow(
      { job: { task: "t", unique: { key: "u" } } },
      { job: { task: "t", key: "k", debounce: { wait: { seconds: 1 } } } },
    ),
    ["flow.members[0].job.unique", "flow.members[1].job.debounce"],
  ],
  ["FlowService/Submit", "no flow", {}, ["flow"]],
  ["FlowService/Submit", "no members", flow(), ["flow.members"]],
  ["FlowService/Submit", "10,001 members", flow(...many(10_001, member())), ["flow.members"]],
  ["FlowService/Submit", "a member without a job", flow({}), ["flow.members[0].job"]],
  [
    "FlowService/Submit",
    "a member that waits for itself",
    flow(member(0)),
    ["flow.members[0].depends_on[0]"],
  ],
  ["FlowService/Submit", "a cycle", flow(member(1), member(0)), ["flow.members[0].depends_on[0]"]],
  [
    "FlowService/Submit",
    "a missing dependency",
    flow(member(), member(7)),
    ["flow.members[1].depends_on[0]"],
  ],
  [
    "FlowService/Submit",
    "an unknown policy",
    flow({ ...member(), onFailure: 9 }),
    ["flow.members[0].on_failure"],
  ],
  [
    "FlowService/Submit",
    "a member's bad job",
    flow({ job: { task: "a b", priority: 10 } }),
    ["flow.members[0].job.task", "flow.members[0].job.priority"],
  ],
  ["FlowService/Submit", "a bad key", { flow: { ...flow(member()).flow, key: "a b" } }, ["flow.key"]],
  ["ScheduleService/Put", "no owner", { schedules: [schedule({})] }, ["owner"]],
  [
    "ScheduleService/Put",
    "no name and no rule",
    put({ name: "", cron: undefined }),
    ["schedules[0].name", "schedules[0].rule"],
  ],
  ["ScheduleService/Put", "no job", put({ job: undefined }), ["schedules[0].job"]],
  ["ScheduleService/Put", "30 February", put({ cron: "0 0 30 2 *" }), ["schedules[0].cron"]],
  ["ScheduleService/Put", "an unknown zone", put({ timeZone: "Mars/Olympus" }), ["schedules[0].time_zone"]],
  [
    "ScheduleService/Put",
    "an interval under a second",
    put({ cron: undefined, interval: { nanos: 999_000_000 } }),
    ["schedules[0].interval"],
  ],
  [
    "ScheduleService/Put",
    "a job with a key, a time and a bad task",
    put({ job: { task: "a b", key: "k", runAt: { seconds: 1 } } }),
    ["schedules[0].job.key", "schedules[0].job.run_at", "schedules[0].job.task"],
  ],
  [
    "ScheduleService/Put",
    "unknown policies",
    put({ overlap: 9, misfire: 9 }),
    ["schedules[0].overlap", "schedules[0].misfire"],
  ],
  [
    "ScheduleService/Put",
    "the end before the start",
    put({ startAt: { seconds: 9 }, endAt: { seconds: 8 } }),
    ["schedules[0].end_at"],
  ],
  [
    "ScheduleService/Put",
    "more jitter than an hour",
    put({ jitter: { seconds: 3_601 } }),
    ["schedules[0].jitter"],
  ],
  ["ScheduleService/Put", "1,001 to catch up", put({ maxCatchUp: 1_001 }), ["schedules[0].max_catch_up"]],
  [
    "ScheduleService/Put",
    "a name twice",
    { owner: "o", schedules: [schedule({}), schedule({})] },
    ["schedules[1].name"],
  ],
  [
    "ScheduleService/Put",
    "401 schedules",
    { owner: "o", schedules: many(401).map((_, i) => schedule({ name: `s${i}` })) },
    ["schedules"],
  ],
  ["ScheduleService/Get", "no name", {}, ["name"]],
  ["ScheduleService/List", "too large a page", { pageSize: 1_001 }, ["page_size"]],
  ["ScheduleService/Delete", "a name too long", { name: "n".repeat(101) }, ["name"]],
  ["ScheduleService/Pause", "no name", {}, ["name"]],
  ["ScheduleService/Resume", "no name", {}, ["name"]],
  ["ScheduleService/Trigger", "no name", {}, ["name"]],
  ["ScheduleService/Preview", "nothing to preview", {}, ["schedule"]],
  ["ScheduleService/Preview", "1,001 times", { name: "n", count: 1_001 }, ["count"]],
  ["FlowService/Get", "no key", {}, ["key"]],
  ["FlowService/Get", "too many members", { key: "k", memberCount: 1_001 }, ["member_count"]],
  ["FlowService/List", "an unknown state", { state: 9 }, ["state"]],
  ["FlowService/List", "too large a page", { pageSize: 1_001 }, ["page_size"]],
  ["FlowService/Watch", "no key", {}, ["key"]],
  ["FlowService/Cancel", "a reason too long", { key: "k", reason: "x".repeat(1_025) }, ["reason"]],
  ["FlowService/Redrive", "no key", {}, ["key"]],
  ["FlowService/Inputs", "no job id", {}, ["job_id"]],
  ["FlowService/Inputs", "too many inputs", { jobId: "t~k", maxInputs: 1_001 }, ["max_inputs"]],
  ["JobService/Submit", "an unknown policy", { ...job({}), onConflict: 9 }, ["on_conflict"]],
  ["JobService/SubmitBatch", "no jobs", {}, ["jobs"]],
  ["JobService/SubmitBatch", "1,001 jobs", { jobs: many(1_001, { task: "t" }) }, ["jobs"]],
  ["JobService/SubmitBatch", "an unknown policy", { jobs: [{ task: "t" }], onConflict: 9 }, ["on_conflict"]],
  ["JobService/Status", "no id", {}, ["id"]],
  ["JobService/Status", "a malformed id", { id: "no-tilde" }, ["id"]],
  ["JobService/Status", "an id with a wildcard", { id: "t~*" }, ["id"]],
  ["JobService/StatusBatch", "no ids", {}, ["ids"]],
  ["JobService/StatusBatch", "1,001 ids", { ids: many(1_001) }, ["ids"]],
  ["JobService/Wait", "no ids", {}, ["ids"]],
  ["JobService/Wait", "a malformed id", { ids: ["t~k", "~"] }, ["ids[1]"]],
  ["JobService/Wait", "61 seconds", { ids: ["t~k"], timeout: { seconds: 61 } }, ["timeout"]],
  ["JobService/Wait", "an unknown mode", { ids: ["t~k"], mode: 7 }, ["mode"]],
  ["JobService/Watch", "a malformed id", { id: "x" }, ["id"]],
  ["JobService/List", "1,001 a page", { pageSize: 1_001 }, ["page_size"]],
  ["JobService/List", "an unknown state", { state: 99 }, ["state"]],
  ["JobService/List", "bad names", { task: "a.*", queue: " " }, ["task", "queue"]],
  ["JobService/List", "a made-up page token", { pageToken: "made up" }, ["page_token"]],
  ["JobService/Cancel", "a malformed id", { id: "x" }, ["id"]],
  ["JobService/Cancel", "a reason too long", { id: "t~k", reason: "x".repeat(1_025) }, ["reason"]],
  ["JobService/Redrive", "a malformed id", { id: "x~" }, ["id"]],
  ["JobService/Move", "a malformed id", { id: "x", queue: "q" }, ["id"]],
  ["JobService/Move", "to nowhere", { id: "t~k" }, ["queue"]],
  ["JobService/Move", "to no queue", { id: "t~k", queue: "a b", priority: 10 }, ["queue", "priority"]],
  ["JobService/Explain", "a malformed id", { id: "x" }, ["id"]],
  ["WorkerService/Lease", "nobody", { ...leased, worker: "" }, ["worker"]],
  ["WorkerService/Lease", "a worker without tasks", { ...leased, tasks: [] }, ["tasks"]],
  [
    "WorkerService/Lease",
    "bad names",
    { ...leased, tasks: ["t", "a b"], queues: [""] },
    ["tasks[1]", "queues[0]"],
  ],
  ["WorkerService/Lease", "1,001 jobs", { ...leased, maxJobs: 1_001 }, ["max_jobs"]],
  ["WorkerService/Lease", "a wait of 61 s", { ...leased, wait: { seconds: 61 } }, ["wait"]],
  ["WorkerService/Lease", "a lease of nothing", { ...leased, leaseDuration: {} }, ["lease_duration"]],
  ["WorkerService/Ack", "no outcomes", {}, ["outcomes"]],
  ["WorkerService/Ack", "1,001 outcomes", { outcomes: many(1_001, {}) }, ["outcomes"]],
  ["WorkerService/Extend", "no leases", {}, ["leases"]],
  ["QueueService/Get", "no name", {}, ["queue"]],
  ["QueueService/Pause", "a bad name", { queue: "a b" }, ["queue"]],
  ["QueueService/Resume", "a bad name", { queue: "a/b" }, ["queue"]],
  ["QueueService/Purge", "bad names", { queue: ">", task: "*" }, ["queue", "task"]],
  ["QueueService/PutRoutes", "nobody", { routes: [route({})] }, ["owner"]],
  ["QueueService/PutRoutes", "no effect", routes({ queue: undefined }), ["routes[0].queue"]],
  ["QueueService/PutRoutes", "a bad glob", routes({ task: "mail.[a-z]+" }), ["routes[0].task"]],
  [
    "QueueService/PutRoutes",
    "bad names",
    routes({ name: "a b", queue: "", labels: { "*": "x" } }),
    ["routes[0].name", "routes[0].labels", "routes[0].queue"],
  ],
  ["QueueService/PutRoutes", "priority 10", routes({ priority: 10 }), ["routes[0].priority"]],
  [
    "QueueService/PutRoutes",
    "one behind another that takes all",
    routes({}, { name: "b" }),
    ["routes[1].task"],
  ],
  [
    "QueueService/PutRoutes",
    "1,001 routes",
    routes(...many(1_001, {}).map((_, i) => ({ name: `r${i}`, task: `t${i}` }))),
    ["routes"],
  ],
  ["QueueService/Update", "no name", { limits: {} }, ["queue"]],
  ["QueueService/Update", "nothing to change", { queue: "q" }, ["limits"]],
  ["QueueService/Update", "no period", limits({ rate: { count: 10 } }), ["limits.rate.period"]],
  [
    "QueueService/Update",
    "10/fortnight",
    limits({ rate: { count: 10, period: { seconds: 14 * day } } }),
    ["limits.rate.period"],
  ],
  [
    "QueueService/Update",
    "a rate of nothing, and none at a time",
    limits({ rate: { period: { seconds: 1 } }, concurrency: 0, concurrencyPerKey: 10_001 }),
    ["limits.rate.count", "limits.concurrency", "limits.concurrency_per_key"],
  ],
  [
    "QueueService/Update",
    "a burst above the count",
    limits({ rate: { count: 3, period: { seconds: 1 }, burst: 4 } }),
    ["limits.rate.burst"],
  ],
  [
    "QueueService/Update",
    "records of a second",
    { queue: "q", retention: { succeeded: { seconds: 1 }, succeededCount: 0 } },
    ["retention.succeeded_count", "retention.succeeded"],
  ],
  ["QueueService/GetTask", "no name", {}, ["task"]],
  ["QueueService/UpdateTask", "nothing at all", {}, ["task", "limits"]],
  [
    "QueueService/UpdateTask",
    "a period of a nanosecond",
    { task: "t", limits: { rate: { count: 1, period: { nanos: 1 } } } },
    ["limits.rate.period"],
  ],
  ["QueueService/TestRoute", "no job", {}, ["job"]],
  ["QueueService/TestRoute", "a job that would be refused", job({ priority: 10 }), ["job.priority"]],
  ["InspectService/Active", "a limit of 10,001", { limit: 10_001 }, ["limit"]],
];

describe("is INVALID_ARGUMENT with the fields to mend", () => {
  test.each(invalid.filter(([method]) => !method.endsWith("/Watch")))(
    "%s: %s",
    async (method, _, request, fields) => {
      expect(await stranger.refused(method, request)).toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "INVALID_ARGUMENT",
        domain: "drover.dev",
        fields,
      });
    },
  );

  test.each(invalid.filter(([method]) => method.endsWith("/Watch")))(
    "%s: %s",
    async (method, _, request, fields) => {
      const watch = stranger.stream(method, request);
      const refused = new Promise((resolve) =>
        watch.on("error", (error) => resolve(refusalOf(error as never))),
      );
      watch.on("data", () => undefined);
      expect(await refused).toMatchObject({ code: "INVALID_ARGUMENT", fields });
    },
  );

  test.each<[what: string, method: string, request: Message, said: string]>([
    [
      "30 February",
      "ScheduleService/Put",
      put({ cron: "0 0 30 2 *" }),
      'schedules[0].cron: "0 0 30 2 *" never comes: no such month has that day',
    ],
    [
      "an unknown zone",
      "ScheduleService/Put",
      put({ timeZone: "Mars/Olympus" }),
      'schedules[0].time_zone: "Mars/Olympus" is no IANA time zone: say for example Europe/Berlin',
    ],
    [
      "an interval under a second",
      "ScheduleService/Put",
      put({ cron: undefined, interval: { nanos: 999_000_000 } }),
      "schedules[0].interval: is 999 ms, must be 1 s to 365 days",
    ],
    [
      "a cycle",
      "FlowService/Submit",
      flow(member(1), member(0)),
      "flow.members[0].depends_on[0]: is 1, must be below the member's own position 0",
    ],
    ["an empty flow", "FlowService/Submit", flow(), "flow.members: has 0 items, must have 1 to 10,000"],
    [
      "a missing dependency",
      "FlowService/Submit",
      flow(member(), member(7)),
      "flow.members[1].depends_on[0]: there is no member 7: the last one is 1",
    ],
    [
      "10,001 members",
      "FlowService/Submit",
      flow(...many(10_001, member())),
      "flow.members: has 10,001 items, must have 1 to 10,000",
    ],
    [
      "a route that matches nothing",
      "QueueService/PutRoutes",
      routes({ task: "mail.[a-z]+" }),
      'routes[0].task: "mail.[a-z]+" matches no task: use A-Z a-z 0-9 _ . - and * for any characters',
    ],
    [
      "10/fortnight",
      "QueueService/Update",
      limits({ rate: { count: 10, period: { seconds: 14 * day } } }),
      "limits.rate.period: is 14 days, must be 100 ms to 1 day",
    ],
  ])("of %s it says where it is and what would do", async (_, method, request, said) => {
    expect((await stranger.refused(method, request)).message).toContain(said);
  });

  test("every method that takes something to check is among them", () => {
    const takesNothing = [
      "QueueService/List",
      "QueueService/ListRoutes",
      "InspectService/Workers",
      "InspectService/Registered",
      "InspectService/ServerInfo",
    ];
    const covered = new Set([...invalid.map(([method]) => method), ...takesNothing, "WorkerService/Work"]);
    expect(methods.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
  });
});

describe("a job that nobody knows", () => {
  test.each(["JobService/Status", "JobService/Cancel", "JobService/Redrive", "JobService/Explain"])(
    "%s is NOT_FOUND",
    async (method) => {
      expect(await stranger.refused(method, { id: "t~unknown" })).toMatchObject({
        code: "NOT_FOUND",
        reason: "JOB_NOT_FOUND",
        domain: "drover.dev",
      });
    },
  );

  test("JobService/Watch is NOT_FOUND", async () => {
    const watch = stranger.stream("JobService/Watch", { id: "t~unknown" });
    const refused = new Promise((resolve) =>
      watch.on("error", (error) => resolve(refusalOf(error as never))),
    );
    watch.on("data", () => undefined);
    expect(await refused).toMatchObject({ code: "NOT_FOUND", reason: "JOB_NOT_FOUND" });
  });
});

describe("items of a batch are judged one by one", () => {
  test("malformed tokens and outcomes", async () => {
    const { results } = await stranger.call("WorkerService/Ack", {
      outcomes: [
        { token: "x", success: {} },
        { token: "\u0000.=", release: {} },
        { token: "x.y" },
        { success: {} },
      ],
    });
    expect((results as Message[]).map(({ error }) => (error as Message).reason)).toEqual([
      "INVALID_TOKEN",
      "INVALID_TOKEN",
      "INVALID_ARGUMENT",
      "INVALID_ARGUMENT",
    ]);
  });

  test("malformed extensions", async () => {
    const { results } = await stranger.call("WorkerService/Extend", {
      leases: [
        { token: "x" },
        { token: "x", duration: { seconds: 2 * day } },
        { token: "" },
        { token: "x", progress: { detail: Buffer.alloc(5_000) } },
      ],
    });
    expect((results as Message[]).map(({ error }) => (error as Message).reason)).toEqual([
      "INVALID_TOKEN",
      "INVALID_ARGUMENT",
      "INVALID_ARGUMENT",
      "INVALID_ARGUMENT",
    ]);
  });
});

describe("bytes that are no message", () => {
  const garbage = Buffer.from([0xff, 0xff, 0xff, 0x07, 0x00, 0x01]);

  test.each(methods.filter(({ responseStream }) => !responseStream).map(({ name }) => name))(
    "to %s",
    async (method) => {
      const error = await stranger.send(method, garbage).catch((error) => error);
      expect(refusalOf(error)).toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "INVALID_ARGUMENT",
        fields: ["message"],
      });
    },
  );

  test("a message above 4 MiB", async () => {
    const error = await stranger
      .send("JobService/Submit", Buffer.alloc(4 * 1_024 * 1_024 + 1))
      .catch((error) => error);
    expect(refusalOf(error)).toMatchObject({ code: "INVALID_ARGUMENT", fields: ["message"] });
    expect(refusalOf(error).message).toContain("the limit is 4194304: send less at once");
  });

  test("another protocol", async () => {
    for (const bytes of [
      "GET / HTTP/1.1\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0001garbage",
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(broker.grpcPort, "127.0.0.1", () => socket.write(bytes));
        socket.on("data", () => undefined);
        socket.on("error", () => undefined);
        socket.on("close", () => resolve());
        setTimeout(() => socket.destroy(), 200);
      });
    }
  });
});

describe("in a session", () => {
  const attach = {
    attach: { worker: "w", instance: "i", tasks: [{ task: "never" }], credit: { jobs: 1 } },
  };

  test.each<[string, (Message | Buffer)[], string[]]>([
    ["garbage first", [Buffer.from([0xff, 0xff])], ["message"]],
    ["garbage after the attach", [attach, Buffer.from([0xff, 0xff])], ["message"]],
    ["an empty message", [{}], ["message"]],
    ["another message first", [{ pong: {} }], ["message"]],
    ["attach twice", [attach, attach], ["attach"]],
    ["a worker without tasks", [{ attach: { worker: "w", instance: "i" } }], ["attach.tasks"]],
    ["a worker without a name", [{ attach: { instance: "i", tasks: [{ task: "t" }] } }], ["attach.worker"]],
    ["credit for 10,001 jobs", [attach, { credit: { jobs: 10_001 } }], ["credit.jobs"]],
    ["no outcomes", [attach, { outcomes: {} }], ["outcomes.outcomes"]],
    [
      "an outcome of no lease",
      [attach, { outcomes: { outcomes: [{ success: {} }] } }],
      ["outcomes.outcomes[0]"],
    ],
    [
      "progress too large",
      [attach, { progress: { reports: [{ leaseId: 1, progress: { detail: Buffer.alloc(5_000) } }] } }],
      ["progress.reports[0].progress.detail"],
    ],
  ])("%s ends the stream", async (_, said, fields) => {
    const work = stranger.work();
    for (const message of said) work.say(message);
    expect(await work.ended).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_ARGUMENT", fields });
  });

  test("and no other", async () => {
    const other = stranger.work().attach();
    await other.hear("attached");
    const work = stranger.work().attach();
    await work.hear("attached");
    work.say(Buffer.from([0xff]));
    await work.ended;
    other.stream.end();
    expect(await other.ended).toMatchObject({ code: "OK" });
  });

  test("who says nothing for 10 s is not waited for", async () => {
    const started = Date.now();
    expect(await stranger.work().ended).toMatchObject({ code: "INVALID_ARGUMENT", fields: ["attach"] });
    expect(Date.now() - started).toBeGreaterThan(9_000);
  });
});

describe("callers that vanish", () => {
  test("in the middle of a long poll, a watch, a lease and a session", async () => {
    const { id } = await stranger.call("JobService/Submit", { job: { task: "never" } });
    const wire = await Wire.to(broker.grpcPort);
    const gone = new Stranger(wire.address);
    for (let round = 0; round < 5; round++) {
      const watch = gone.stream("JobService/Watch", { id }).on("error", () => undefined);
      const watching = new Promise((resolve) => watch.once("data", resolve));
      const work = gone.work().attach({ tasks: [{ task: "none" }] });
      const calls = Promise.allSettled([
        gone.call("JobService/Wait", { ids: [id], timeout: { seconds: 60 } }),
        gone.call("WorkerService/Lease", { ...leased, wait: { seconds: 60 } }),
      ]);
      await Promise.all([watching, work.hear("attached")]);
      wire.cut();
      expect(await calls).toMatchObject([{ status: "rejected" }, { status: "rejected" }]);
      await work.ended;
    }
    gone.close();
    await wire.close();
  });

  test("in the middle of a message", async () => {
    const session = connectHttp2(`http://${broker.address}`);
    session.on("error", () => undefined);
    for (let i = 0; i < 20; i++) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/drover.v1.WorkerService/Work",
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", () => undefined);
      // Announces 100 bytes, sends two.
      stream.write(Buffer.from([0, 0, 0, 0, 100, 1, 2]));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    session.destroy();
  });

  test("a job that was leased for them waits again", async () => {
    await stranger.call("JobService/Submit", { job: { task: "given.back" } });
    const wire = await Wire.to(broker.grpcPort);
    const gone = new Stranger(wire.address);
    await gone
      .work()
      .attach({ tasks: [{ task: "given.back" }] })
      .hear("leases");
    await wire.close();
    const { leases } = await stranger.call("WorkerService/Lease", { worker: "w", tasks: ["given.back"] });
    expect(leases).toMatchObject([{ attempt: 2 }]);
    gone.close();
  });
});

test("another namespace is not found, whatever is asked", async () => {
  for (const method of ["JobService/Status", "QueueService/Get", "InspectService/Workers"]) {
    expect(await stranger.refused(method, {}, { "drover-namespace": "other" })).toMatchObject({
      code: "NOT_FOUND",
      reason: "NAMESPACE_NOT_FOUND",
    });
  }
  await stranger.call("JobService/Submit", job({}), { metadata: { "drover-namespace": "default" } });
});
