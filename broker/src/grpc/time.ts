// google.protobuf.Duration and Timestamp <-> ms. What came in broken becomes NaN, which every check refuses by name.

import type { Duration, Timestamp } from "@drover/proto/v1";

const longestDuration = 315_576_000_000;
const years = { first: Date.UTC(1, 0, 1) / 1_000, last: Date.UTC(9999, 11, 31, 23, 59, 59) / 1_000 };

/** ms, fractions rounded up (never early); undefined when unset, NaN when it is no valid duration. */
export function fromDuration(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  const { seconds, nanos } = duration;
  if (Math.abs(seconds) > longestDuration || Math.abs(nanos) > 999_999_999 || seconds * nanos < 0)
    return Number.NaN;
  return seconds * 1_000 + Math.ceil(nanos / 1_000_000);
}

/** ms since 1970, fractions rounded up; undefined when unset, NaN when it is no valid time. */
export function fromTimestamp(timestamp: Timestamp | undefined): number | undefined {
  if (timestamp === undefined) return undefined;
  const { seconds, nanos } = timestamp;
  if (seconds < years.first || seconds > years.last || nanos < 0 || nanos > 999_999_999) return Number.NaN;
  return seconds * 1_000 + Math.ceil(nanos / 1_000_000);
}

export function toDuration(ms: number): Duration {
  const whole = Math.round(ms);
  const seconds = Math.trunc(whole / 1_000);
  return { seconds, nanos: (whole - seconds * 1_000) * 1_000_000 };
}

export function toTimestamp(ms: number): Timestamp {
  const whole = Math.round(ms);
  const seconds = Math.floor(whole / 1_000);
  return { seconds, nanos: (whole - seconds * 1_000) * 1_000_000 };
}

/** As stored: 0 = unset. */
export function toTimestampOrUnset(ms: number): Timestamp | undefined {
  return ms === 0 ? undefined : toTimestamp(ms);
}

/** As stored: 0 = none. */
export function toDurationOrUnset(ms: number): Duration | undefined {
  return ms === 0 ? undefined : toDuration(ms);
}
