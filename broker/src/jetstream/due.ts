// The alarms of all shards.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { Alarm } from "../app/ports.js";
import { times } from "../core/limits.js";
import { decode } from "./codec.js";
import { Feed } from "./feed.js";
import type { Delivery, PullInbox } from "./puller.js";
import type { Subjects } from "./subjects.js";

const atOnce = 200;
export const dueConsumer = "due";

export class DueFeed {
  readonly #feed: Feed<Alarm>;

  constructor(
    jsm: JetStreamManager,
    inbox: PullInbox,
    readonly subjects: Subjects,
    readonly look: (alarms: readonly Alarm[]) => Promise<void>,
  ) {
    this.#feed = new Feed(jsm, inbox, { name: dueConsumer, atOnce, ackWait: times.ackWait, read: alarmsIn });
  }

  start(): Promise<void> {
    const filterOf = (shard: number) => this.subjects.phase(shard, "due");
    return this.#feed.start(this.subjects.inEachShard(filterOf), this.look);
  }

  stop(): void {
    this.#feed.stop();
  }
}

/** None in a tombstone, or in what is no job's. */
function alarmsIn({ subject, seq, headers, data }: Delivery, ack: () => void): Alarm[] {
  const decoded = decode(subject, seq, headers, data);
  const stored = decoded === undefined || decoded.kind === "tombstone" ? undefined : decoded.stored;
  const spec = stored?.job.spec;
  if (stored === undefined || spec === undefined) return [];
  const ref = { task: spec.task, key: spec.key };
  return [{ ref, seq, stored, corrupt: decoded?.kind === "corrupt", ack }];
}
