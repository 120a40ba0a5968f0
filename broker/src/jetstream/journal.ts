// The only writer of jobs. When nothing is under way a change is published at once; while writes are in flight the
// changes that come gather, and go out as one atomic batch: one fsync for all of them, which is the only group commit
// that JetStream has. Three rules are kept here and nowhere else:
//
// - A batch holds at most one change of a job. The server checks members against the state before the batch, so it
//   would accept two changes of one job and the first would be lost.
// - A change is stored whole or not at all, so a batch that was refused is halved between changes, never inside one.
// - An answer that never came is not a failure. Before anything is repeated the jobs are read: a change that bears our
//   nonce was stored.

import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "nats";
import type { Change, Jobs, Journal } from "../app/ports.js";
import type { Telemetry } from "../app/telemetry.js";
import { Replies } from "./replies.js";
import { journalLimits, ShardJournal, type StoreHealth } from "./shard-journal.js";
import type { Staging } from "./staging.js";
import type { Subjects } from "./subjects.js";
import type { Wire } from "./wire.js";

export class StreamJournal implements Journal {
  readonly #shards: ShardJournal[];
  readonly #subjects: Subjects;
  readonly #replies: Replies;
  readonly #boot: string;
  #count = 0;

  constructor(
    nc: NatsConnection,
    wire: Wire,
    subjects: Subjects,
    jobs: Pick<Jobs, "read">,
    telemetry: Telemetry,
    store: StoreHealth,
    options: {
      inbox: string;
      boot: string;
      answerWithin?: number;
      patience?: number;
      staging?: Staging | undefined;
    },
  ) {
    this.#subjects = subjects;
    this.#boot = options.boot;
    this.#replies = new Replies(nc, options.answerWithin ?? journalLimits.answer, options.inbox);
    this.#shards = Array.from(
      { length: subjects.shards },
      () =>
        new ShardJournal(
          nc,
          wire,
          this.#replies,
          subjects,
          jobs,
          telemetry,
          store,
          () => this.nonce(),
          options.patience ?? journalLimits.patience,
          options.staging,
        ),
    );
  }

  nonce(): string {
    return `${this.#boot}${(this.#count++).toString(36)}`;
  }

  commit(change: Change): Promise<number> {
    return new Promise((stored, failed) => this.write(change, stored, failed));
  }

  write(change: Change, stored: (seq: number) => void, failed: (error: Error) => void): void {
    const shard = this.#shards[this.#subjects.shard(change.ref.task)];
    if (shard === undefined) throw new Error("a shard beyond the namespace's");
    shard.write(change, stored, failed);
  }

  /** Changes that wait or are under way. */
  get depth(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.depth, 0);
  }

  disconnected(): void {
    for (const shard of this.#shards) shard.connected(false);
    this.#replies.disconnected();
  }

  reconnected(): void {
    for (const shard of this.#shards) shard.connected(true);
  }

  /** Settles once nothing waits any more, or after `within` ms. */
  async drain(within: number): Promise<void> {
    const until = Date.now() + within;
    while (this.depth > 0 && Date.now() < until) await pause(5);
  }

  close(): void {
    this.#replies.close();
    for (const shard of this.#shards) shard.close();
  }
}
