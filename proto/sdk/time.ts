import type { Duration, Timestamp } from "@drover/proto/v1";

/** Milliseconds (fractions are kept down to the nanosecond) as the wire has them. */
export function toDuration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** Milliseconds; an unset duration has none. */
export function toMillis(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : duration.seconds * 1000 + duration.nanos / 1e6;
}

export function toDate(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp === undefined
    ? undefined
    : new Date(timestamp.seconds * 1000 + Math.floor(timestamp.nanos / 1e6));
}
