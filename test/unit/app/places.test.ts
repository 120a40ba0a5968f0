// The places of a concurrency limit that one broker has, and how it comes to them and gives them back.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Places } from "../../../broker/src/app/places.js";
import { runLimits } from "../../../broker/src/core/limits.js";
import { QuietLog } from "../../support/quiet-log.js";
import { pass, stepTime } from "../../support/stepped-time.js";

const limit = { kind: "queue", name: "q" } as const;
const log = new QuietLog();
const gate = {};

/** What all brokers see. */
class SharedPlaces {
  readonly taken = new Map<string, number>();
  last = 0;
  writes = 0;
  answers = true;

  async places() {
    if (!this.answers) throw new Error("the store is away");
    return { taken: new Map(this.taken), last: this.last };
  }

  async take(_: unknown, broker: string, taken: number, last: number): Promise<boolean> {
    if (last !== this.last) return false;
    this.taken.set(broker, taken);
    this.last++;
    this.writes++;
    return true;
  }
}

let store: SharedPlaces;
let places: Places;
let changed: ReturnType<typeof vi.fn<() => void>>;
let freed: ReturnType<typeof vi.fn<() => void>>;

beforeEach(() => {
  stepTime();
  store = new SharedPlaces();
  changed = vi.fn<() => void>();
  freed = vi.fn<() => void>();
  places = new Places(limit, 3, { store, broker: "here", log, changed, freed });
});
afterEach(() => {
  places.close();
  vi.useRealTimers();
});

describe("places", () => {
  test("are taken as far as they are wanted and there are any", async () => {
    store.taken.set("other", 1);
    places.want(gate, 5);
    await pass(0);
    expect(places.free).toBe(2);
    expect(store.taken.get("here")).toBe(2);
    expect(changed).toHaveBeenCalled();
    places.running = 2;
    expect(places.free).toBe(0);
    expect(places.full).toBe(true);
  });

  test("that nobody wants any more go back after a moment, and the others are told", async () => {
    places.want(gate, 3);
    await pass(0);
    places.want(gate, 0);
    await pass(runLimits.placesUnwanted - 10);
    expect(store.taken.get("here")).toBe(3);
    await pass(20);
    expect(store.taken.get("here")).toBe(0);
    expect(freed).toHaveBeenCalledTimes(1);
  });

  test("are looked for again while they are full: often when wanted, and at once when some were given back", async () => {
    store.taken.set("other", 3);
    places.want(gate, 1);
    await pass(0);
    expect(places.full).toBe(true);
    changed.mockClear();
    store.taken.set("other", 2);
    store.last++;
    await pass(runLimits.placesLooked + 10);
    expect(changed).toHaveBeenCalled();
    expect(places.free).toBe(1);
  });

  test("are looked for at once when another broker says that it gave some back", async () => {
    store.taken.set("other", 3);
    places.want(gate, 1);
    await pass(0);
    store.taken.set("other", 0);
    store.last++;
    places.look();
    await pass(0);
    expect(places.free).toBe(1);
  });

  test("are known to be free again also where nobody wants any: a lane that is shut is not asked", async () => {
    store.taken.set("other", 3);
    places.want(gate, 1);
    await pass(0);
    places.want(gate, 0);
    changed.mockClear();
    store.taken.set("other", 0);
    store.last++;
    await pass(runLimits.placesLookedIdle + 10);
    expect(places.full).toBe(false);
    expect(changed).toHaveBeenCalled();
  });

  test("are looked for again after the store was away", async () => {
    store.answers = false;
    places.want(gate, 1);
    await pass(0);
    expect(places.free).toBe(0);
    store.answers = true;
    await pass(runLimits.placesLooked + 10);
    expect(places.free).toBe(1);
  });

  test("are said again before they would be taken for those of a broker that died", async () => {
    places.want(gate, 2);
    await pass(0);
    places.running = 2;
    const { writes } = store;
    for (let i = 0; i < 3; i++) await pass(runLimits.placesRenewed);
    expect(store.writes - writes).toBeGreaterThanOrEqual(2);
  });

  test("are taken by a lease that came from elsewhere even above the limit", async () => {
    store.taken.set("other", 3);
    places.running = 1;
    places.occupied();
    await pass(0);
    expect(store.taken.get("here")).toBe(1);
  });

  test("are fewer at once when the limit is lowered, but never fewer than run", async () => {
    places.want(gate, 3);
    await pass(0);
    places.running = 2;
    const bound = places.bound(1);
    await pass(0);
    await bound;
    expect(store.taken.get("here")).toBe(2);
    expect(places.free).toBe(0);
  });

  test("all go back when the limit is no more", async () => {
    places.want(gate, 3);
    await pass(0);
    const ended = places.end();
    await pass(0);
    await ended;
    expect(store.taken.get("here")).toBe(0);
  });
});
