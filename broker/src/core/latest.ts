/** Remembers what was added last: the latest `most` at least, twice as many at most. Two generations, of which the older
 *  is dropped as a whole: the oldest entry of a single Set is found only by walking over all that was deleted before it,
 *  which took longer than storing a job. */
export class Latest<T> {
  #young = new Set<T>();
  #old = new Set<T>();

  constructor(readonly most: number) {}

  add(value: T): void {
    if (this.#young.size >= this.most) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(value);
  }

  has(value: T): boolean {
    return this.#young.has(value) || this.#old.has(value);
  }

  delete(value: T): void {
    this.#young.delete(value);
    this.#old.delete(value);
  }
}
