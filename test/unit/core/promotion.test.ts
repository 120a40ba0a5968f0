import { array, assert, integer, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { DueHeap } from "../../../broker/src/core/due-heap.js";
import { times } from "../../../broker/src/core/limits.js";
import { agendaRules, hasPlace, netUnder, verdictOn } from "../../../broker/src/core/promotion.js";
import { now } from "../../support/stored-jobs.js";

describe("a broker ends a delay", () => {
  test.each([
    [-1, "wait"],
    [0, "promote"],
    [1, "promote"],
    [4_000, "promote"],
    [4_001, "leave"],
    [5_000, "leave"],
  ] as const)("at %i ms after its time: %s", (late, verdict) => {
    expect(verdictOn(now, now + late)).toBe(verdict);
  });

  test("and the alarm under it comes five seconds after its time, when the broker has long let go", () => {
    expect(netUnder(now)).toBe(now + 5_000);
    expect(verdictOn(now, netUnder(now))).toBe("leave");
  });

  test("but no alarm is set beyond what the server's clock can hold", () => {
    expect(netUnder(times.never)).toBe(times.never);
    expect(netUnder(times.never - 2_000)).toBe(times.never);
  });
});

describe("places", () => {
  const rules = { places: 10, distantPlaces: 6, distant: 60_000 };

  test.each([
    [0, 1_000, true],
    [9, 60_000, true],
    [10, 1_000, false],
    [5, 60_001, true],
    [6, 60_001, false],
    [6, 60_000, true],
  ])("with %i taken, one for a delay of %i ms: %s", (taken, wait, free) => {
    expect(hasPlace(taken, wait, rules)).toBe(free);
  });

  test("are not more than there are, however many distant ones are allowed", () => {
    expect(hasPlace(10, 60_001, { ...rules, distantPlaces: 99 })).toBe(false);
  });

  test("of a broker are bounded, with room left for what is due soon", () => {
    expect(agendaRules.places).toBeLessThanOrEqual(200_000);
    expect(agendaRules.distantPlaces).toBeLessThan(agendaRules.places);
  });
});

describe("the heap", () => {
  const ref = { task: "t", key: "k" };

  test("gives what is due, earliest first, and leaves the rest", () => {
    const anyHeap = property(
      array(integer({ min: 0, max: 50 })),
      integer({ min: 0, max: 50 }),
      (all, until) => {
        const heap = new DueHeap();
        for (const dueAt of all) heap.add({ dueAt, ref });
        const sorted = [...all].sort((a, b) => a - b);
        expect(heap.next).toBe(sorted[0]);
        const due = sorted.filter((dueAt) => dueAt <= until);
        expect(heap.take(until, 1_000).map(({ dueAt }) => dueAt)).toEqual(due);
        expect(heap.size).toBe(all.length - due.length);
        expect(heap.take(50, 1_000).map(({ dueAt }) => dueAt)).toEqual(sorted.slice(due.length));
      },
    );
    void assert(anyHeap, { numRuns: 2_000 });
  });

  test("keeps its names together while it grows to thousands and shrinks again", () => {
    const heap = new DueHeap();
    const expected = Array.from({ length: 5_000 }, (_, i) => ({
      dueAt: i,
      ref: { task: `t${i % 7}`, key: `k${i}` },
    }));
    for (let i = 0; i < expected.length; i++) heap.add(expected[(i * 7_919) % 5_000] as (typeof expected)[0]);
    for (let i = 0; i < 5_000; i += 500) expect(heap.take(9_999, 500)).toEqual(expected.slice(i, i + 500));
    expect([heap.size, heap.next]).toEqual([0, undefined]);
  });

  test("gives no more than was asked for", () => {
    const heap = new DueHeap();
    for (let dueAt = 5; dueAt > 0; dueAt--) heap.add({ dueAt, ref });
    expect(heap.take(9, 2).map(({ dueAt }) => dueAt)).toEqual([1, 2]);
    expect(heap.next).toBe(3);
  });
});
