// Where the answers to reads arrive: one subscription for all of them. A subscription per read cost the server two changes
// of its routing table each, and this process two more writes.

import { createInbox, type Msg, type NatsConnection } from "nats";
import { SlotMap } from "../core/slot-map.js";

export class ReadInbox {
  readonly #prefix = `${createInbox()}.`;
  readonly #open = new SlotMap<string, (msg: Msg) => void>();
  #next = 0;

  constructor(nc: NatsConnection) {
    nc.subscribe(`${this.#prefix}*`, {
      callback: (error, msg) => {
        if (error === null) this.#open.get(msg.subject.slice(this.#prefix.length))?.(msg);
      },
    });
  }

  /** A subject to have answers sent to, each of which is handed to `hear` until it is closed. */
  open(hear: (msg: Msg) => void): { reply: string; close(): void } {
    const token = (this.#next++).toString(36);
    this.#open.set(token, hear);
    return { reply: this.#prefix + token, close: () => void this.#open.delete(token) };
  }
}
