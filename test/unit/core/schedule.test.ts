// When a schedule submits: its planned times, what becomes of those that nobody dealt with, and what may be declared.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Checks } from "../../../broker/src/core/check.js";
import { times as allTimes } from "../../../broker/src/core/limits.js";
import { noRoutes } from "../../../broker/src/core/routes.js";
import {
  checkSchedule,
  dueOf,
  hasSameRule,
  keyOfTime,
  Plan,
  planOf,
  type Schedule,
} from "../../../broker/src/core/schedule.js";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const noon = Date.parse("2027-01-01T12:00:00Z");
const grace = allTimes.misfireGrace;

function scheduleOf(fields: Partial<Schedule> = {}): Schedule {
  return {
    name: "s",
    timeZone: "",
    job: { task: "t", key: "", labels: {}, headers: {} },
    overlap: "allow",
    misfire: "once",
    maxCatchUp: 0,
    paused: false,
    description: "",
    ...(fields.cron === undefined ? { interval: minute } : {}),
    ...fields,
  };
}

/** The planned times after noon, as seconds from noon. */
function times(fields: Partial<Schedule>, declaredAt = noon, count = 3): number[] {
  const plan = planOf(scheduleOf(fields), declaredAt);
  return plan.between(noon, Number.POSITIVE_INFINITY, count).map((time) => (time - noon) / second);
}

describe("the planned times", () => {
  test.each<[what: string, fields: Partial<Schedule>, declaredAt: number, expected: number[]]>([
    ["of an interval come after one of it, and on", { interval: minute }, noon, [60, 120, 180]],
    ["of an interval count from whole seconds", { interval: minute }, noon + 900, [60, 120, 180]],
    ["of an interval go on from its declaration", { interval: minute }, noon - 90 * second, [30, 90, 150]],
    [
      "of an interval begin with its start",
      { interval: minute, startAt: noon + 500 },
      noon,
      [0.5, 60.5, 120.5],
    ],
    [
      "of a start in the past keep its beat",
      { interval: minute, startAt: noon - 10 * second },
      noon,
      [50, 110, 170],
    ],
    ["of an interval end before its end", { interval: minute, endAt: noon + 2 * minute }, noon, [60]],
    ["of a rule that is over are none", { interval: minute, endAt: noon }, noon - hour, []],
    ["of cron stand in its text", { cron: "*/10 * * * * *" }, noon, [10, 20, 30]],
    [
      "of cron begin at its start, that included",
      { cron: "0 * * * *", startAt: noon + hour },
      noon,
      [3_600, 7_200, 10_800],
    ],
    ["of cron end before its end", { cron: "* * * * *", endAt: noon + minute + 1 }, noon, [60]],
    [
      "of cron are those of its zone",
      { cron: "0 14 * * *", timeZone: "Europe/Berlin" },
      noon,
      [3_600, 90_000, 176_400],
    ],
  ])("%s", (_what, fields, declaredAt, expected) => {
    expect(times(fields, declaredAt)).toEqual(expected);
  });

  test("of any interval rise by it, wherever one looks from", () => {
    const intervals = fc.integer({ min: second, max: 40 * day });
    const moments = fc.integer({ min: noon - 400 * day, max: noon + 400 * day });
    fc.assert(
      fc.property(intervals, moments, moments, (interval, declaredAt, after) => {
        const plan = planOf(scheduleOf({ interval }), declaredAt);
        const first = plan.next(after) ?? Number.NaN;
        expect(first).toBeGreaterThan(after);
        expect(plan.next(first)).toBe(first + interval);
        // None is left out between: the one before is not after that moment, or the rule did not exist.
        expect(first - interval <= after || first - interval <= declaredAt).toBe(true);
      }),
    );
  });
});

/** A rule of every minute, dealt with last at noon, looked at `now` seconds after. Times are told in minutes. */
function due(now: number, fields: Partial<Schedule> = {}) {
  const schedule = scheduleOf(fields);
  const found = dueOf(planOf(schedule, noon), schedule, noon, noon + now * second, grace);
  const minutes = (time: number) => (time === 0 ? 0 : (time - noon) / minute);
  return {
    run: found.run.map(minutes),
    missed: found.missed,
    lastMissed: minutes(found.lastMissed),
    next: minutes(found.next),
  };
}

describe("what is due", () => {
  test.each<[what: string, now: number, fields: Partial<Schedule>, expected: ReturnType<typeof due>]>([
    ["before its time: nothing", 59, {}, { run: [], missed: 0, lastMissed: 0, next: 1 }],
    ["at its time: that", 60, {}, { run: [1], missed: 0, lastMissed: 0, next: 2 }],
    [
      "late, within the grace: that all the same",
      89,
      { misfire: "skip" },
      { run: [1], missed: 0, lastMissed: 0, next: 2 },
    ],
    [
      "at the end of the grace: missed",
      90,
      { misfire: "skip" },
      { run: [], missed: 1, lastMissed: 1, next: 2 },
    ],
    [
      "once, after five: the last missed, and what is late",
      310,
      {},
      { run: [4, 5], missed: 3, lastMissed: 3, next: 6 },
    ],
    [
      "skip, after five: what is late",
      310,
      { misfire: "skip" },
      { run: [5], missed: 4, lastMissed: 4, next: 6 },
    ],
    [
      "catch up to two, after five",
      340,
      { misfire: "catch-up", maxCatchUp: 2 },
      { run: [4, 5], missed: 3, lastMissed: 3, next: 6 },
    ],
    [
      "catch up to more than there were",
      340,
      { misfire: "catch-up", maxCatchUp: 9 },
      { run: [1, 2, 3, 4, 5], missed: 0, lastMissed: 0, next: 6 },
    ],
    [
      "catch up without a number: to ten",
      20 * 60 + 40,
      { misfire: "catch-up" },
      { run: [11, 12, 13, 14, 15, 16, 17, 18, 19, 20], missed: 10, lastMissed: 10, next: 21 },
    ],
    [
      "after its end: what came before it, and never again",
      340,
      { misfire: "catch-up", endAt: noon + 3 * minute },
      { run: [1, 2], missed: 0, lastMissed: 0, next: 0 },
    ],
  ])("%s", (_what, now, fields, expected) => {
    expect(due(now, fields)).toEqual(expected);
  });

  test("after a year of every second is found without walking through it", () => {
    const schedule = scheduleOf({ interval: second, misfire: "catch-up", maxCatchUp: 1_000 });
    const plan = planOf(schedule, noon);
    let walked = 0;
    const counted = new Plan(plan.rule, plan.startAt, plan.endAt);
    const next = counted.next.bind(counted);
    counted.next = (after) => {
      walked += 1;
      return next(after);
    };
    const { run } = dueOf(counted, schedule, noon, noon + 365 * day, grace);
    expect([run.length, run.at(-1)]).toEqual([1_000 + grace / second, noon + 365 * day]);
    expect(walked).toBeLessThan(20_000);
  });

  test("gives each time to exactly one of two looks, wherever the first one fell", () => {
    const schedule = scheduleOf({ interval: 7 * second, misfire: "catch-up", maxCatchUp: 1_000 });
    const plan = planOf(schedule, noon);
    const whole = plan.between(noon, noon + hour, Number.POSITIVE_INFINITY);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: hour }), (cut) => {
        const first = dueOf(plan, schedule, noon, noon + cut, grace);
        const then = dueOf(plan, schedule, first.handled, noon + hour, grace);
        expect([...first.run, ...then.run]).toEqual(whole);
      }),
    );
  });
});

test.each([
  ["2027-01-01T12:00:00Z", "nightly.20270101T120000Z"],
  ["2027-01-01T12:00:00.500Z", "nightly.20270101T120000.500Z"],
])("the job of %s is %s, whoever submits it", (time, key) => {
  expect(keyOfTime("nightly", Date.parse(time))).toBe(key);
});

describe("a rule is the same", () => {
  const rule = scheduleOf({ cron: "0 3 * * *", timeZone: "UTC" });
  test.each<[what: string, other: Partial<Schedule>, same: boolean]>([
    ["whatever job it has", { job: undefined, description: "other", misfire: "skip" }, true],
    ["not with another text", { cron: "0 4 * * *" }, false],
    ["not in another zone", { timeZone: "Europe/Berlin" }, false],
    ["not with an end", { endAt: noon }, false],
  ])("%s", (_what, other, same) => {
    expect(hasSameRule(rule, { ...rule, ...other })).toBe(same);
  });
});

/** Field and complaint of everything that is wrong with it. */
function wrong(fields: Partial<Schedule>, jobIsRequired = true): string[] {
  const checks = new Checks();
  const { interval, ...rest } = scheduleOf(fields);
  checkSchedule(checks, "schedules[3].", { ...rest, interval, ...fields }, noon, noRoutes, jobIsRequired);
  return checks.violations.map(({ field, description }) => `${field}: ${description}`);
}

describe("a declaration names what is wrong with it", () => {
  const job = { task: "t", key: "", labels: {}, headers: {} };
  test.each<[what: string, fields: Partial<Schedule>, expected: RegExp]>([
    ["a name with a space", { name: "a b" }, /^schedules\[3\]\.name: /],
    ["a name that leaves no room for a time", { name: "n".repeat(101) }, /name: .*100/],
    ["no rule", { interval: undefined }, /\.rule: is required: cron or interval/],
    ["30 February", { cron: "0 0 30 2 *" }, /\.cron: .*never/],
    ["too few fields", { cron: "* * *" }, /\.cron: /],
    ["an interval under a second", { interval: 999 }, /\.interval: .*1 s/],
    ["an interval over a year", { interval: 366 * day }, /\.interval: /],
    ["a zone for an interval", { timeZone: "UTC" }, /\.time_zone: goes with cron/],
    [
      "a zone that is none",
      { cron: "@daily", timeZone: "Mars/Olympus" },
      /\.time_zone: "Mars\/Olympus" is no IANA/,
    ],
    ["an end before its start", { startAt: noon, endAt: noon }, /\.end_at: is not after start_at/],
    ["a time that was not understood", { startAt: Number.NaN }, /\.start_at: is not a valid timestamp/],
    ["a jitter over an hour", { jitter: hour + 1 }, /\.jitter: /],
    ["a catch-up over a thousand", { maxCatchUp: 1_001 }, /\.max_catch_up: is 1001/],
    ["a long description", { description: "d".repeat(1_025) }, /\.description: /],
    ["no job", { job: undefined }, /\.job: is required/],
    ["a key for its jobs", { job: { ...job, key: "k" } }, /\.job\.key: must be empty/],
    ["one time for all of its jobs", { job: { ...job, runAt: noon } }, /\.job\.run_at: is one moment/],
    ["one expiry for all of its jobs", { job: { ...job, startBy: noon } }, /\.job\.start_by: is one moment/],
    ["a job without a task", { job: { ...job, task: "" } }, /\.job\.task: /],
  ])("%s", (_what, fields, expected) => {
    const found = wrong(fields);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  test("and all of it at once", () => {
    expect(wrong({ name: "", interval: 1, jitter: -1, job: undefined })).toHaveLength(4);
  });

  test("and nothing where all is well, with a job or, for a preview, without", () => {
    expect(
      wrong({ cron: "@hourly", timeZone: "America/New_York", jitter: minute, maxCatchUp: 1_000 }),
    ).toEqual([]);
    expect(wrong({ job: undefined }, false)).toEqual([]);
  });
});
