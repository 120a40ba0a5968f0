// How fast and how many at a time: what may be set for a queue or a task, and what is wrong with what may not.

import type { Checks } from "./check.js";
import { runLimits } from "./limits.js";
import type { Rate } from "./rate.js";

/** Unset = no limit. */
export interface RunLimits {
  rate: Rate | undefined;
  /** Running at a time: 1 to 100,000. */
  concurrency?: number | undefined;
  /** Running at a time of each concurrency key: 1 to 10,000. */
  concurrencyPerKey?: number | undefined;
}

/** What a limit is set for. */
export interface Limited {
  kind: "queue" | "task";
  name: string;
}

export function limitId({ kind, name }: Limited): string {
  return `${kind} ${name}`;
}

/** Undefined when nothing is limited: nobody has to look at it then. */
export function someLimits(limits: RunLimits | undefined): RunLimits | undefined {
  if (limits === undefined) return undefined;
  const { rate, concurrency, concurrencyPerKey } = limits;
  return rate === undefined && concurrency === undefined && concurrencyPerKey === undefined
    ? undefined
    : limits;
}

/** The limits that are asked for, a burst written out; `period` NaN stands for one that could not be understood. */
export function checkRunLimits(checks: Checks, field: string, asked: RunLimits): RunLimits {
  const { rate, concurrency, concurrencyPerKey } = asked;
  if (rate !== undefined) {
    checks.integer(`${field}.rate.count`, rate.count, 1, runLimits.rateCount);
    checks.duration(`${field}.rate.period`, rate.period, runLimits.shortestPeriod, runLimits.longestPeriod);
    const most = Math.max(1, rate.count);
    if (rate.burst > most) {
      checks.add(`${field}.rate.burst`, `is ${rate.burst}, must be 1 to count (${rate.count}), or 0 for 1`);
    }
  }
  if (concurrency !== undefined) {
    checks.integer(`${field}.concurrency`, concurrency, 1, runLimits.concurrency);
  }
  if (concurrencyPerKey !== undefined) {
    checks.integer(`${field}.concurrency_per_key`, concurrencyPerKey, 1, runLimits.concurrencyPerKey);
  }
  return {
    rate: rate && { ...rate, burst: rate.burst || 1 },
    concurrency,
    concurrencyPerKey,
  };
}
