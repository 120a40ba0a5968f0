// The tokens of the leases that the worker holds, and the beat of its event loop, in memory that it shares with the thread
// that keeps vigil. Entering a lease is a copy of its token: no message is sent, and nothing is woken.

/** The contract's limit. */
const TOKEN_BYTES = 512;
const BEAT = 0;
/** Int32: the beat, then the length of each place's token, 0 while the place is free. Then the tokens. */
const HEAD = 1;

export class Roster {
  readonly #numbers: Int32Array;
  readonly #tokens: Buffer;
  readonly #places: number;
  readonly #free: number[] = [];

  /** Of the worker, with the memory for so many leases; in the thread, over the worker's memory. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#places = placesIn(memory);
    this.#numbers = new Int32Array(memory, 0, HEAD + this.#places);
    this.#tokens = Buffer.from(memory, this.#numbers.byteLength);
    for (let place = this.#places - 1; place >= 0; place--) this.#free.push(place);
  }

  static for(leases: number): Roster {
    return new Roster(new SharedArrayBuffer(4 * (HEAD + leases) + TOKEN_BYTES * leases));
  }

  /** The place of the token; -1 where there is none for it. */
  enter(token: string): number {
    if (token.length > TOKEN_BYTES) return -1;
    const place = this.#free.pop();
    if (place === undefined) return -1;
    this.#tokens.write(token, place * TOKEN_BYTES, "latin1");
    Atomics.store(this.#numbers, HEAD + place, token.length);
    return place;
  }

  leave(place: number): void {
    Atomics.store(this.#numbers, HEAD + place, 0);
    this.#free.push(place);
  }

  /** The loop is alive. */
  tick(): void {
    Atomics.add(this.#numbers, BEAT, 1);
  }

  get beat(): number {
    return Atomics.load(this.#numbers, BEAT);
  }

  tokens(): string[] {
    const found: string[] = [];
    for (let place = 0; place < this.#places; place++) {
      const length = Atomics.load(this.#numbers, HEAD + place);
      const at = place * TOKEN_BYTES;
      if (length > 0) found.push(this.#tokens.toString("latin1", at, at + length));
    }
    return found;
  }
}

function placesIn(memory: SharedArrayBuffer): number {
  return Math.floor((memory.byteLength - 4 * HEAD) / (4 + TOKEN_BYTES));
}
