// What a handler throws to say more than "it failed", what its signal is aborted with, and what it comes to that ends
// without a word.

/** The job fails for good: no retry. */
export class Permanent extends Error {
  override readonly name = "Permanent";
}

/** The attempt failed; run again after `after` ms (0 to 30 days) instead of what the retry policy says. It counts as a
 *  failure all the same. */
export class Retry extends Error {
  override readonly name = "Retry";
  constructor(
    readonly after: number,
    message = "the handler asked for another run",
    options?: ErrorOptions,
  ) {
    super(message, options);
    checkDelay("Retry", after);
  }
}

/** Not now: run again after `delay` ms (0 to 30 days), without penalty. */
export class Snooze extends Error {
  override readonly name = "Snooze";
  constructor(readonly delay: number) {
    super(`snoozed for ${delay} ms`);
    checkDelay("Snooze", delay);
  }
}

/** Gives the job back unfinished: ready again at once, without penalty. */
export class Release extends Error {
  override readonly name = "Release";
  constructor() {
    super("released");
  }
}

/** Why a run's signal was aborted: `signal.reason` is always one of the classes below. */
export abstract class Interrupted extends Error {}

/** Somebody cancelled the job. Ending with an error now reports it as cancelled; a normal return still counts. */
export class JobCancelled extends Interrupted {
  override readonly name = "JobCancelled";
  constructor() {
    super("the job was cancelled");
  }
}

/** The soft time limit passed: clean up and end, before the hard limit does. */
export class SoftTimeLimitExceeded extends Interrupted {
  override readonly name = "SoftTimeLimitExceeded";
  constructor() {
    super("the soft time limit of the run has passed");
  }
}

/** The hard time limit passed. The attempt is over; nothing the handler does counts any more. */
export class HardTimeLimitExceeded extends Interrupted {
  override readonly name = "HardTimeLimitExceeded";
  constructor() {
    super("the run took longer than its hard time limit");
  }
}

/** The lease is lost and somebody else may run the job now; nothing the handler does counts any more. */
export class LeaseLost extends Interrupted {
  override readonly name = "LeaseLost";
  constructor() {
    super("lease lost");
  }
}

/** The worker stops and the drain timeout is over: ending with an error now gives the job back without penalty. */
export class WorkerDraining extends Interrupted {
  override readonly name = "WorkerDraining";
  constructor() {
    super("the worker is stopping");
  }
}

/** A thread or process ended before the run in it was reported: by process.exit(), by a signal, for want of memory. */
export class IsolatedRunEnded extends Error {
  override readonly name = "IsolatedRunEnded";
}

const THIRTY_DAYS = 30 * 24 * 3600 * 1000;

function checkDelay(what: string, ms: number): void {
  if (!(ms >= 0 && ms <= THIRTY_DAYS)) throw new RangeError(`${what}: ${ms} ms is not between 0 and 30 days`);
}
