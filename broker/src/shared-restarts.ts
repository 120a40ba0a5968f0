// Restarts of a nats-server that several processes share. Each of them finds the same trouble by itself, some a moment after
// the others: all of that is one restart.

export class SharedRestarts {
  #count = 0;
  #underWay: Promise<void> | undefined;

  constructor(private readonly restart: (why: string) => Promise<void>) {}

  /** How many there have been. */
  get times(): number {
    return this.#count;
  }

  /** `known`: how many restarts whoever asks had heard of when it found the trouble. Where there have been more since, the
   *  trouble is that of before them. Settles with how many there have been. */
  async ask(why: string, known: number): Promise<number> {
    if (known < this.#count) return this.#count;
    this.#underWay ??= this.restart(why).finally(() => {
      this.#count++;
      this.#underWay = undefined;
    });
    await this.#underWay;
    return this.#count;
  }
}
