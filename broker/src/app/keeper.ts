// What happens to leases by the clock: after 10 s the store is told, then every 10 s again; at its end a unary lease is
// over; past a hard limit, or a cancel that nobody answered, the broker ends the run itself.

import { isPassing } from "./fences.js";
import type { Holding, Holdings } from "./holdings.js";
import type { Clock } from "./ports.js";
import type { Settling } from "./settling.js";
import type { Log } from "./telemetry.js";

const every = 250;
/** Leases written in one round: the rest follows in the next. */
const mostAtOnce = 2_000;

export class Keeper {
  readonly #timer: NodeJS.Timeout;
  /** The time of the last round. */
  #last = 0;

  constructor(
    readonly holdings: Holdings,
    readonly settling: Settling,
    readonly clock: Clock,
    readonly log: Log,
  ) {
    this.#timer = setInterval(() => this.round(this.clock.now()), every);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  round(now: number): void {
    let left = mostAtOnce;
    for (const holding of [...this.holdings.toRenew(now)]) {
      if (left-- === 0) break;
      void this.renew(holding);
    }
    // What was due in the last round already: what workers have said by then has been read since, also where this broker
    // stood still.
    for (const holding of [...this.holdings.toEnd(Math.min(this.#last, now))]) void this.#end(holding, now);
    this.#last = now;
  }

  /** Writes a lease now. Never rejects. */
  async renew(holding: Holding): Promise<void> {
    try {
      const kept = await this.settling.hold(holding, this.settling.run.lease);
      if (kept) this.holdings.renewed(holding, this.clock.now() + this.settling.run.renewEvery);
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.log.warn({ job: holding.id }, "a lease could not be renewed yet");
      this.holdings.renewed(holding, this.clock.now() + 1_000);
    }
  }

  async #end(holding: Holding, now: number): Promise<void> {
    if (holding.endAt > 0 && holding.endAt <= now) {
      await this.settling.end(holding, holding.endAs);
    } else if (holding.ticket === undefined) {
      // Held in the store: its alarm ends it, wherever that is looked into.
      this.settling.letGo(holding);
    } else {
      await this.settling.end(holding, "lose");
    }
  }
}
