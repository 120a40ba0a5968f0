// A message that any broker may change: each writes what it made of the one before, by compare-and-set, and begins anew
// when another was faster.

import type { JetStreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "nats";
import { header } from "./codec.js";
import { unavailable } from "./reads.js";

const attempts = 10;
const timeout = 5_000;

export interface SharedCodec<T> {
  /** Undefined: there is no message yet. */
  decode(data: Uint8Array | undefined): T;
  encode(value: T): Uint8Array;
  /** How long a value is kept, s; 0 = for ever. */
  keepFor?(value: T): number;
}

export class SharedMessage<T> {
  constructor(
    readonly nc: NatsConnection,
    readonly jsm: JetStreamManager,
    readonly stream: string,
    readonly subject: string,
    readonly codec: SharedCodec<T>,
  ) {}

  /** Undefined: nobody has written it yet. @throws Refusal STORE_UNAVAILABLE */
  async read(): Promise<T | undefined> {
    return (await this.#read()).value;
  }

  /** A change to the very same value is none. @throws whatever `change` does; Refusal STORE_UNAVAILABLE */
  async update(change: (value: T) => T): Promise<T> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const { value, seq } = await this.#read();
      const current = value ?? this.codec.decode(undefined);
      const next = change(current);
      if (next === current) return next;
      const hdrs = headers();
      hdrs.set(header.expected, String(seq));
      const keepFor = this.codec.keepFor?.(next) ?? 0;
      if (keepFor > 0) hdrs.set(header.ttl, `${keepFor}s`);
      const answer = await asked(() =>
        this.nc.request(this.subject, this.codec.encode(next), { headers: hdrs, timeout }),
      );
      const { error } = answer.json<{ error?: { err_code: number; description: string } }>();
      if (error === undefined) return next;
      if (error.err_code !== 10071) throw unavailable(error.description);
    }
    throw unavailable(`${this.subject} is being changed by many at once`);
  }

  async #read(): Promise<{ value: T | undefined; seq: number }> {
    const found = await asked(() => this.jsm.streams.getMessage(this.stream, { last_by_subj: this.subject }));
    return found === null
      ? { value: undefined, seq: 0 }
      : { value: this.codec.decode(found.data), seq: found.seq };
  }
}

/** @throws Refusal STORE_UNAVAILABLE for whatever goes wrong */
export async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw unavailable((error as Error).message);
  }
}
