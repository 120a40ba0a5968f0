import { describe, expect, test } from "vitest";
import {
  fromDuration,
  fromTimestamp,
  toDuration,
  toDurationOrUnset,
  toTimestamp,
  toTimestampOrUnset,
} from "../../../broker/src/grpc/time.js";

describe("a duration", () => {
  test.each([
    [0, 0, 0],
    [1, 500_000_000, 1_500],
    [0, 1, 1],
    [0, 1_000_001, 2],
    [-3, 0, -3_000],
    [-1, -500_000_000, -1_500],
    [315_576_000_000, 0, 315_576_000_000_000],
  ])("of %d s and %d ns has %d ms, fractions rounded up", (seconds, nanos, ms) => {
    expect(fromDuration({ seconds, nanos })).toBe(ms);
  });

  test.each([
    [315_576_000_001, 0],
    [0, 1_000_000_000],
    [1, -1],
    [-1, 1],
  ])("of %d s and %d ns is none", (seconds, nanos) => {
    expect(fromDuration({ seconds, nanos })).toBeNaN();
  });

  test("survives the way out and back", () => {
    for (const ms of [0, 1, 999, 1_000, 90_061_001]) expect(fromDuration(toDuration(ms))).toBe(ms);
  });
});

describe("a time", () => {
  test.each([
    [0, 0, 0],
    [1_700_000_000, 1, 1_700_000_000_001],
    [-1, 500_000_000, -500],
  ])("of %d s and %d ns is at %d ms, fractions rounded up", (seconds, nanos, ms) => {
    expect(fromTimestamp({ seconds, nanos })).toBe(ms);
  });

  test.each([
    [253_402_300_800, 0],
    [-62_135_596_801, 0],
    [0, -1],
    [0, 1_000_000_000],
  ])("of %d s and %d ns is none", (seconds, nanos) => {
    expect(fromTimestamp({ seconds, nanos })).toBeNaN();
  });

  test("survives the way out and back", () => {
    for (const ms of [1, 1_700_000_000_123, -1]) expect(fromTimestamp(toTimestamp(ms))).toBe(ms);
  });
});

test("what is unset stays unset", () => {
  expect(fromDuration(undefined)).toBeUndefined();
  expect(fromTimestamp(undefined)).toBeUndefined();
  expect(toDurationOrUnset(0)).toBeUndefined();
  expect(toTimestampOrUnset(0)).toBeUndefined();
});

test("fractions of ms, which the wire cannot say, are rounded", () => {
  expect(toDuration(999.9999999)).toEqual({ seconds: 1, nanos: 0 });
  expect(toTimestamp(1_500.4)).toEqual({ seconds: 1, nanos: 500_000_000 });
});
