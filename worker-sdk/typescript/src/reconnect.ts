// How long to wait before the next attempt to attach. The first one after a session that worked is immediate: its
// leases are kept for a second only. Whoever is turned away, or loses each session at once, waits longer and longer.

const FIRST = 50;
const LONGEST = 5_000;
/** A session that lived this long counts as one that worked. */
const STEADY = 1_000;

export class Reconnect {
  #failures = 0;

  constructor(private readonly random: () => number = Math.random) {}

  /** Wait in ms before the next attempt, after one that did not attach. */
  failed(): number {
    this.#failures++;
    return Math.round(this.random() * Math.min(LONGEST, FIRST * 2 ** (this.#failures - 1)));
  }

  /** Wait in ms before the next attempt, after a session that lived for `lived` ms. */
  ended(lived: number): number {
    if (lived < STEADY) return this.failed();
    this.#failures = 0;
    return 0;
  }
}
