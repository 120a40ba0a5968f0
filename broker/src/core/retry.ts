// When a failed job runs again. Time and chance are passed in, so that tests can pin both.

import type { RetryPolicy } from "./job.js";

/** Wait before the next attempt, in ms: initialDelay times factor for each failure but the first, capped at maxDelay,
 *  spread by plus or minus jitter and capped again. `failures` counts from 1; `random` yields [0, 1). */
export function backoff(policy: RetryPolicy, failures: number, random: () => number): number {
  const steady = Math.min(policy.maxDelay, policy.initialDelay * policy.factor ** (failures - 1));
  const spread = 1 + policy.jitter * (2 * random() - 1);
  return Math.min(policy.maxDelay, Math.round(steady * spread));
}
