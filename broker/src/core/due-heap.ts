// What is due when, the earliest first: a binary heap. It holds names of jobs only; what is true of them is read when
// their time has come.

import type { JobRef } from "./job.js";

export interface Due {
  readonly dueAt: number;
  readonly ref: JobRef;
}

export class DueHeap {
  readonly #heap: Due[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest due time, or undefined. */
  get next(): number | undefined {
    return this.#heap[0]?.dueAt;
  }

  add(due: Due): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Due;
      if (parent.dueAt <= due.dueAt) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = due;
  }

  /** Takes out what is due by `now`, earliest first, at most `most`. */
  take(now: number, most: number): Due[] {
    const taken: Due[] = [];
    while (taken.length < most) {
      const first = this.#heap[0];
      if (first === undefined || first.dueAt > now) break;
      taken.push(first);
      this.#removeFirst();
    }
    return taken;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const left = heap[below];
      if (left === undefined) break;
      const right = heap[below + 1];
      if (right !== undefined && right.dueAt < left.dueAt) below += 1;
      const child = heap[below] as Due;
      if (child.dueAt >= last.dueAt) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}
