// What any broker may look into: alarms, ends of flows' members, firings of schedules. All brokers pull from one durable
// consumer, and what has come is looked into many at a time, one look after the other. Not acked, it comes again.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { Delivery, Puller, PullInbox } from "./puller.js";

const perMs = 1_000_000;

export interface FeedOptions<T> {
  /** The consumer's. */
  name: string;
  /** So many are asked for, and looked into, at a time. */
  atOnce: number;
  /** After how long what was not acked comes again, ms. */
  ackWait: number;
  /** What a delivery holds to be looked into, which acks it; where that is nothing it is acked at once. */
  read(delivery: Delivery, ack: () => void): readonly T[];
}

export class Feed<T> {
  readonly #pullers: Puller[] = [];
  #waiting: T[] = [];
  #looking = false;

  constructor(
    readonly jsm: JetStreamManager,
    readonly inbox: PullInbox,
    readonly options: FeedOptions<T>,
  ) {}

  /** `look` must not reject. */
  async start(
    sources: Iterable<{ stream: string; filter: string }>,
    look: (found: readonly T[]) => Promise<void>,
  ): Promise<void> {
    const { name, atOnce, ackWait } = this.options;
    for (const { stream, filter } of sources) {
      await this.jsm.consumers.add(stream, {
        durable_name: name,
        filter_subject: filter,
        ack_policy: "explicit",
        deliver_policy: "all",
        ack_wait: ackWait * perMs,
        max_deliver: -1,
        max_ack_pending: -1,
      });
      const puller = this.inbox.open(
        { stream, name },
        {
          delivered: (delivery) => this.#delivered(delivery, look),
          over: () => undefined,
          distrust: () => undefined,
        },
      );
      this.#pullers.push(puller);
      puller.keepOpen(atOnce);
    }
  }

  stop(): void {
    for (const puller of this.#pullers) puller.keepOpen(0);
  }

  #delivered(delivery: Delivery, look: (found: readonly T[]) => Promise<void>): void {
    const ack = () => this.inbox.ack(delivery);
    const found = this.options.read(delivery, ack);
    if (found.length === 0) return ack();
    this.#waiting.push(...found);
    if (!this.#looking) void this.#work(look);
  }

  /** What arrives while one round is looked into makes the next. */
  async #work(look: (found: readonly T[]) => Promise<void>): Promise<void> {
    this.#looking = true;
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await look(this.#waiting.splice(0, this.options.atOnce));
    this.#looking = false;
  }
}
