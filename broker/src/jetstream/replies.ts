// Answers to requests, on one inbox of our own. The client's own request() waits for its timeout when the connection
// breaks; the journal has to know at once that an answer will not come, since then the outcome is unknown and has to be
// looked up before anything is repeated.

import type { Msg, NatsConnection, Subscription } from "nats";
import { SlotMap } from "../core/slot-map.js";

/** No answer will come: whether the request was carried out is not known. */
export class Unanswered extends Error {
  constructor(readonly why: "timeout" | "disconnected" | "closed") {
    super(`no answer: ${why}`);
    this.name = "Unanswered";
  }
}

interface Waiting {
  token: string;
  resolve(msg: Msg): void;
  reject(error: Error): void;
  deadline: number;
}

export class Replies {
  readonly #prefix: string;
  readonly #subscription: Subscription;
  readonly #waiting = new SlotMap<string, Waiting>();
  readonly #tick: NodeJS.Timeout;
  #next = 0;

  constructor(
    readonly nc: NatsConnection,
    /** ms. */
    readonly timeout: number,
    inbox: string,
  ) {
    this.#prefix = `${inbox}.`;
    this.#subscription = nc.subscribe(`${inbox}.*`, {
      callback: (error, msg) => {
        if (error === null) this.#answered(msg);
      },
    });
    this.#tick = setInterval(() => this.#expire(), 250);
    this.#tick.unref();
  }

  /** An answer subject to publish a request with, and the answer. @throws Unanswered (in the promise) */
  expect(): { reply: string; answer: Promise<Msg> } {
    const token = (this.#next++).toString(36);
    const answer = new Promise<Msg>((resolve, reject) => {
      this.#waiting.set(token, { token, resolve, reject, deadline: Date.now() + this.timeout });
    });
    return { reply: this.#prefix + token, answer };
  }

  /** The connection broke: nobody will answer what is under way. */
  disconnected(): void {
    this.#failAll("disconnected");
  }

  close(): void {
    clearInterval(this.#tick);
    this.#subscription.unsubscribe();
    this.#failAll("closed");
  }

  #answered(msg: Msg): void {
    const token = msg.subject.slice(this.#prefix.length);
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    waiting.resolve(msg);
  }

  /** Requests of one timeout expire in the order they were made. */
  #expire(): void {
    const now = Date.now();
    for (const waiting of this.#waiting.values()) {
      if (waiting.deadline > now) return;
      this.#waiting.delete(waiting.token);
      waiting.reject(new Unanswered("timeout"));
    }
  }

  #failAll(why: "disconnected" | "closed"): void {
    for (const waiting of [...this.#waiting.values()]) {
      this.#waiting.delete(waiting.token);
      waiting.reject(new Unanswered(why));
    }
  }
}
