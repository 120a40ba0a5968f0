// What a broker is asked by mistake: refused with a reason and the fields to mend, and the broker unharmed.

import { describe, expect, test } from "vitest";
import { type Message, methods } from "../support/stranger.js";
import { unharmedBroker } from "../support/unharmed-broker.js";
import { flow, invalid as flows, member } from "./invalid-requests/flow.js";
import { invalid as inspections } from "./invalid-requests/inspect.js";
import { job, invalid as jobs } from "./invalid-requests/job.js";
import { limits, invalid as queues, routes } from "./invalid-requests/queue.js";
import { day, many } from "./invalid-requests/rows.js";
import { put, invalid as schedules } from "./invalid-requests/schedule.js";
import { invalid as workers } from "./invalid-requests/worker.js";

const tested = unharmedBroker();

const rows = [jobs, flows, schedules, workers, queues, inspections].flatMap((service) =>
  Object.entries(service).flatMap(([method, requests]) => requests.map((row) => [method, ...row] as const)),
);

describe("is INVALID_ARGUMENT with the fields to mend", () => {
  test.each(rows)("%s: %s", async (method, _, request, fields) => {
    expect(await tested.stranger.refused(method, request)).toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "INVALID_ARGUMENT",
      domain: "drover.dev",
      fields,
    });
  });

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
    expect((await tested.stranger.refused(method, request)).message).toContain(said);
  });

  test("every method that takes something to check is among them", () => {
    const takesNothing = [
      "QueueService/List",
      "QueueService/ListRoutes",
      "InspectService/Workers",
      "InspectService/Registered",
      "InspectService/ServerInfo",
    ];
    // What is wrong with those is in workers.test.ts and call-stream.test.ts.
    const streams = ["WorkerService/Work", "JobService/Call"];
    const covered = new Set([...rows.map(([method]) => method), ...takesNothing, ...streams]);
    expect(methods.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
  });
});

describe("a job that nobody knows", () => {
  test.each([
    "JobService/Status",
    "JobService/Cancel",
    "JobService/Redrive",
    "JobService/Explain",
    "JobService/Watch",
  ])("%s is NOT_FOUND", async (method) => {
    expect(await tested.stranger.refused(method, { id: "t~unknown" })).toMatchObject({
      code: "NOT_FOUND",
      reason: "JOB_NOT_FOUND",
      domain: "drover.dev",
    });
  });
});

describe("items of a batch are judged one by one", () => {
  test("malformed tokens and outcomes", async () => {
    const { results } = await tested.stranger.call("WorkerService/Ack", {
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
    const { results } = await tested.stranger.call("WorkerService/Extend", {
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

test("another namespace is not found, whatever is asked", async () => {
  for (const method of ["JobService/Status", "QueueService/Get", "InspectService/Workers"]) {
    expect(await tested.stranger.refused(method, {}, { "drover-namespace": "other" })).toMatchObject({
      code: "NOT_FOUND",
      reason: "NAMESPACE_NOT_FOUND",
    });
  }
  await tested.stranger.call("JobService/Submit", job({}), { metadata: { "drover-namespace": "default" } });
});
