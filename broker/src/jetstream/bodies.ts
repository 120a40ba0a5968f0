// Large payloads lie beside their jobs. The one of a job that succeeded is dropped when it does; what a crash or a bulk
// purge of records left behind is found here, by asking for every body whether its job still needs it.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { Jobs } from "../app/ports.js";
import type { Log, Telemetry } from "../app/telemetry.js";
import { type JobRef, stateOf } from "../core/job.js";
import { purgeBelow } from "./purge.js";
import { parseBodySubject, type Subjects } from "./subjects.js";

const atOnce = 200;

export class Bodies {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly jsm: JetStreamManager,
    readonly subjects: Subjects,
    readonly jobs: Pick<Jobs, "read">,
    readonly telemetry: Telemetry,
    readonly log: Log,
    readonly every = 60 * 60 * 1_000,
  ) {}

  start(): void {
    this.#timer = setInterval(() => {
      this.sweep().catch((error: unknown) => {
        this.log.warn({ error: String(error) }, "sweeping payloads failed");
      });
    }, this.every);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Removes the bodies that no job needs. How many. */
  async sweep(): Promise<number> {
    let removed = 0;
    for (let shard = 0; shard < this.subjects.shards; shard++) {
      const stream = this.subjects.stream(shard);
      // Read before the jobs are: a body that comes later belongs to a job that this sweep knows nothing of.
      const { state } = await this.jsm.streams.info(stream, { subjects_filter: this.subjects.bodies(shard) });
      const found = Object.keys(state.subjects ?? {});
      for (let i = 0; i < found.length; i += atOnce) {
        removed += await this.#sweepSome(stream, found.slice(i, i + atOnce), state.last_seq);
      }
    }
    this.telemetry.sweep("body", removed);
    return removed;
  }

  async #sweepSome(stream: string, bodies: readonly string[], last: number): Promise<number> {
    const known = bodies.flatMap((subject) => {
      const ref: JobRef | undefined = parseBodySubject(subject);
      return ref === undefined ? [] : [{ subject, ref }];
    });
    const snapshots = await this.jobs.read(known.map(({ ref }) => ref));
    let removed = 0;
    for (const [i, { subject }] of known.entries()) {
      const current = snapshots[i]?.current;
      const state = current && stateOf(current);
      if (state !== undefined && state !== "SUCCEEDED" && state !== "CANCELLED") continue;
      // A cancelled member runs again when its flow is redriven.
      if (state === "CANCELLED" && current?.job.spec?.flow !== undefined) continue;
      // By sequence: a job of the same key that is submitted right now has a newer body.
      const purged = await purgeBelow(this.jsm, stream, subject, last + 1);
      removed += purged;
    }
    return removed;
  }
}
