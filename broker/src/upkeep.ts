// What keeps the store small and in order, and counts what lies in it.

import { LimitWatch } from "./app/limit-watch.js";
import type { LimitControl } from "./app/limits.js";
import { Overdue } from "./app/overdue.js";
import type { QueueControl } from "./app/queues.js";
import type { Log, Telemetry } from "./app/telemetry.js";
import { Bodies } from "./jetstream/bodies.js";
import { OldestReady } from "./jetstream/oldest-ready.js";
import { PhaseCounts } from "./jetstream/phase-counts.js";
import type { Store } from "./jetstream/store.js";
import { Sweeps } from "./jetstream/sweeps.js";

export interface UpkeepParts {
  store: Store;
  queues: QueueControl;
  limits: LimitControl;
  telemetry: Telemetry;
  log: Log;
}

export function upkeepOf({ store, queues, limits, telemetry, log }: UpkeepParts) {
  const { nc, jsm, jobs, journal, lanes, clock, subjects, storage } = store;
  const settingsOf = (queue: string) => queues.settingsOf(queue);
  return {
    overdue: new Overdue({ jobs, journal, clock, storage, log }),
    sweeps: new Sweeps({ nc, jsm, subjects, lanes, settingsOf, clock, telemetry, log }),
    bodies: new Bodies(jsm, subjects, jobs, telemetry, log),
    oldest: new OldestReady({
      nc,
      lanes,
      stream: (shard) => subjects.stream(shard),
      now: () => clock.now(),
      problem: (error) => log.debug({ err: error }, "the oldest ready jobs could not be looked up"),
    }),
    counts: new PhaseCounts({
      nc,
      subjects,
      lanes,
      problem: (error) => log.debug({ err: error }, "jobs could not be counted"),
    }),
    limitWatch: new LimitWatch(limits, log),
  };
}
