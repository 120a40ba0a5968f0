// The delays that this broker stored and means to end by itself. A place is booked before the write, since the write
// says when the store's alarm comes; it is taken once the write is stored. Lost with the broker, to no harm.

import { type Due, DueHeap } from "../core/due-heap.js";
import { type AgendaRules, agendaRules, hasPlace, netUnder } from "../core/promotion.js";

export class Agenda {
  readonly #heap = new DueHeap();
  #booked = 0;
  #sooner: () => void = () => undefined;

  constructor(readonly rules: AgendaRules = agendaRules) {}

  /** Delays kept in mind. */
  get size(): number {
    return this.#heap.size;
  }

  /** The earliest due time, or undefined. */
  get next(): number | undefined {
    return this.#heap.next;
  }

  /** Asks for a place. When there is one, `keep` or `release` has to follow. */
  book(dueAt: number, now: number): boolean {
    if (!hasPlace(this.#heap.size + this.#booked, dueAt - now, this.rules)) return false;
    this.#booked += 1;
    return true;
  }

  keep(due: Due): void {
    this.#booked -= 1;
    this.#add(due);
  }

  release(): void {
    this.#booked -= 1;
  }

  /** Stores what waits for its time, and keeps it in mind where there is room. `write` is told when the store's alarm is
   *  to come, and what it returns is returned. */
  async store(due: Due, now: number, write: (fireAt: number) => Promise<number>): Promise<number> {
    if (!this.book(due.dueAt, now)) return write(due.dueAt);
    try {
      const seq = await write(netUnder(due.dueAt));
      this.keep(due);
      return seq;
    } catch (error) {
      this.release();
      throw error;
    }
  }

  take(now: number, most: number): Due[] {
    return this.#heap.take(now, most);
  }

  /** Puts back what was taken out. */
  again(due: readonly Due[]): void {
    for (const each of due) this.#add(each);
  }

  /** Calls back when the earliest due time has become earlier. */
  onSooner(sooner: () => void): void {
    this.#sooner = sooner;
  }

  #add(due: Due): void {
    const before = this.#heap.next;
    this.#heap.add(due);
    if (before === undefined || due.dueAt < before) this.#sooner();
  }
}
