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

/** By queue: the lines that are wanted, in the order given. */
export function byQueue<L extends Pick<Line<unknown>, "lane">>(
  lines: readonly L[],
  wanted: (line: L) => boolean,
): Map<string, L[]> {
  const found = new Map<string, L[]>();
  for (const line of lines) {
    if (!wanted(line)) continue;
    const { queue } = line.lane.key;
    const there = found.get(queue);
    if (there === undefined) found.set(queue, [line]);
    else there.push(line);
  }
  return found;
}

/** Whether a line is known to have tickets beyond those that are here. What may not start now keeps nobody waiting. */
export function isComing({ lane, gate }: Line<unknown>): boolean {
  return (lane.pending > 0 || lane.pulling > 0) && gate?.open !== false;
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
