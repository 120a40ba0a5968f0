// Strict priority also while tickets are on their way. While a worker has no credit, the open request on a lower lane may
// bring a ticket of it; once there is credit again, that ticket must not overtake those of a higher lane that are known
// of but not here yet: they are pulled first.

import type { LaneView } from "./ports.js";

interface Line<T> {
  readonly lane: LaneView;
  /** What its limits allow; undefined = it has none. */
  readonly gate: { readonly open: boolean } | undefined;
  readonly takers: readonly T[];
}

/** By queue: the lines that are known to have tickets beyond those that are here, in the order given. */
export function comingByQueue<L extends Line<unknown>>(lines: readonly L[]): Map<string, L[]> {
  const coming = new Map<string, L[]>();
  for (const line of lines) {
    const { pending, pulling, key } = line.lane;
    if (pending === 0 && pulling === 0) continue;
    // What may not start now keeps nobody waiting.
    if (line.gate?.open === false) continue;
    const there = coming.get(key.queue);
    if (there === undefined) coming.set(key.queue, [line]);
    else there.push(line);
  }
  return coming;
}

/** Whether a ticket of this priority has to wait for one of a higher lane that the taker could take. `coming`: of the
 *  ticket's queue, highest priority first. */
export function isPreceded<T extends { freeFor(task: string): number }>(
  taker: T,
  priority: number,
  coming: readonly Line<T>[] = [],
): boolean {
  for (const { lane, takers } of coming) {
    if (lane.key.priority <= priority) return false;
    if (takers.includes(taker) && taker.freeFor(lane.key.task) > 0) return true;
  }
  return false;
}
