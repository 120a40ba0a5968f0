// What goes up in a session, and when. Everything that comes about in one turn of the event loop goes together: a single
// outcome of an idle worker at once, a thousand of a busy one in one message.

import type { Holdings } from "./holdings.js";
import type { Link } from "./link.js";

/** Progress goes up at most this often, in ms, unless an outcome goes with it. */
const PROGRESS_INTERVAL = 50;

export class Uplink {
  readonly #link: Link;
  readonly #holdings: Holdings;
  readonly #credit: () => number;
  readonly #flushed: () => void;
  #scheduled = false;
  #sentCredit = 0;
  #progressAt = 0;
  #progressTimer: NodeJS.Timeout | undefined;

  /** `credit`: jobs that may be leased now. `flushed` is called after each round. */
  constructor(link: Link, holdings: Holdings, credit: () => number, flushed: () => void) {
    this.#link = link;
    this.#holdings = holdings;
    this.#credit = credit;
    this.#flushed = flushed;
  }

  /** There may be something to send. */
  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  /** The credit as an attach tells it. */
  creditToAttach(): { jobs: number; bytes: number } {
    this.#sentCredit = this.#credit();
    return { jobs: this.#sentCredit, bytes: 0 };
  }

  /** No more jobs, at once. */
  drain(): void {
    if (!this.#link.isOpen) return;
    this.#link.send({ $case: "drain", value: {} });
    this.#sendCredit();
  }

  close(): void {
    clearTimeout(this.#progressTimer);
  }

  #flush(): void {
    this.#scheduled = false;
    // While there is no session, or one is just taking over, all of it waits for the next attach.
    if (this.#link.isOpen) {
      if (this.#credit() !== this.#sentCredit) this.#sendCredit();
      if (this.#holdings.hasProgress) this.#sendProgress();
      this.#sendOutcomes();
    }
    this.#flushed();
  }

  #sendCredit(): void {
    this.#link.send({ $case: "credit", value: this.creditToAttach() });
  }

  #sendOutcomes(): void {
    while (this.#holdings.hasOutcomes) {
      const outcomes = this.#holdings.takeOutcomes();
      if (outcomes.length > 0) this.#link.send({ $case: "outcomes", value: { outcomes } });
    }
  }

  #sendProgress(): void {
    const now = performance.now();
    const wait = this.#progressAt + PROGRESS_INTERVAL - now;
    if (wait > 0 && !this.#holdings.hasOutcomes) {
      this.#progressTimer ??= setTimeout(() => {
        this.#progressTimer = undefined;
        this.changed();
      }, wait);
      return;
    }
    this.#progressAt = now;
    const reports = this.#holdings.takeProgress();
    if (reports.length > 0) this.#link.send({ $case: "progress", value: { reports } });
  }
}
