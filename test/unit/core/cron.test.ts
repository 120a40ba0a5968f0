// The text of cron rules, and the walk from one planned time to the next.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Cron, nextTime, parseCron } from "../../../broker/src/core/cron.js";
import { Zone, zoneOf } from "../../../broker/src/core/zone.js";

function rule(text: string): Cron {
  const cron = parseCron(text);
  if ("problem" in cron) throw new Error(cron.problem);
  return cron;
}

function next(text: string, zone: string, after: string, count: number): string[] {
  const [cron, where] = [rule(text), zoneOf(zone)];
  const times: string[] = [];
  for (let time = nextTime(cron, where, Date.parse(after)); time !== undefined && times.length < count; ) {
    times.push(new Date(time).toISOString().replace(".000Z", "Z"));
    time = nextTime(cron, where, time);
  }
  return times;
}

describe("a rule's planned times", () => {
  test.each<[text: string, after: string, times: string[]]>([
    ["*/15 * * * *", "2027-01-01T00:00:00Z", ["2027-01-01T00:15:00Z", "2027-01-01T00:30:00Z"]],
    ["*/20 * * * * *", "2027-01-01T00:00:30Z", ["2027-01-01T00:00:40Z", "2027-01-01T00:01:00Z"]],
    ["30 9 * * MON-FRI", "2027-01-01T09:30:00Z", ["2027-01-04T09:30:00Z", "2027-01-05T09:30:00Z"]],
    ["0 0 29 2 *", "2027-01-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]],
    ["0 0 29 feb ?", "2096-03-01T00:00:00Z", ["2104-02-29T00:00:00Z"]],
    ["0 0 31 * *", "2027-01-31T00:00:00Z", ["2027-03-31T00:00:00Z", "2027-05-31T00:00:00Z"]],
    ["0 12 1,15 * *", "2027-01-02T00:00:00Z", ["2027-01-15T12:00:00Z", "2027-02-01T12:00:00Z"]],
    ["5/20 8-9 * * *", "2027-01-01T08:26:00Z", ["2027-01-01T08:45:00Z", "2027-01-01T09:05:00Z"]],
    ["0 0 * * 7", "2027-01-01T00:00:00Z", ["2027-01-03T00:00:00Z", "2027-01-10T00:00:00Z"]],
    ["@weekly", "2027-01-01T00:00:00Z", ["2027-01-03T00:00:00Z"]],
    ["@Daily", "2027-01-01T00:00:00Z", ["2027-01-02T00:00:00Z"]],
    ["@hourly", "2027-01-01T00:00:00.001Z", ["2027-01-01T01:00:00Z"]],
    ["@yearly", "2027-01-01T00:00:00Z", ["2028-01-01T00:00:00Z"]],
    ["59 59 23 31 12 *", "2027-12-31T23:59:58.999Z", ["2027-12-31T23:59:59Z", "2028-12-31T23:59:59Z"]],
  ])("%s after %s", (text, after, times) => {
    expect(next(text, "UTC", after, times.length)).toEqual(times);
  });

  test("day of month and day of week, both restricted, are either-or", () => {
    expect(next("0 0 13 * FRI", "", "2027-01-07T12:00:00Z", 4)).toEqual([
      "2027-01-08T00:00:00Z",
      "2027-01-13T00:00:00Z",
      "2027-01-15T00:00:00Z",
      "2027-01-22T00:00:00Z",
    ]);
  });
});

describe("where the clocks are put forward (Berlin, 28 March 2027, 02:00 to 03:00)", () => {
  test.each<[promise: string, text: string, after: string, times: string[]]>([
    [
      "a time that they leave out counts as what it would have been",
      "30 2 * * *",
      "2027-03-27T12:00:00Z",
      ["2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"],
    ],
    [
      "a time that is there as well is not run twice",
      "30 2,3 * * *",
      "2027-03-27T12:00:00Z",
      ["2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z", "2027-03-29T01:30:00Z"],
    ],
    [
      "an earlier one after the change comes first",
      "0,30 2,3 * * *",
      "2027-03-27T12:00:00Z",
      ["2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z", "2027-03-29T00:00:00Z"],
    ],
    [
      "a rule for every hour goes by the hours that pass",
      "30 * * * *",
      "2027-03-27T23:45:00Z",
      ["2027-03-28T00:30:00Z", "2027-03-28T01:30:00Z", "2027-03-28T02:30:00Z"],
    ],
  ])("%s", (_, text, after, times) => {
    expect(next(text, "Europe/Berlin", after, times.length)).toEqual(times);
  });
});

describe("where the clocks are put back (Berlin, 31 October 2027, 03:00 to 02:00)", () => {
  test.each<[promise: string, text: string, after: string, times: string[]]>([
    [
      "a time that they show twice counts once",
      "30 2 * * *",
      "2027-10-30T12:00:00Z",
      ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"],
    ],
    [
      "as do all of them",
      "*/30 2 * * *",
      "2027-10-30T12:00:00Z",
      ["2027-10-31T00:00:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:00:00Z"],
    ],
    [
      "a rule for every hour goes by the hours that pass",
      "0 * * * *",
      "2027-10-30T23:30:00Z",
      ["2027-10-31T00:00:00Z", "2027-10-31T01:00:00Z", "2027-10-31T02:00:00Z"],
    ],
    [
      "the hour after is as ever",
      "0 3 * * *",
      "2027-10-30T12:00:00Z",
      ["2027-10-31T02:00:00Z", "2027-11-01T02:00:00Z"],
    ],
  ])("%s", (_, text, after, times) => {
    expect(next(text, "Europe/Berlin", after, times.length)).toEqual(times);
  });
});

test("zones south of the equator, of half an hour and without changes", () => {
  expect(next("0 9 * * *", "Australia/Lord_Howe", "2027-04-03T12:00:00Z", 2)).toEqual([
    "2027-04-03T22:30:00Z",
    "2027-04-04T22:30:00Z",
  ]);
  expect(next("0 9 * * *", "Asia/Kolkata", "2027-04-03T12:00:00Z", 1)).toEqual(["2027-04-04T03:30:00Z"]);
  expect(next("0 9 * * *", "America/Sao_Paulo", "2027-04-03T12:30:00Z", 1)).toEqual(["2027-04-04T12:00:00Z"]);
});

describe("what is no rule is told why", () => {
  test.each([
    ["", "has 0 fields"],
    ["* * *", "has 3 fields"],
    ["* * * * * * *", "has 7 fields"],
    ["61 * * * *", 'minute: "61" is not 0 to 59'],
    ["* 24 * * *", 'hour: "24" is not 0 to 23'],
    ["* * 0 * *", 'day of month: "0" is not 1 to 31'],
    ["* * * foo *", 'month: "foo" is not 1 to 12 or jan to dec'],
    ["* * * * mon-", 'day of week: "mon-" is not 0 to 7 or sun to sat'],
    ["5-2 * * * *", 'minute: "5-2" runs backwards'],
    ["*/0 * * * *", 'minute: the step "0" is not a whole number from 1'],
    ["*/2/3 * * * *", "is not understood"],
    ["* * L * *", 'day of month: "l" is not 1 to 31'],
    ["@reboot", "use one of @yearly"],
    ["@every 1s", "use one of @yearly"],
    ["0 0 30 2 *", "never comes"],
    ["0 0 31 4,6,9,11 *", "never comes"],
    [`${"1,".repeat(200)}1 * * * *`, "the limit is 256"],
  ])("%j", (text, problem) => {
    expect(parseCron(text)).toEqual({ problem: expect.stringContaining(problem) });
  });

  test.each(["Mars/Olympus", "+01:00", "Europe/Berlin2"])("a zone that nobody knows: %s", (name) => {
    expect(() => new Zone(name)).toThrow(RangeError);
  });
});

// Slow but plain: every second of some days is asked whether the clocks show what the rule says.
test("the walk finds what looking at every minute finds, over changes of the clocks", () => {
  const minute = 60_000;
  const field = (least: number, most: number) =>
    fc.oneof(
      fc.constant("*"),
      fc.integer({ min: least, max: most }).map(String),
      fc.integer({ min: 2, max: 20 }).map((step) => `*/${step}`),
    );
  const starts = ["2027-03-27T20:00:00Z", "2027-10-30T20:00:00Z", "2027-06-30T20:00:00Z"];
  fc.assert(
    fc.property(
      field(0, 59),
      field(0, 23),
      fc.constantFrom(...starts),
      fc.constantFrom("Europe/Berlin", "UTC", "America/New_York"),
      (minutes, hours, start, zoneName) => {
        const [cron, zone] = [rule(`${minutes} ${hours} * * *`), zoneOf(zoneName)];
        const [from, to] = [Date.parse(start), Date.parse(start) + 36 * 60 * minute];
        const found: number[] = [];
        let time = nextTime(cron, zone, from);
        for (; time !== undefined && time <= to; time = nextTime(cron, zone, time)) found.push(time);
        const plain: number[] = [];
        for (let at = from + minute; at <= to; at += minute) {
          const shown = new Date(at + zone.offset(at));
          const says = (hour: number, min: number) => cron.hours.includes(hour) && cron.minutes.includes(min);
          const now = says(shown.getUTCHours(), shown.getUTCMinutes());
          // What was left out an hour ago, by the clocks of before.
          const before = zone.offset(at - 60 * minute);
          const old = new Date(at + before);
          const leftOut =
            before < zone.offset(at) &&
            !shows(zone, at + before) &&
            says(old.getUTCHours(), old.getUTCMinutes());
          if (cron.everyHour ? now : (now && !zone.isRepeated(at)) || leftOut) plain.push(at);
        }
        expect(found).toEqual(plain);
      },
    ),
    { numRuns: 300 },
  );
});

/** Whether the clocks of a zone ever show this time (as if it were UTC). */
function shows(zone: Zone, shown: number): boolean {
  return [-14, -12, -8, -6, -5, -4, -2, -1, 0, 1, 2].some((hours) => {
    const at = shown + hours * 3_600_000;
    return at + zone.offset(at) === shown;
  });
}
