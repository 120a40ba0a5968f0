// What becomes of firings, on schedules kept in this file: which are dealt with, which are acknowledged, and when.

import { beforeEach, describe, expect, test } from "vitest";
import { Firings } from "../../../broker/src/app/firings.js";
import type { FiringTicket, KnownSchedule, ScheduleRecord } from "../../../broker/src/app/schedule-ports.js";
import type { FiredAs } from "../../../broker/src/app/telemetry.js";
import { Refusal } from "../../../broker/src/core/errors.js";
import type { Spec } from "../../../broker/src/core/job.js";
import { noRoutes } from "../../../broker/src/core/routes.js";
import type { Schedule } from "../../../broker/src/core/schedule.js";
import { quiet } from "../../support/quiet-log.js";
import { now } from "../../support/stored-jobs.js";

const second = 1_000;
const everySecond: Schedule = {
  name: "beat",
  interval: second,
  timeZone: "",
  job: { task: "beat", key: "", labels: {}, headers: {} },
  overlap: "allow",
  misfire: "once",
  maxCatchUp: 0,
  paused: false,
  description: "",
};

let kept: Map<string, { record: ScheduleRecord; seq: number }>;
let submitted: string[];
let acked: string[];
let time: number;
let submitting: () => Refusal | undefined;
let storing: (specs: readonly Spec[]) => Promise<void>;
let hasSettled: () => unknown;
let firings: Firings;
/** Planned times, by what became of them. */
let told: Partial<Record<FiredAs, number>>;
let overdue: number | undefined;

beforeEach(() => {
  kept = new Map();
  submitted = [];
  acked = [];
  time = now;
  submitting = () => undefined;
  storing = async () => undefined;
  told = {};
  overdue = undefined;
  firings = new Firings({
    schedules: {
      read: async (names) =>
        names.map((name): KnownSchedule => kept.get(name) ?? { record: undefined, seq: 0 }),
      names: async () => [...kept.keys()].sort(),
      write: async (changes) => {
        if (changes.some(({ name, seq }) => kept.get(name)?.seq !== seq)) return false;
        for (const { name, record, seq } of changes) {
          if (record === undefined) kept.delete(name);
          else kept.set(name, { record, seq: seq + 1 });
        }
        return true;
      },
    },
    jobs: { read: async () => [] },
    submit: {
      submit: async (specs: readonly Spec[]) => {
        await storing(specs);
        return specs.map(answer);
      },
    },
    cancel: { cancel: async () => Promise.reject(new Error("nothing is to be cancelled here")) },
    peers: {
      self: "a",
      all: () => ["a"],
      ask: async () => ({ answers: [], silent: 0 }),
      answer(_: string, handler: (body: unknown) => unknown) {
        hasSettled = () => handler({});
      },
      tell() {},
      hear() {},
    },
    clock: { now: () => time },
    routes: noRoutes,
    read: () => everySecond,
    randomBytes: (n) => new Uint8Array(n),
    log: quiet,
    telemetry: {
      fired: (outcome, count) => {
        told[outcome] = (told[outcome] ?? 0) + count;
      },
      schedulesOverdue: (count) => {
        overdue = count;
      },
    },
  });
  keep("beat", now);
});

function answer(spec: Spec) {
  const refusal = submitting();
  if (refusal === undefined) submitted.push(spec.key);
  return refusal ?? { ref: { task: spec.task, key: spec.key }, deduplicated: false, state: "READY" as const };
}

function keep(name: string, nextAt: number, seq = 1): void {
  const record = {
    name,
    owner: "",
    createdAt: 0,
    changedAt: 0,
    declaredAt: now - 60 * second,
    declared: new Uint8Array(0),
    paused: false,
    lastAt: nextAt - second,
    nextAt,
    lastTask: "",
    lastKey: "",
    firings: [],
    nonce: "",
  };
  kept.set(name, { record, seq });
}

const alarm = (plannedAt: number, label: string, name = "beat"): FiringTicket => ({
  name,
  plannedAt,
  ack: () => acked.push(label),
});

const timesRun = () => submitted.map((key) => key.slice("beat.".length));
const stamp = (at: number) => new Date(at).toISOString().replaceAll(/[-:]/g, "").replace(".000Z", "Z");

test("a firing submits its time, and is acknowledged once the record has moved on", async () => {
  await firings.look([alarm(now, "it")]);
  expect(timesRun()).toEqual([stamp(now)]);
  expect(kept.get("beat")).toMatchObject({ seq: 2, record: { lastAt: now, nextAt: now + second } });
  expect(acked).toEqual(["it"]);
});

describe("firings of one schedule that come together, those of a dead broker beside one that fired since", () => {
  const earlier = () => alarm(now - second, "earlier");
  const awaited = () => alarm(now, "awaited");
  test.each([
    ["the older one first", () => [earlier(), awaited()]],
    ["the older one last", () => [awaited(), earlier()]],
    ["the older one on both sides", () => [earlier(), awaited(), earlier()]],
  ])("the one that the record waits for is dealt with: %s", async (_, tickets) => {
    const given = tickets();
    await firings.look(given);
    expect(timesRun()).toEqual([stamp(now)]);
    expect(kept.get("beat")?.record.nextAt).toBe(now + second);
    expect(acked).toHaveLength(given.length);
  });

  test("the same one twice gives one job, and both are acknowledged", async () => {
    await firings.look([alarm(now, "first"), alarm(now, "again")]);
    expect(timesRun()).toEqual([stamp(now)]);
    expect(acked.sort()).toEqual(["again", "first"]);
  });
});

describe("what could not be dealt with is not acknowledged, so that it comes again", () => {
  test("a job that the store did not take", async () => {
    submitting = () => new Refusal("STORAGE_FULL", "no room");
    await firings.look([alarm(now, "first"), alarm(now, "again")]);
    expect(acked).toEqual([]);
    expect(kept.get("beat")).toMatchObject({ seq: 1 });
  });

  test("one schedule's job holds no other schedule up", async () => {
    keep("other", now);
    let n = 0;
    submitting = () => (n++ === 0 ? new Refusal("STORE_UNAVAILABLE", "away") : undefined);
    await firings.look([alarm(now, "beat"), alarm(now, "other", "other")]);
    expect(acked).toEqual(["other"]);
  });
});

test("a job refused for good is told of in the history, and the schedule goes on", async () => {
  submitting = () => new Refusal("INVALID_ARGUMENT", "payload: is too large");
  await firings.look([alarm(now, "it")]);
  expect(kept.get("beat")?.record).toMatchObject({
    nextAt: now + second,
    firings: [{ outcome: 5, plannedAt: now, detail: "payload: is too large" }],
  });
  expect(acked).toEqual(["it"]);
});

test.each([
  ["removed", () => kept.delete("beat")],
  ["changed", () => keep("beat", now + 5 * second)],
])("an alarm of a schedule that was %s since is acknowledged, and does nothing", async (_, change) => {
  change();
  await firings.look([alarm(now, "it")]);
  expect(submitted).toEqual([]);
  expect(acked).toEqual(["it"]);
});

test("a schedule whose alarm is half a minute late is dealt with unasked, and its times run", async () => {
  time = now + 31 * second;
  await firings.lookForStuck();
  expect(timesRun().at(-1)).toBe(stamp(time));
  expect(kept.get("beat")?.record.nextAt).toBe(time + second);
});

test("one whose alarm is not that late yet is left to its alarm", async () => {
  time = now + 29 * second;
  await firings.lookForStuck();
  expect(submitted).toEqual([]);
});

describe("metrics are told of each planned time once it is dealt with", () => {
  test("one that gave a job, and one whose job may not be", async () => {
    await firings.look([alarm(now, "it")]);
    submitting = () => new Refusal("INVALID_ARGUMENT", "payload: is too large");
    await firings.look([alarm(now + second, "next")]);
    expect(told).toEqual({ submitted: 1, refused: 1 });
  });

  test("those for which nobody was there in time", async () => {
    time = now + 40 * second;
    await firings.look([alarm(now, "it")]);
    expect(told.misfire).toBeGreaterThan(0);
    expect((told.misfire ?? 0) + (told.submitted ?? 0)).toBe(41);
  });

  test("not by the broker that another one was faster than", async () => {
    submitting = () => {
      keep("beat", now + second, 2);
      return undefined;
    };
    await firings.look([alarm(now, "it")]);
    expect(told).toEqual({});
  });

  test("and of how many are overdue, also when there are none any more", async () => {
    time = now + 31 * second;
    submitting = () => new Refusal("STORAGE_FULL", "no room");
    await firings.lookForStuck();
    expect(overdue).toBe(1);
    submitting = () => undefined;
    await firings.lookForStuck();
    await firings.lookForStuck();
    expect(overdue).toBe(0);
  });
});

test("a broker has settled when all is dealt with that it was at, not the latest alone", async () => {
  keep("other", now);
  let stored: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => {
    stored = resolve;
  });
  storing = async ([spec]) => (spec?.key.startsWith("beat.") ? slow : undefined);
  const first = firings.look([alarm(now, "beat")]);
  await firings.look([alarm(now, "other", "other")]);
  let settled = false;
  const answered = Promise.resolve(hasSettled()).then(() => {
    settled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect([acked, settled]).toEqual([["other"], false]);
  stored();
  await Promise.all([first, answered]);
  expect(acked).toEqual(["other", "beat"]);
});
