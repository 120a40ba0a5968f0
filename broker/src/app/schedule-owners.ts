// Which schedules there are, and whose, as this broker remembers: a declaration of one of ten thousand schedules must not
// read them all. Brokers tell one another what they declare and remove before they answer whoever asked for it. What
// got lost on the way is made up when all are read again; nothing is removed by this memory alone.

import type { Clock, Peers } from "./ports.js";
import type { Schedules } from "./schedule-ports.js";

const topic = "schedules-declared";
/** How long what was read is relied on, with what was heard since, ms. */
const remembered = 60_000;
const readAtOnce = 400;

/** `owner` undefined: it is no more. */
export interface OwnerChange {
  name: string;
  owner: string | undefined;
}

export class ScheduleOwners {
  #owners = new Map<string, string>();
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;
  /** Heard while all were being read: what was read may be older. */
  #heard: OwnerChange[] = [];

  constructor(
    readonly schedules: Pick<Schedules, "names" | "read">,
    readonly peers: Pick<Peers, "tell" | "hear">,
    readonly clock: Clock,
  ) {
    peers.hear(topic, (body) => this.#apply(body as OwnerChange[]));
  }

  /** By name; in no order. @throws Refusal STORE_UNAVAILABLE */
  async all(): Promise<ReadonlyMap<string, string>> {
    if (this.clock.now() - this.#readAt >= remembered) await this.read();
    return this.#owners;
  }

  /** Reads all of them now. @throws Refusal STORE_UNAVAILABLE */
  async read(): Promise<ReadonlyMap<string, string>> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
    return this.#owners;
  }

  /** What was written, for every broker that can be heard. */
  changed(changes: readonly OwnerChange[]): void {
    if (changes.length === 0) return;
    this.#apply(changes);
    this.peers.tell(topic, changes);
  }

  #apply(changes: readonly OwnerChange[]): void {
    if (this.#reading !== undefined) this.#heard.push(...changes);
    for (const { name, owner } of changes) {
      if (owner === undefined) this.#owners.delete(name);
      else this.#owners.set(name, owner);
    }
  }

  async #read(): Promise<void> {
    this.#heard = [];
    const names = await this.schedules.names();
    const owners = new Map<string, string>();
    for (let i = 0; i < names.length; i += readAtOnce) {
      for (const { record } of await this.schedules.read(names.slice(i, i + readAtOnce)))
        if (record !== undefined) owners.set(record.name, record.owner);
    }
    this.#owners = owners;
    this.#readAt = this.clock.now();
    for (const { name, owner } of this.#heard.splice(0)) {
      if (owner === undefined) owners.delete(name);
      else owners.set(name, owner);
    }
  }
}
