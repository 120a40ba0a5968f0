// How many jobs a second come into each queue and end: what this broker saw, in the last ten seconds. It looks on where the
// metrics are told, so that whoever submits or settles jobs says it once.

import type { Telemetry } from "./telemetry.js";

const slot = 1_000;
/** Whole seconds that a rate is taken from; the one that runs does not count. */
const slots = 10;

export interface Rates {
  submitted: number;
  finished: number;
}

class Counts {
  /** Of each second, the running one included; which second it is of stands beside it. */
  readonly #seconds = Array.from({ length: slots + 1 }, () => ({ at: -1, submitted: 0, finished: 0 }));

  at(second: number): Rates {
    const counts = this.#seconds[second % (slots + 1)] as { at: number } & Rates;
    if (counts.at !== second) {
      counts.at = second;
      counts.submitted = 0;
      counts.finished = 0;
    }
    return counts;
  }

  before(second: number): Rates {
    const sum = { submitted: 0, finished: 0 };
    for (const { at, submitted, finished } of this.#seconds) {
      if (at < second - slots || at >= second) continue;
      sum.submitted += submitted;
      sum.finished += finished;
    }
    return { submitted: sum.submitted / slots, finished: sum.finished / slots };
  }
}

export class Traffic {
  readonly #queues = new Map<string, Counts>();

  /** `now`: ms, of any clock that only goes on. */
  constructor(private readonly now: () => number) {}

  /** The same telemetry, looked on at. */
  seen(telemetry: Telemetry): Telemetry {
    return {
      ...telemetry,
      submitted: (line) => {
        this.#count(line.queue).submitted++;
        telemetry.submitted(line);
      },
      finished: (line, ...how) => {
        this.#count(line.queue).finished++;
        telemetry.finished(line, ...how);
      },
    };
  }

  /** A second, by queue. Queues in which nothing went on are left out, and forgotten. */
  rates(): Record<string, Rates> {
    const second = this.#second();
    const rates: Record<string, Rates> = {};
    for (const [queue, counts] of this.#queues) {
      const { submitted, finished } = counts.at(second);
      const before = counts.before(second);
      if (before.submitted + before.finished > 0) rates[queue] = before;
      else if (submitted + finished === 0) this.#queues.delete(queue);
    }
    return rates;
  }

  #count(queue: string): Rates {
    let counts = this.#queues.get(queue);
    if (counts === undefined) {
      counts = new Counts();
      this.#queues.set(queue, counts);
    }
    return counts.at(this.#second());
  }

  #second(): number {
    return Math.floor(this.now() / slot);
  }
}
