// Work on many things at once, on each of them one piece after the other.

export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Begins once all that was to be done with `id` before has ended, in whichever way. */
  async take<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(id) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#last.set(id, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(id) === mine) this.#last.delete(id);
    }
  }
}
