// When a failed job runs again. Time and chance are passed in, so that tests can pin both.

import type { RetryPolicy } from "./job.js";

/** Wait before the next attempt, in ms: initialDelay times factor for each failure but the first, capped at maxDelay,
 *  spread by plus or minus jitter and capped again. `failures` counts from 1; `random` yields [0, 1). */
export function backoff(policy: RetryPolicy, failures: number, random: () => number): number {
  // After many failures the power is Infinity, of which not even nothing may be taken: a job would wait until NaN.
  const growth = Math.min(Number.MAX_VALUE, policy.factor ** (failures - 1));
  const steady = Math.min(policy.maxDelay, policy.initialDelay * growth);
  const spread = 1 + policy.jitter * (2 * random() - 1);
  return Math.min(policy.maxDelay, Math.round(steady * spread));
}
