// What ends by the clock ends only once the broker has read what was said to it until then.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Holder, Holding, Holdings } from "../../../broker/src/app/holdings.js";
import { Keeper } from "../../../broker/src/app/keeper.js";
import { Settling } from "../../../broker/src/app/settling.js";
import { silent } from "../../../broker/src/app/telemetry.js";
import { aTicket, HandLane } from "../../support/hand-driven-lanes.js";
import { ScriptedStore } from "../../support/scripted-store.js";
import { now, stored } from "../../support/stored-jobs.js";

const log = { outcome() {}, debug() {}, info() {}, warn() {}, error() {} };
const holder: Holder = {
  ...{ worker: "worker-1", instance: "", unary: true },
  cancelled() {},
  released() {},
  vouched() {},
};
const ref = { task: "mail.send", key: "k1" };
const round = 250;

let store: ScriptedStore;
let holding: Holding;
let keeper: Keeper;

beforeEach(() => {
  store = new ScriptedStore();
  const holdings = new Holdings();
  const { ledger } = store;
  const shared = { holdings, clock: { now: () => now }, log };
  const settling = new Settling({
    ...{ ...shared, ledger, jobs: { dropBody() {} }, telemetry: silent, broker: "broker-1" },
  });
  holding = new Holding({ ref, attempt: 1, origin: 9 }, stored("ready"), 9, holder, 0, 0, now, 10_000);
  holding.ticket = aTicket(new HandLane({ task: ref.task, queue: "default", priority: 5 }).key);
  holding.expiresAt = now + 5_000;
  holdings.add(holding);
  keeper = new Keeper(holdings, settling, shared.clock, log);
});
afterEach(() => {
  keeper.stop();
  store.close();
});

/** How many ends have been sent to the store. */
async function written(): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve));
  return store.writes.length;
}

describe("a lease of a single call", () => {
  test("ends in the second round that finds it over", async () => {
    keeper.round(now);
    for (let at = now; at < now + 5_000 + round; at += round) {
      keeper.round(at);
      expect(await written()).toBe(0);
    }
    keeper.round(now + 5_000 + round);
    expect(await written()).toBe(1);
  });

  test("is not ended by a broker that stood still until it was over, if it was extended meanwhile", async () => {
    keeper.round(now);
    keeper.round(now + 9_000);
    expect(await written()).toBe(0);
    // As it lay there unread.
    holding.expiresAt = now + 20_000;
    keeper.round(now + 9_000 + round);
    keeper.round(now + 9_000 + 2 * round);
    expect(await written()).toBe(0);
  });

  test("that nobody extended is ended a round after the broker stood still", async () => {
    keeper.round(now);
    keeper.round(now + 9_000);
    keeper.round(now + 9_000 + round);
    expect(await written()).toBe(1);
  });
});
