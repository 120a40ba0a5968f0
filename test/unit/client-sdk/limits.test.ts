import { describe, expect, test } from "vitest";
import { parseRate, sayRate } from "../../../client-sdk/typescript/src/limits.js";

describe("a rate", () => {
  test.each([
    ["10/s", 10, 1_000],
    ["10/m", 10, 60_000],
    ["500/h", 500, 3_600_000],
    ["100/15m", 100, 900_000],
    [" 1/250ms ", 1, 250],
    ["1/d", 1, 86_400_000],
  ])("%s is %d in %d ms, and is said as it was written", (text, count, period) => {
    expect(parseRate(text)).toEqual({ count, period });
    expect(sayRate(parseRate(text))).toBe(text.trim());
  });

  test.each(["10/fortnight", "10", "/s", "-1/s", "1.5/s", "10 / s", "s/10", ""])(
    "%j is none, and is told what one is",
    (text) => {
      expect(() => parseRate(text)).toThrow("such as 10/s, 10/m, 500/h");
    },
  );

  test("says its burst", () => {
    expect(sayRate({ count: 10, period: 1_000, burst: 5 })).toBe("10/s, 5 at once");
  });
});
