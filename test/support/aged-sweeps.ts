// A broker's sweeps at a later hour: they judge what is stored by a clock that is ahead, so that nobody waits for days.

import { silent } from "../../broker/src/app/telemetry.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { type SweepRules, Sweeps, sweepRules } from "../../broker/src/jetstream/sweeps.js";
import { quiet } from "./quiet-log.js";

/** Never started: a test calls what it wants done. It shares lanes and settings with the broker. */
export function sweepsIn(ms: number, broker: RunningBroker, rules: Partial<SweepRules> = {}): Sweeps {
  const { store, queues } = broker.parts;
  const { nc, jsm, subjects, lanes } = store;
  const clock = { now: () => store.clock.now() + ms };
  const settingsOf = (queue: string) => queues.settingsOf(queue);
  return new Sweeps(
    { nc, jsm, subjects, lanes, settingsOf, clock, telemetry: silent, log: quiet },
    { ...sweepRules, ...rules },
  );
}
