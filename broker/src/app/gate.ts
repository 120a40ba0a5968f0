// What stands before lanes that are limited: a lane is pulled from only as far as there are starts and places for its
// tickets, so no worker is busy with waiting, and a ticket is handed out when its start has come. Lanes that the same
// limits hold for share a gate, and among them priority decides who is first.

import { runLimits } from "../core/limits.js";
import { type Rate, reserve, toleranceOf } from "../core/rate.js";
import type { Limited } from "../core/run-limits.js";
import type { Places } from "./places.js";
import type { Clock } from "./ports.js";
import type { KnownBook, LimitStore } from "./queue-ports.js";
import type { Log } from "./telemetry.js";

const attempts = 5;
/** After the store did not answer. */
const rest = 500;

/** A rate limit as this broker knows it; shared by its gates. */
export interface Rated {
  limit: Limited;
  rate: Rate;
  /** As last read or written here. */
  known: KnownBook | undefined;
}

export interface GateParts {
  store: Pick<LimitStore, "books" | "writeBooks">;
  clock: Clock;
  log: Log;
  /** There are more starts than before, or the time of one has come. */
  changed(): void;
}

export class Gate {
  /** Times of the starts that are reserved, in order. */
  #starts: number[] = [];
  /** No start before then can be had. */
  #next = 0;
  #wanted = 0;
  #reserving = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  /** How late a start may be used, ms. */
  readonly #tolerance: number;

  constructor(
    readonly rates: readonly Rated[],
    readonly places: readonly Places[],
    readonly parts: GateParts,
  ) {
    this.#tolerance = Math.min(...rates.map(({ rate }) => toleranceOf(rate)));
  }

  /** Nothing behind it can start soon: no use asking for tickets. */
  get shut(): boolean {
    if (this.places.some((places) => places.full)) return true;
    if (this.rates.length === 0) return false;
    this.#forgetLate();
    return this.#starts.length === 0 && this.#next - runLimits.ahead > this.parts.clock.now();
  }

  /** How many tickets may be here or on their way. */
  room(): number {
    let room = Number.POSITIVE_INFINITY;
    if (this.rates.length > 0) {
      this.#forgetLate();
      room = this.#starts.length;
    }
    for (const places of this.places) room = Math.min(room, places.free);
    return room;
  }

  /** Whether a ticket may be handed out now. */
  get open(): boolean {
    if (this.places.some((places) => places.free === 0)) return false;
    if (this.rates.length === 0) return true;
    this.#forgetLate();
    const [first] = this.#starts;
    return first !== undefined && first <= this.parts.clock.now();
  }

  /** A ticket is handed out. */
  passed(): void {
    if (this.rates.length > 0) this.#starts.shift();
  }

  /** How many jobs behind it could run now, were it not here. */
  want(count: number): void {
    this.#wanted = count;
    for (const places of this.places) places.want(this, count);
    if (this.rates.length === 0) return;
    // Shut, nobody asks the lane whether there is anything: it has to be known when that makes sense again.
    if (count === 0 && this.shut) this.#wakeBy(this.#next - runLimits.ahead);
    if (count === 0) return;
    const now = this.parts.clock.now();
    this.#forgetLate();
    const short = this.#short();
    if (short > 0 && this.#next - runLimits.ahead <= now) {
      if (!this.#reserving) void this.#reserve();
    } else if (short > 0) {
      this.#wakeBy(this.#next - runLimits.ahead);
    }
    const [first] = this.#starts;
    if (first !== undefined && first > now) this.#wakeBy(first);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const places of this.places) places.want(this, 0);
  }

  /** Starts that are missing for what is wanted and has a place. */
  #short(): number {
    let useful = this.#wanted;
    for (const places of this.places) useful = Math.min(useful, places.free);
    return useful - this.#starts.length;
  }

  /** What was not used in time is lost: used now it would come too close to one that is still to come. */
  #forgetLate(): void {
    const latest = this.parts.clock.now() - this.#tolerance;
    while ((this.#starts[0] ?? latest) < latest) this.#starts.shift();
  }

  async #reserve(): Promise<void> {
    this.#reserving = true;
    try {
      await this.#reserved();
    } catch (error) {
      this.parts.log.warn({ error: String(error) }, "no starts could be reserved");
      for (const rated of this.rates) rated.known = undefined;
      this.#next = this.parts.clock.now() + runLimits.ahead + rest;
    } finally {
      this.#reserving = false;
      if (!this.#closed) this.parts.changed();
    }
  }

  async #reserved(): Promise<void> {
    const { store, clock } = this.parts;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const known = await this.#known();
      const now = clock.now();
      const limits = this.rates.map(({ rate }, i) => ({
        rate,
        book: known[i]?.book ?? { fullAt: 0, interval: 0 },
      }));
      const { starts, books, next } = reserve(limits, now, now + runLimits.ahead, this.#short());
      this.#next = next;
      if (starts.length === 0) return;
      const written = books.map((book, i) => ({
        limit: (this.rates[i] as Rated).limit,
        book,
        last: known[i]?.last ?? 0,
      }));
      const seqs = await store.writeBooks(written);
      for (const [i, rated] of this.rates.entries()) {
        const book = books[i];
        const last = seqs?.[i];
        rated.known = book === undefined || last === undefined ? undefined : { book, last };
      }
      if (seqs === undefined) continue;
      if (!this.#closed) this.#starts.push(...starts);
      return;
    }
    // Others are busy with it: they use it up.
    this.#next = clock.now() + runLimits.ahead + runLimits.tick * (1 + Math.random());
  }

  async #known(): Promise<readonly KnownBook[]> {
    const known = this.rates.map((rated) => rated.known);
    if (known.every((each) => each !== undefined)) return known;
    const read = await this.parts.store.books(this.rates.map(({ limit }) => limit));
    for (const [i, rated] of this.rates.entries()) rated.known = read[i];
    return read;
  }

  #wakeBy(at: number): void {
    if (this.#closed || at >= this.#wakeAt) return;
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    const wait = Math.max(runLimits.tick, Math.ceil(at - this.parts.clock.now()));
    this.#timer = setTimeout(() => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.parts.changed();
    }, wait).unref();
  }
}
