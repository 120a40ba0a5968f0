// Whether, and when, a call is tried again. Free of IO, time and randomness.

import { status } from "@grpc/grpc-js";
import type { CallError } from "./errors.js";

const FIRST = 50;
const LONGEST = 2_000;

/** The broker, or the way to it, failed: another one may do better. */
export function isBrokerTrouble({ code, reason }: CallError): boolean {
  if (code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED) return true;
  // A connection that was cut in the middle of a call; the broker itself would give its reason.
  const cut = code === status.INTERNAL || code === status.CANCELLED || code === status.UNKNOWN;
  return cut && reason === status[code];
}

/** What a caller is told whose time is over: why the try before failed says more than that the last one ran out of time. */
export function told(last: CallError, before: CallError | undefined): CallError {
  return before !== undefined && last.code === status.DEADLINE_EXCEEDED ? before : last;
}

/** Wait in ms before the next try of a call that is safe to repeat, or undefined if it would not help. `tries` counts
 *  those made; `random` yields [0, 1). */
export function retryWait(error: CallError, tries: number, random: () => number): number | undefined {
  const asked = error.retryAfter;
  if (!isBrokerTrouble(error) && asked === undefined) return undefined;
  const steady = Math.min(LONGEST, FIRST * 2 ** (tries - 1));
  // From half to the whole, so that many callers do not come back as one.
  return Math.max(asked ?? 0, Math.round(steady * (0.5 + random() / 2)));
}
