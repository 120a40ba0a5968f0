// A broker's sweeps at a later hour: they judge what is stored by a clock that is ahead, so that nobody waits for days.

import type { RunningBroker } from "../../broker/src/broker.js";
import { type SweepRules, Sweeps, sweepRules } from "../../broker/src/jetstream/sweeps.js";

/** Never started: a test calls what it wants done. It shares lanes and settings with the broker. */
export function sweepsIn(ms: number, broker: RunningBroker, rules: Partial<SweepRules> = {}): Sweeps {
  const { store, queues } = broker.parts;
  return new Sweeps(
    store.nc,
    store.jsm,
    store.subjects,
    store.lanes,
    (queue) => queues.settingsOf(queue),
    { now: () => store.clock.now() + ms },
    store.telemetry,
    store.log,
    { ...sweepRules, ...rules },
  );
}
