// What stands before a limited lane. Nobody polls a gate that is shut: if it did not call, its lane would be forgotten.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Gate, type Rated } from "../../../broker/src/app/gate.js";
import type { Places } from "../../../broker/src/app/places.js";
import type { KnownBook } from "../../../broker/src/app/queue-ports.js";
import { runLimits } from "../../../broker/src/core/limits.js";
import { intervalOf, type Rate, unused } from "../../../broker/src/core/rate.js";
import { QuietLog } from "../../support/quiet-log.js";
import { pass, steppedClock, stepTime } from "../../support/stepped-time.js";

const log = new QuietLog();
const perSecond: Rate = { count: 1, period: 1_000, burst: 1 };

let gate: Gate;
let book: KnownBook;
let changed: ReturnType<typeof vi.fn<() => void>>;
let answers: boolean;

beforeEach(() => {
  stepTime();
  book = { book: unused, last: 0 };
  answers = true;
  changed = vi.fn<() => void>();
});
afterEach(() => {
  gate.close();
  vi.useRealTimers();
});

/** Before a lane of one rate, and of places if there are any. */
function gateOf(rate: Rate, places: Partial<Places>[] = []): Gate {
  const rated: Rated = { limit: { kind: "task", name: "t" }, rate, known: undefined };
  const store = {
    async books() {
      if (!answers) throw new Error("the store is away");
      return [book];
    },
    async writeBooks(written: readonly KnownBook[]) {
      const [first] = written;
      if (first === undefined || first.last !== book.last) return undefined;
      book = { book: first.book, last: book.last + 1 };
      return [book.last];
    },
  };
  return new Gate([rated], places as Places[], { store, clock: steppedClock, log, changed });
}

/** Reserves, and uses what has been reserved. */
async function useUp(count = 1): Promise<void> {
  for (let i = 0; i < count; i++) {
    gate.want(1);
    await pass(0);
    expect(gate.open).toBe(true);
    gate.passed();
  }
  changed.mockClear();
}

describe("a gate whose rate is used up", () => {
  test("is shut, and calls when it is worth asking the lane again, though nobody wanted anything", async () => {
    gate = gateOf(perSecond);
    await useUp();
    expect(gate.shut).toBe(true);
    gate.want(0);
    await pass(intervalOf(perSecond) - runLimits.ahead - 5);
    expect(changed).not.toHaveBeenCalled();
    await pass(10);
    expect(changed).toHaveBeenCalledTimes(1);
    expect(gate.shut).toBe(false);
  });

  test("calls those that wait: to reserve the next start, and when that has come", async () => {
    gate = gateOf(perSecond);
    await useUp();
    gate.want(3);
    await pass(intervalOf(perSecond) - runLimits.ahead + 5);
    expect(changed).toHaveBeenCalledTimes(1);
    gate.want(3);
    await pass(0);
    // Reserved ahead, and not to be used yet.
    expect(gate.room()).toBe(1);
    expect(gate.open).toBe(false);
    changed.mockClear();
    gate.want(3);
    await pass(runLimits.ahead + 1);
    expect(changed).toHaveBeenCalled();
    expect(gate.open).toBe(true);
  });

  test("starts as many at once as its burst, and no more", async () => {
    gate = gateOf({ count: 5, period: 1_000, burst: 3 });
    gate.want(10);
    await pass(0);
    expect(gate.room()).toBeGreaterThanOrEqual(3);
    for (let i = 0; i < 3; i++) {
      expect(gate.open).toBe(true);
      gate.passed();
    }
    expect(gate.open).toBe(false);
  });

  test("forgets a start that nobody used in time", async () => {
    gate = gateOf(perSecond);
    gate.want(1);
    await pass(0);
    await pass(29);
    expect(gate.open).toBe(true);
    // Planned 40 ms further apart than they have to be: a quarter of that is left for the way to the worker.
    await pass(2);
    expect(gate.open).toBe(false);
  });

  test("tries again once the store answers", async () => {
    gate = gateOf(perSecond);
    answers = false;
    gate.want(1);
    await pass(0);
    expect(gate.open).toBe(false);
    answers = true;
    gate.want(1);
    await pass(600);
    expect(changed.mock.calls.length).toBeGreaterThan(1);
    gate.want(1);
    await pass(0);
    expect(gate.open).toBe(true);
  });

  test("that is closed calls nobody any more", async () => {
    gate = gateOf(perSecond);
    await useUp();
    gate.want(0);
    gate.close();
    await pass(5_000);
    expect(changed).not.toHaveBeenCalled();
  });
});

describe("a gate with places", () => {
  test("is shut while they are full, and lets no more by than there are", async () => {
    const places = { full: true, free: 0, want: vi.fn() };
    gate = gateOf({ count: 100, period: 1_000, burst: 100 }, [places]);
    expect(gate.shut).toBe(true);
    expect(gate.open).toBe(false);
    Object.assign(places, { full: false, free: 2 });
    gate.want(10);
    await pass(0);
    expect(places.want).toHaveBeenLastCalledWith(gate, 10);
    // Starts are reserved for what has a place only.
    expect(gate.room()).toBe(2);
    expect(gate.open).toBe(true);
  });
});
