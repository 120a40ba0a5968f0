// Limits and retention: wire <-> domain.

import type { RateLimit, Retention as WireRetention, RunLimits as WireRunLimits } from "@drover/proto/v1";
import type { LimitsView, RetentionView } from "../app/queue-api.js";
import type { Checks } from "../core/check.js";
import { times } from "../core/limits.js";
import { checkRunLimits, type RunLimits } from "../core/run-limits.js";
import { fromDuration, toDuration, toDurationOrUnset, toTimestamp } from "./time.js";

const mostRecords = 100_000_000;
/** Of what is not said. */
const noPeriod = Number.NaN;

export function fromRunLimits(
  checks: Checks,
  { rate, concurrency, concurrencyPerKey }: WireRunLimits,
): RunLimits {
  return checkRunLimits(checks, "limits", { rate: rate && fromRate(rate), concurrency, concurrencyPerKey });
}

function fromRate({ count, period, burst }: RateLimit) {
  return { count, period: fromDuration(period) ?? noPeriod, burst };
}

export function toRunLimits(view: LimitsView | undefined, running: number): WireRunLimits | undefined {
  if (view === undefined) return undefined;
  const { rate, concurrency, concurrencyPerKey, tokens, nextTokenAt } = view;
  return {
    rate: rate && { count: rate.count, period: toDuration(rate.period), burst: rate.burst },
    concurrency,
    concurrencyPerKey,
    use: {
      tokens: tokens ?? 0,
      nextTokenAt: nextTokenAt === undefined ? undefined : toTimestamp(nextTokenAt),
      running,
    },
  };
}

export function fromRetention(checks: Checks, retention: WireRetention): RetentionView {
  const kept = (field: "succeeded" | "failed" | "cancelled") => {
    const ms = fromDuration(retention[field]);
    if (ms === undefined) return 0;
    checks.duration(`retention.${field}`, ms, times.idempotencyWindow, times.longestRetention);
    return ms;
  };
  const { succeededCount } = retention;
  if (succeededCount !== undefined) {
    checks.integer("retention.succeeded_count", succeededCount, 1, mostRecords);
  }
  return {
    succeeded: kept("succeeded"),
    failed: kept("failed"),
    cancelled: kept("cancelled"),
    succeededCount: succeededCount ?? 0,
  };
}

export function toRetention(view: RetentionView | undefined): WireRetention | undefined {
  return (
    view && {
      succeeded: toDurationOrUnset(view.succeeded),
      failed: toDurationOrUnset(view.failed),
      cancelled: toDurationOrUnset(view.cancelled),
      succeededCount: view.succeededCount || undefined,
    }
  );
}
