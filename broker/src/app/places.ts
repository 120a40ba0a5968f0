// The places of a concurrency limit that this broker has. What all brokers have together never exceeds the limit, except
// by leases that were attached here after another broker went: its places come back 30 s after it was last heard of.

import { runLimits } from "../core/limits.js";
import type { Limited } from "../core/run-limits.js";
import type { LimitStore } from "./queue-ports.js";
import type { Log } from "./telemetry.js";

const attempts = 10;

export interface PlacesParts {
  store: Pick<LimitStore, "places" | "take">;
  broker: string;
  log: Log;
  /** There are more places than before, or fewer. */
  changed(): void;
  /** This broker gave some back. */
  freed(limit: Limited): void;
}

export class Places {
  /** Leases of this broker that the limit counts. */
  running = 0;
  #taken = 0;
  /** None was left when last looked. */
  #full = false;
  /** What the store has of this broker is to be written again. */
  #stale = false;
  #closed = false;
  readonly #wanted = new Map<object, number>();
  #working: Promise<void> | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #unwanted: NodeJS.Timeout | undefined;

  constructor(
    readonly limit: Limited,
    public most: number,
    readonly parts: PlacesParts,
  ) {}

  /** How many more may run here now. */
  get free(): number {
    return Math.max(0, this.#taken - this.running);
  }

  /** Nothing to be had for the time being. */
  get full(): boolean {
    return this.#full && this.free === 0;
  }

  /** How many more than now `by` would like to run. */
  want(by: object, count: number): void {
    if (count === 0) this.#wanted.delete(by);
    else this.#wanted.set(by, count);
    if (this.#sum() > this.free) {
      if (!this.#full) this.#work();
    } else if (this.#sum() < this.free) {
      this.#unwanted ??= setTimeout(() => {
        this.#unwanted = undefined;
        if (this.#sum() < this.free) this.#work();
      }, runLimits.placesUnwanted).unref();
    }
  }

  /** A lease that was not asked for here: it takes a place even above the limit. */
  occupied(): void {
    if (this.running > this.#taken) this.#work();
  }

  /** Another broker gave places back. */
  look(): void {
    if (this.#full) this.#work();
  }

  /** Settles when the store agrees with the limit of today. */
  async bound(most: number): Promise<void> {
    if (this.most === most && this.running <= this.#taken) return;
    this.most = most;
    this.#full = false;
    await this.#working;
    this.#work();
    await this.#working;
  }

  /** The limit is no more: all places go back. */
  async end(): Promise<void> {
    await this.#working;
    this.running = 0;
    this.#wanted.clear();
    this.#work();
    await this.#working;
    this.close();
  }

  close(): void {
    this.#closed = true;
    for (const timer of [this.#renewal, this.#again, this.#unwanted]) clearTimeout(timer);
  }

  #sum(): number {
    let sum = 0;
    for (const count of this.#wanted.values()) sum += count;
    return sum;
  }

  #work(): void {
    if (this.#working !== undefined || this.#closed) return;
    const before = this.free;
    const wasFull = this.#full;
    let failed = false;
    this.#working = this.#settle()
      .catch((error: unknown) => {
        this.parts.log.warn({ error: String(error), ...this.limit }, "places could not be taken");
        this.#full = true;
        failed = true;
      })
      .finally(() => {
        this.#working = undefined;
        if (this.#closed) return;
        if (this.#full) this.#lookLater();
        // Attached meanwhile.
        if (this.running > this.#taken && !failed) this.#work();
        if (this.free !== before || this.#full !== wasFull) this.parts.changed();
      });
  }

  /** Writes how many places this broker has from now on: what runs, and what is wanted as far as there is room. */
  async #settle(): Promise<void> {
    const { store, broker } = this.parts;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const { taken, last } = await store.places(this.limit);
      let others = 0;
      for (const [name, count] of taken) if (name !== broker) others += count;
      const wanted = this.running + this.#sum();
      const next = Math.max(this.running, Math.min(wanted, this.most - others));
      // Only those that were free at the time of the write are given away: what starts meanwhile has to find them.
      const before = this.#taken;
      this.#taken = Math.min(this.#taken, next);
      const known = next === (taken.get(broker) ?? 0) && !this.#stale;
      if (known || (await store.take(this.limit, broker, next, last))) {
        this.#taken = next;
        this.#full = next < wanted || (next === wanted && this.most - others <= next);
        this.#stale = false;
        if (!known) this.#renewLater();
        if (next < before) this.parts.freed(this.limit);
        return;
      }
      this.#taken = before;
    }
    this.#full = true;
  }

  #renewLater(): void {
    clearTimeout(this.#renewal);
    if (this.#taken === 0 || this.#closed) return;
    this.#renewal = setTimeout(() => {
      this.#stale = true;
      this.#work();
    }, runLimits.placesRenewed).unref();
  }

  #lookLater(): void {
    const wait = this.#sum() > 0 ? runLimits.placesLooked : runLimits.placesLookedIdle;
    this.#again ??= setTimeout(() => {
      this.#again = undefined;
      this.look();
    }, wait).unref();
  }
}
