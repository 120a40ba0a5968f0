// What a job's messages say together. There is nearly always one; a transition that is under way, a schedule that fired
// late or a sweep that has not come by yet leaves more, in any order and of any age.

import type { Snapshot, Stored } from "./job.js";

/** A job without a message. */
export const noJob: Snapshot = { current: undefined, last: 0 };

/** A snapshot with one more message of the job in it; a tombstone has a sequence only. The state is the message of the
 *  highest revision; the value to compare and set is the highest sequence, whoever holds it. */
export function withMessage(snapshot: Snapshot, seq: number, stored: Stored | undefined): Snapshot {
  const { current, last } = snapshot;
  return {
    current: stored !== undefined && outranks(stored, current) ? stored : current,
    last: Math.max(last, seq),
  };
}

/** Two messages of one revision are a schedule and the alarm it became: the alarm, which came later, is what is left. */
function outranks(stored: Stored, current: Stored | undefined): boolean {
  if (current === undefined || stored.rev > current.rev) return true;
  return stored.rev === current.rev && stored.seq > current.seq;
}

/** Whether nothing was written to the job between the two: they are one message, or a schedule and the alarm it became.
 *  The revision alone would not do: a new job of the same key counts from 1 again. */
export function isSameState(one: Stored, other: Stored): boolean {
  return one.rev === other.rev && one.nonce === other.nonce;
}

/** Whether a job's messages show that the commit of this nonce was stored, now or earlier. */
export function bears(snapshot: Snapshot, nonce: string): boolean {
  const { current } = snapshot;
  return (
    current !== undefined &&
    (current.nonce === nonce ||
      current.job.submitNonce === nonce ||
      current.job.history.some((attempt) => attempt.nonce === nonce))
  );
}
