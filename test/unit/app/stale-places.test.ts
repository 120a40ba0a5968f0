// Which places of a concurrency key are given to others: what is kept by mistake holds jobs up, what is given away by
// mistake lets more of them run than may.

import { expect, test } from "vitest";
import type { Peers } from "../../../broker/src/app/ports.js";
import { stalePlaces } from "../../../broker/src/app/stale-places.js";
import type { Stored } from "../../../broker/src/core/job.js";
import { runLimits } from "../../../broker/src/core/limits.js";
import { aHold, now, stored } from "../../support/stored-jobs.js";

const name = { task: "mail.send", key: "customer" };
/** Since when a promise is old, and while it is new. */
const [old, lately] = [now - runLimits.keyPromised - 1, now - runLimits.keyPromised];
const held = stored("held-a", { seq: 20 }, { hold: aHold({ origin: 7 }) });
const ready = stored("ready", { seq: 7 });
const parked = stored("blocked", {}, { parked: true });

type Answers = Awaited<ReturnType<Peers["ask"]>>;
const nobody: Answers = { answers: [], silent: 0 };
const somebody: Answers = { answers: [{ broker: "b", body: [{ id: "mail.send~k1" }] }], silent: 0 };
const oneIsSilent: Answers = { answers: [], silent: 1 };

test.each<
  [what: string, current: Stored | undefined, origin: number, since: number, told: Answers, stale: boolean]
>([
  ["that runs from the ticket the place is for", ready, 7, old, nobody, false],
  ["that has run for long", held, 7, old, nobody, false],
  ["whose lease is over, so that it runs from another ticket", ready, 6, old, nobody, true],
  ["that has ended", stored("succeeded"), 7, old, nobody, true],
  ["of which nothing is stored any more", undefined, 7, old, nobody, true],
  ["that waits for what it was promised", parked, 0, old, nobody, false],
  ["that was admitted lately", ready, 0, lately, nobody, false],
  ["that was admitted long ago, and nobody has it", ready, 0, old, nobody, true],
  ["that was admitted long ago, and a broker has it", ready, 0, old, somebody, false],
  ["that was admitted long ago, and a broker does not say", ready, 0, old, oneIsSilent, false],
])("of a job %s", async (_, current, origin, since, told, stale) => {
  const taken = [{ key: "k1", origin, since }];
  const found = await stalePlaces(name, taken, {
    jobs: { read: async () => [{ current, last: 9 }] },
    peers: { ask: async () => told },
    clock: { now: () => now },
  });
  expect(found).toEqual(stale ? taken : []);
});
