// Who may still report an attempt. A worker may as long as the job's current message stems from the ticket its attempt
// began with, whatever heartbeats brokers wrote meanwhile. A broker acting on its own (a heartbeat, a lost session, a
// run limit) may only while nothing was written since: another broker may have taken the lease over for the same
// worker.

import { Refusal } from "../core/errors.js";
import { AttemptOutcome, hasEnded, type Stored, stateOf } from "../core/job.js";
import type { Fence } from "./ledger.js";
import type { LeaseClaim } from "./ports.js";

export function isHolder(current: Stored, claim: LeaseClaim): boolean {
  if (current.phase === "ready") return current.seq === claim.origin;
  if (current.phase === "due" || current.phase === "held-a" || current.phase === "held-b") {
    return current.job.hold?.origin === claim.origin;
  }
  return false;
}

/** For what a worker reports. */
export function byOrigin(claim: LeaseClaim): Fence {
  return (current) => (isHolder(current, claim) ? undefined : superseded(current, claim));
}

/** For what a broker does by itself. */
export function untouched(claim: LeaseClaim): Fence {
  return (current, moved) => (moved ? superseded(current, claim) : undefined);
}

/** Why a report on a lease that is no more is refused: as exactly as the record can tell. */
export function superseded(current: Stored, claim: LeaseClaim): Refusal {
  const id = `${claim.ref.task}~${claim.ref.key}`;
  const metadata = { id, attempt: String(claim.attempt) };
  const attempt = current.job.history.find((a) => a.number === claim.attempt);
  // A run that did not answer its cancel in time ended without a report, but it was the cancel that ended the job.
  const unanswered = attempt?.outcome === AttemptOutcome.CRASHED && attempt === current.job.history.at(-1);
  if (
    attempt?.outcome === AttemptOutcome.CANCELLED ||
    ((attempt === undefined || unanswered) && stateOf(current) === "CANCELLED")
  ) {
    return new Refusal(
      "JOB_CANCELLED",
      `${id} was cancelled: the report of attempt ${claim.attempt} is void`,
      {
        metadata,
      },
    );
  }
  if (attempt !== undefined && attempt.outcome !== AttemptOutcome.CRASHED) {
    return new Refusal("ALREADY_REPORTED", `attempt ${claim.attempt} of ${id} has its outcome already`, {
      metadata,
    });
  }
  const now = hasEnded(stateOf(current)) ? `it is ${stateOf(current)}` : "it may be running elsewhere";
  return new Refusal("LEASE_LOST", `the lease of attempt ${claim.attempt} of ${id} is lost: ${now}`, {
    metadata,
  });
}

/** For what a broker does to a job that nobody runs. */
export const unmoved: Fence = (current, moved) =>
  moved ? new Refusal("LEASE_LOST", `it has moved on and is ${stateOf(current)}`) : undefined;

/** Whether trying again later may help: the store was not reached, nothing was decided. */
export function isPassing(
  error: unknown,
): error is Refusal & { readonly reason: "STORE_UNAVAILABLE" | "QUEUE_FULL" } {
  return error instanceof Refusal && (error.reason === "STORE_UNAVAILABLE" || error.reason === "QUEUE_FULL");
}
