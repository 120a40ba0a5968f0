import { describe, expect, test } from "vitest";
import {
  toDuration,
  toNumber,
  toPair,
  toTime,
  toWhole,
  toWord,
} from "../../../../client-sdk/typescript/src/cli/parse.js";

describe("a duration", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["1.5h", 5_400_000],
    ["10m", 600_000],
    ["10min", 600_000],
    ["7d", 604_800_000],
    ["0s", 0],
  ])("%s is %d ms", (text, ms) => {
    expect(toDuration(text)).toBe(ms);
  });

  test.each(["", "30", "s", "-1s", "1 s", "1w", "1e3s", "0x10s"])(
    "%j is none, and is told what one is",
    (text) => {
      expect(() => toDuration(text)).toThrow("use a duration such as");
    },
  );
});

describe("a time", () => {
  test("has a zone", () => {
    expect(toTime("2027-01-31T09:00:00+01:00").toISOString()).toBe("2027-01-31T08:00:00.000Z");
    expect(toTime("2027-01-31 09:00Z").toISOString()).toBe("2027-01-31T09:00:00.000Z");
  });

  test.each(["2027-01-31T09:00:00", "2027-01-31", "tomorrow", "2027-13-01T00:00:00Z", ""])(
    "%j is none: without a zone it would differ by machine",
    (text) => {
      expect(() => toTime(text)).toThrow("with its zone");
    },
  );
});

test.each(["", "1.5", "-1", "10", "x", "0x1", " 1"])("%j is no priority", (text) => {
  expect(() => toWhole(0, 9)(text)).toThrow("from 0 to 9");
});

test.each(["", " ", "2", "-0.1", "x"])("%j is no share", (text) => {
  expect(() => toNumber(0, 1)(text)).toThrow("from 0 to 1");
});

test("pairs add up, the last of a name counts, and a value may hold anything", () => {
  expect(toPair("b=c=d", toPair("a=1"))).toEqual({ a: "1", b: "c=d" });
  expect(toPair("a=2", { a: "1" })).toEqual({ a: "2" });
  expect(() => toPair("=1")).toThrow("name=value");
  expect(() => toPair("a")).toThrow("name=value");
});

test("words are taken in either case and spelling, and all are named when none fits", () => {
  const policy = toWord(["ALLOW", "CANCEL_PREVIOUS"] as const);
  expect(policy("allow")).toBe("ALLOW");
  expect(policy("cancel-previous")).toBe("CANCEL_PREVIOUS");
  expect(policy("Cancel_Previous")).toBe("CANCEL_PREVIOUS");
  expect(() => policy("nothing")).toThrow("allow, cancel-previous");
});
