import { describe, expect, test } from "vitest";
import { explain, type Facts, type ObstacleKind } from "../../../broker/src/core/explain.js";
import { intervalOf, type Rate } from "../../../broker/src/core/rate.js";

const now = Date.UTC(2026, 10, 25);
const minute = 60_000;
const task = { kind: "task", name: "mail" } as const;
const queue = { kind: "queue", name: "bulk" } as const;

const free: Facts = {
  id: "mail~1",
  state: "READY",
  task: "mail",
  queue: "bulk",
  now,
  dueAt: 0,
  startBy: 0,
  paused: false,
  workers: { serving: 2, free: 1 },
  ahead: { all: 0, ofTask: 0 },
  rates: [],
  concurrency: [],
  place: undefined,
  parents: [],
};

const perMinute: Rate = { count: 10, period: minute, burst: 1 };
const interval = intervalOf(perMinute);
const usedUp = { limit: task, rate: perMinute, book: { fullAt: now + interval, interval } };

describe("what stands in the way of a job", () => {
  test.each<[string, Partial<Facts>, ObstacleKind[], earliest: number | undefined]>([
    ["nothing: it can start now", {}, [], now],
    ["its queue is paused: nobody knows for how long", { paused: true }, ["QUEUE_PAUSED"], undefined],
    ["no worker serves it", { workers: { serving: 0, free: 0 } }, ["NO_WORKER"], undefined],
    ["workers serve it, and are full", { workers: { serving: 2, free: 0 } }, ["WORKERS_BUSY"], undefined],
    ["others come before it", { ahead: { all: 3, ofTask: 1 } }, ["BEHIND_OTHERS"], undefined],
    [
      "its due time: that it can start then",
      { state: "SCHEDULED", dueAt: now + minute },
      ["NOT_DUE"],
      now + minute,
    ],
    [
      "the wait before a retry",
      { state: "RETRYING", dueAt: now + 5_000, workers: { serving: 1, free: 0 } },
      ["NOT_DUE"],
      now + 5_000,
    ],
    ["a due time that has come does not", { state: "SCHEDULED", dueAt: now }, [], now],
    ["a rate without a token left", { rates: [usedUp] }, ["RATE_LIMIT"], now + interval],
    [
      "a rate with a token left does not",
      { rates: [{ ...usedUp, book: { fullAt: now, interval } }] },
      [],
      now,
    ],
    [
      "a rate that others of its task will use up before it",
      { rates: [usedUp], ahead: { all: 7, ofTask: 2 } },
      ["RATE_LIMIT", "BEHIND_OTHERS"],
      now + 3 * interval,
    ],
    [
      "the rate of a queue that all before it will use up",
      { rates: [{ ...usedUp, limit: queue }], ahead: { all: 7, ofTask: 2 } },
      ["RATE_LIMIT", "BEHIND_OTHERS"],
      now + 8 * interval,
    ],
    [
      "a burst lets it through at once",
      { rates: [{ ...usedUp, rate: { ...perMinute, burst: 5 } }], ahead: { all: 3, ofTask: 3 } },
      ["BEHIND_OTHERS"],
      undefined,
    ],
    [
      "a number running at a time that is reached",
      { concurrency: [{ limit: queue, most: 4, running: 4 }] },
      ["CONCURRENCY_LIMIT"],
      undefined,
    ],
    [
      "a number running at a time that is not",
      { concurrency: [{ limit: queue, most: 4, running: 3 }] },
      [],
      now,
    ],
    [
      "its concurrency key",
      { state: "BLOCKED", place: { key: "acme", most: 1, running: 1, before: 4 } },
      ["CONCURRENCY_KEY"],
      undefined,
    ],
    ["members of its flow", { state: "BLOCKED", parents: ["a~1", "a~2"] }, ["DEPENDENCIES"], undefined],
    [
      "all of it at once, what people have to mend first",
      {
        paused: true,
        ahead: { all: 1, ofTask: 1 },
        rates: [usedUp],
        workers: { serving: 0, free: 0 },
        concurrency: [{ limit: task, most: 1, running: 2 }],
      },
      ["QUEUE_PAUSED", "NO_WORKER", "CONCURRENCY_LIMIT", "RATE_LIMIT", "BEHIND_OTHERS"],
      undefined,
    ],
    [
      "the later of a due time and a rate",
      { state: "SCHEDULED", dueAt: now + minute, rates: [usedUp] },
      ["NOT_DUE", "RATE_LIMIT"],
      now + minute,
    ],
  ])("%s", (_, facts, kinds, earliest) => {
    const { obstacles, earliestStart, summary } = explain({ ...free, ...facts });
    expect(obstacles.map(({ kind }) => kind)).toEqual(kinds);
    expect(earliestStart).toBe(earliest);
    for (const { detail } of obstacles) expect(summary).toContain(detail);
  });

  test("is said with what it is about", () => {
    const { obstacles } = explain({
      ...free,
      ahead: { all: 3, ofTask: 1 },
      rates: [usedUp],
      place: { key: "acme", most: 1, running: 1, before: 4 },
      parents: Array.from({ length: 150 }, (_, i) => `a~${i}`),
    });
    expect(obstacles).toMatchObject([
      { kind: "DEPENDENCIES", count: 150 },
      { kind: "CONCURRENCY_KEY", subject: "acme", count: 4 },
      { kind: "RATE_LIMIT", subject: "task mail", until: now + 2 * interval },
      { kind: "BEHIND_OTHERS", subject: "bulk", count: 3 },
    ]);
    expect(obstacles[0]?.jobs).toHaveLength(100);
  });

  test.each(["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] as const)("is nothing once it is %s", (state) => {
    const { obstacles, earliestStart } = explain({ ...free, state, paused: true });
    expect(obstacles).toEqual([]);
    expect(earliestStart).toBeUndefined();
  });

  test("a job that is wanted no more by then is told so", () => {
    const late = { state: "SCHEDULED", dueAt: now + minute, startBy: now + 1_000 } as const;
    expect(explain({ ...free, ...late }).summary).toContain("it will not start");
  });
});
