// Limits of queues and tasks, as people write them and as the wire has them.

import { toDate, toDuration, toMillis } from "@drover/proto/sdk/time";
import type { RateLimit, Retention as WireRetention, RunLimits as WireRunLimits } from "@drover/proto/v1";
import { InvalidArgumentError } from "./errors.js";

/** Starts per period, over all brokers and workers. */
export interface Rate {
  /** 1 to 1,000,000. */
  readonly count: number;
  /** ms: 100 ms to 1 day. */
  readonly period: number;
  /** Starts that may come at once after a quiet time: 1 to count (1). */
  readonly burst?: number;
}

/** How fast and how many at a time. What is left out is not limited. */
export interface RunLimits {
  /** A rate, or text such as `10/s`, `10/m`, `500/h` or `100/15m`. */
  readonly rate?: Rate | string;
  /** Running at a time: 1 to 100,000. */
  readonly concurrency?: number;
  /** Running at a time of each concurrency key: 1 to 10,000 (1). */
  readonly concurrencyPerKey?: number;
}

/** Limits as they stand. */
export interface LimitStatus {
  readonly rate?: Rate;
  readonly concurrency?: number;
  readonly concurrencyPerKey?: number;
  /** Starts that would be allowed now, where there is a rate, and when the next one is. */
  readonly tokens?: number;
  readonly nextTokenAt?: Date;
  readonly running: number;
}

/** How long records are kept, in ms: 10 min to 365 days. What is left out is the default (1 h, 7 days, 1 h). */
export interface Retention {
  readonly succeeded?: number;
  readonly failed?: number;
  readonly cancelled?: number;
  /** Records of succeeded jobs: 1 to 100,000,000 (1,000,000). */
  readonly succeededCount?: number;
}

const units = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const written = /^(\d+)\/(\d*)(ms|s|m|min|h|d)$/;

/** `10/s`, `10/m`, `500/h`, `100/15m`. @throws InvalidArgumentError */
export function parseRate(text: string): Rate {
  const parts = written.exec(text.trim());
  if (parts === null) {
    throw InvalidArgumentError.of(
      "limits.rate",
      `${JSON.stringify(text)} is no rate: use a number and a time, such as 10/s, 10/m, 500/h or 100/15m`,
    );
  }
  const [, count, periods, unit] = parts;
  return {
    count: Number(count),
    period: Number(periods || 1) * units[unit as keyof typeof units],
  };
}

/** `10/m`, and a burst above 1 behind it. */
export function sayRate({ count, period, burst = 1 }: Rate): string {
  const unit = (["d", "h", "m", "s", "ms"] as const).find((each) => period % units[each] === 0) ?? "ms";
  const periods = period / units[unit];
  const said = `${count}/${periods === 1 ? "" : periods}${unit}`;
  return burst > 1 ? `${said}, ${burst} at once` : said;
}

export function toWireLimits(limits: RunLimits): WireRunLimits {
  const rate = typeof limits.rate === "string" ? parseRate(limits.rate) : limits.rate;
  return {
    rate: rate && toWireRate(rate),
    concurrency: limits.concurrency,
    concurrencyPerKey: limits.concurrencyPerKey,
    use: undefined,
  };
}

function toWireRate({ count, period, burst = 0 }: Rate): RateLimit {
  return { count: whole("limits.rate.count", count), period: toDuration(period), burst };
}

/** The wire has no room for what is not whole, and would make something else of it. */
function whole(field: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  throw InvalidArgumentError.of(field, `${value} is not a whole number`);
}

export function fromWireLimits(limits: WireRunLimits | undefined): LimitStatus | undefined {
  if (limits === undefined) return undefined;
  const { rate, concurrency, concurrencyPerKey, use } = limits;
  const nextTokenAt = toDate(use?.nextTokenAt);
  return {
    ...(rate !== undefined && {
      rate: { count: rate.count, period: toMillis(rate.period) ?? 0, burst: rate.burst },
      tokens: use?.tokens ?? 0,
      ...(nextTokenAt !== undefined && { nextTokenAt }),
    }),
    ...(concurrency !== undefined && { concurrency }),
    ...(concurrencyPerKey !== undefined && { concurrencyPerKey }),
    running: use?.running ?? 0,
  };
}

export function toWireRetention(retention: Retention): WireRetention {
  const duration = (ms: number | undefined) => (ms === undefined ? undefined : toDuration(ms));
  return {
    succeeded: duration(retention.succeeded),
    failed: duration(retention.failed),
    cancelled: duration(retention.cancelled),
    succeededCount: retention.succeededCount,
  };
}

export function fromWireRetention(retention: WireRetention | undefined): Retention | undefined {
  if (retention === undefined) return undefined;
  const succeeded = toMillis(retention.succeeded);
  const failed = toMillis(retention.failed);
  const cancelled = toMillis(retention.cancelled);
  return {
    ...(succeeded !== undefined && { succeeded }),
    ...(failed !== undefined && { failed }),
    ...(cancelled !== undefined && { cancelled }),
    ...(retention.succeededCount !== undefined && { succeededCount: retention.succeededCount }),
  };
}
