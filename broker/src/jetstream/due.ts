// The alarms of a shard: one consumer, from which any broker pulls.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { Alarm } from "../app/ports.js";
import { times } from "../core/limits.js";
import { decode } from "./codec.js";
import type { Delivery, Puller, PullInbox } from "./puller.js";
import type { Subjects } from "./subjects.js";

const atOnce = 200;
const perMs = 1_000_000;
export const dueConsumer = "due";

export class DueFeed {
  readonly #pullers: Puller[] = [];
  #waiting: Alarm[] = [];
  #looking = false;

  constructor(
    readonly jsm: JetStreamManager,
    readonly inbox: PullInbox,
    readonly subjects: Subjects,
    readonly look: (alarms: readonly Alarm[]) => Promise<void>,
  ) {}

  async start(): Promise<void> {
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      const stream = this.subjects.stream(shard);
      await this.jsm.consumers.add(stream, {
        durable_name: dueConsumer,
        filter_subject: this.subjects.phase(shard, "due"),
        ack_policy: "explicit",
        deliver_policy: "all",
        ack_wait: times.ackWait * perMs,
        max_deliver: -1,
        max_ack_pending: -1,
      });
      const puller = this.inbox.open(
        { stream, name: dueConsumer },
        {
          delivered: (delivery) => this.#delivered(delivery),
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

  #delivered(delivery: Delivery): void {
    const decoded = decode(delivery.subject, delivery.seq, delivery.headers, delivery.data);
    const stored = decoded === undefined || decoded.kind === "tombstone" ? undefined : decoded.stored;
    const ack = () => this.inbox.ack(delivery);
    const spec = stored?.job.spec;
    if (stored === undefined || spec === undefined) {
      ack();
      return;
    }
    const ref = { task: spec.task, key: spec.key };
    this.#waiting.push({ ref, seq: delivery.seq, stored, corrupt: decoded?.kind === "corrupt", ack });
    if (!this.#looking) void this.#work();
  }

  /** What arrives while one round is looked into makes the next. */
  async #work(): Promise<void> {
    this.#looking = true;
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.look(this.#waiting.splice(0, atOnce));
    this.#looking = false;
  }
}
