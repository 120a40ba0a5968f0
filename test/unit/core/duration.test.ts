import { describe, expect, test } from "vitest";
import { parseDuration, sayDuration } from "../../../broker/src/core/duration.js";

describe("parseDuration", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["1.5s", 1_500],
    ["10m", 600_000],
    ["10min", 600_000],
    ["24h", 86_400_000],
    ["30d", 2_592_000_000],
    ["0s", 0],
    [" 5s ", 5_000],
  ])("reads %j as %d ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(["", "5", "s", "-5s", "5 s", "1e3s", "5sec", "1h30m", "Infinitys"])(
    "takes %j for none",
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );
});

test.each([
  [0, "0 ms"],
  [1, "1 ms"],
  [1_500, "1500 ms"],
  [30_000, "30 s"],
  [600_000, "10 min"],
  [90_000, "90 s"],
  [86_400_000, "1 day"],
  [-1_000, "-1 s"],
])("%d ms are said as %j", (ms, said) => {
  expect(sayDuration(ms)).toBe(said);
});
