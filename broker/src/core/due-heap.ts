// What is due when, the earliest first: a binary heap. It holds names of jobs only; what is true of them is read when
// their time has come. A hundred thousand of them live here for days, so a delay is no object but a row of three
// columns, and a task's name is kept once.

import type { JobRef } from "./job.js";

export interface Due {
  readonly dueAt: number;
  readonly ref: JobRef;
}

const fewest = 64;
/** Tasks come from requests: beyond this many their names are kept anew. */
const mostTasks = 10_000;

export class DueHeap {
  #times = new Float64Array(fewest);
  readonly #tasks: string[] = [];
  readonly #keys: string[] = [];
  readonly #names = new Map<string, string>();

  get size(): number {
    return this.#keys.length;
  }

  /** The earliest due time, or undefined. */
  get next(): number | undefined {
    return this.size === 0 ? undefined : this.#times[0];
  }

  add({ dueAt, ref }: Due): void {
    let at = this.size;
    if (at === this.#times.length) this.#resize(2 * at);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (this.#time(above) <= dueAt) break;
      this.#move(above, at);
      at = above;
    }
    this.#put(at, dueAt, this.#once(ref.task), ref.key);
  }

  /** Takes out what is due by `now`, earliest first, at most `most`. */
  take(now: number, most: number): Due[] {
    const taken: Due[] = [];
    while (taken.length < most && this.size > 0 && this.#time(0) <= now) {
      taken.push({ dueAt: this.#time(0), ref: { task: this.#task(0), key: this.#key(0) } });
      this.#removeFirst();
    }
    if (this.#times.length > fewest && this.size < this.#times.length / 4)
      this.#resize(this.#times.length / 2);
    return taken;
  }

  /** The last takes the place of the first, and sinks to where it belongs. */
  #removeFirst(): void {
    const last = this.size - 1;
    const [dueAt, task, key] = [this.#time(last), this.#task(last), this.#key(last)];
    this.#tasks.pop();
    this.#keys.pop();
    if (last === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= last) break;
      if (below + 1 < last && this.#time(below + 1) < this.#time(below)) below += 1;
      if (this.#time(below) >= dueAt) break;
      this.#move(below, at);
      at = below;
    }
    this.#put(at, dueAt, task, key);
  }

  #time(at: number): number {
    return this.#times[at] as number;
  }

  #task(at: number): string {
    return this.#tasks[at] as string;
  }

  #key(at: number): string {
    return this.#keys[at] as string;
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#time(from), this.#task(from), this.#key(from));
  }

  #put(at: number, dueAt: number, task: string, key: string): void {
    this.#times[at] = dueAt;
    this.#tasks[at] = task;
    this.#keys[at] = key;
  }

  #resize(length: number): void {
    const times = new Float64Array(length);
    times.set(this.#times.subarray(0, this.size));
    this.#times = times;
  }

  #once(task: string): string {
    const known = this.#names.get(task);
    if (known !== undefined) return known;
    if (this.#names.size >= mostTasks) this.#names.clear();
    this.#names.set(task, task);
    return task;
  }
}
