import { assert, constant, double, integer, oneof, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import type { RetryPolicy } from "../../../broker/src/core/job.js";
import { retryDefaults } from "../../../broker/src/core/limits.js";
import { backoff } from "../../../broker/src/core/retry.js";

const second = 1_000;
const minute = 60 * second;
const day = 86_400 * second;

function policy(fields: Partial<RetryPolicy>): RetryPolicy {
  return { ...retryDefaults, ...fields };
}

function waits(fields: Partial<RetryPolicy>, failures: number, random: () => number = () => 0.5): number[] {
  return Array.from({ length: failures }, (_, i) => backoff(policy(fields), i + 1, random));
}

describe("without jitter the waits are exact", () => {
  test.each<[string, Partial<RetryPolicy>, number[]]>([
    ["60, 120, 240 s", { initialDelay: minute, factor: 2 }, [60_000, 120_000, 240_000]],
    ["the default: 1, 2, 4 s", {}, [1_000, 2_000, 4_000]],
    ["a factor of 1 stays where it is", { factor: 1 }, [1_000, 1_000, 1_000]],
    ["a factor of 1.5", { factor: 1.5 }, [1_000, 1_500, 2_250]],
    ["no delay at all", { initialDelay: 0 }, [0, 0, 0]],
  ])("%s", (_, fields, expected) => {
    expect(waits({ ...fields, jitter: 0 }, 3)).toEqual(expected);
  });

  test("and whole milliseconds", () => {
    expect(waits({ initialDelay: 333, factor: 1.111, jitter: 0 }, 3)).toEqual([333, 370, 411]);
  });
});

describe("the cap", () => {
  test("is where growth ends", () => {
    const grown = waits({ initialDelay: minute, maxDelay: 5 * minute, jitter: 0 }, 6);
    expect(grown).toEqual([60_000, 120_000, 240_000, 300_000, 300_000, 300_000]);
  });

  test("holds for jitter too", () => {
    expect(backoff(policy({ initialDelay: minute, maxDelay: minute, jitter: 1 }), 1, () => 0.999)).toBe(
      minute,
    );
  });

  test("by default is 10 minutes", () => {
    expect(backoff(policy({ jitter: 0 }), 50, () => 0.5)).toBe(10 * minute);
  });
});

describe("jitter", () => {
  test.each([
    [0, 0, 10_000],
    [0.1, 0, 9_000],
    [0.1, 0.5, 10_000],
    [0.1, 0.999_999, 11_000],
    [1, 0, 0],
    [1, 0.999_999, 20_000],
  ])("of %d spreads 10 s, at %d of chance, to %d ms", (jitter, chance, expected) => {
    expect(backoff(policy({ initialDelay: 10 * second, jitter }), 1, () => chance)).toBe(expected);
  });
});

test("every policy that a submit may bring gives a wait within its bounds, however often the job failed", async () => {
  const policies = record({
    initialDelay: oneof(constant(0), integer({ min: 0, max: 30 * day })),
    factor: double({ min: 1, max: 100, noNaN: true }),
    above: integer({ min: 0, max: 30 * day }),
    jitter: double({ min: 0, max: 1, noNaN: true }),
  });
  const chances = double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  await assert(
    property(policies, integer({ min: 1, max: 1_000 }), chances, ({ above, ...fields }, failures, chance) => {
      const chosen = policy({ ...fields, maxDelay: Math.min(30 * day, fields.initialDelay + above) });
      const steady = backoff({ ...chosen, jitter: 0 }, failures, () => chance);
      const wait = backoff(chosen, failures, () => chance);
      expect(Number.isSafeInteger(wait)).toBe(true);
      expect(wait).toBeGreaterThanOrEqual(Math.floor(steady * (1 - chosen.jitter)));
      expect(wait).toBeLessThanOrEqual(
        Math.min(chosen.maxDelay, Math.ceil(steady * (1 + chosen.jitter)) + 1),
      );
    }),
    { numRuns: 5_000 },
  );
});
