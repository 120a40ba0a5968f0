// Whoever reserves starts, whenever, and however late each is used within the tolerance: never more than the rate says.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  carried,
  intervalOf,
  nextStart,
  type Rate,
  type RateBook,
  reserve,
  spreadOf,
  tokensOf,
  unused,
} from "../../../broker/src/core/rate.js";

const start = 1_800_000_000_000;
const tenASecond: Rate = { count: 10, period: 1_000, burst: 1 };

const rates = fc
  .record({ count: fc.integer({ min: 1, max: 40 }), period: fc.integer({ min: 100, max: 60_000 }) })
  .chain(({ count, period }) =>
    fc.integer({ min: 1, max: count }).map((burst): Rate => ({ count, period, burst })),
  );
/** One broker's turn: how long after the last one, how far ahead, how many, and how late its starts are used. */
const turns = fc.array(
  fc.record({
    after: fc.integer({ min: 0, max: 3_000 }),
    ahead: fc.integer({ min: 0, max: 200 }),
    most: fc.integer({ min: 1, max: 50 }),
    late: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { minLength: 1, maxLength: 60 },
);

/** The most starts in any window of a period, its end left out. */
function mostInAPeriod(times: readonly number[], period: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  let most = 0;
  let first = 0;
  for (const [i, time] of sorted.entries()) {
    // A number of ms of today is exact to a quarter of a microsecond, and each of up to 80 starts adds what it is off by.
    while ((sorted[first] ?? time) <= time - period + 0.02) first++;
    most = Math.max(most, i - first + 1);
  }
  return most;
}

describe("however starts are reserved and used", () => {
  test("no window of a period has more than count + burst - 1 of them", () => {
    fc.assert(
      fc.property(rates, turns, (rate, all) => {
        let now = start;
        let book: RateBook = unused;
        const used: number[] = [];
        for (const { after, ahead, most, late } of all) {
          now += after;
          const reserved = reserve([{ rate, book }], now, now + ahead, most);
          book = reserved.books[0] ?? book;
          used.push(...reserved.starts.map((at) => at + late * spreadOf(rate)));
        }
        expect(mostInAPeriod(used, rate.period)).toBeLessThanOrEqual(rate.count + rate.burst - 1);
      }),
    );
  });

  test("two limits together keep both, and each start has a token of each", () => {
    fc.assert(
      fc.property(rates, rates, turns, (one, other, all) => {
        let now = start;
        let books: readonly RateBook[] = [unused, unused];
        const used: number[] = [];
        for (const { after, ahead, most } of all) {
          now += after;
          const limits = [one, other].map((rate, i) => ({ rate, book: books[i] ?? unused }));
          const reserved = reserve(limits, now, now + ahead, most);
          books = reserved.books;
          used.push(...reserved.starts);
        }
        for (const rate of [one, other]) {
          expect(mostInAPeriod(used, rate.period)).toBeLessThanOrEqual(rate.count + rate.burst - 1);
        }
      }),
    );
  });

  test("none is in the past or beyond what was asked, and the next comes after them", () => {
    fc.assert(
      fc.property(rates, turns, (rate, all) => {
        let now = start;
        let book: RateBook = unused;
        for (const { after, ahead, most } of all) {
          now += after;
          const { starts, books, next } = reserve([{ rate, book }], now, now + ahead, most);
          expect(starts.length).toBeLessThanOrEqual(most);
          for (const at of starts) expect(at >= now && at <= now + ahead).toBe(true);
          if (starts.length < most) expect(next).toBeGreaterThan(now + ahead);
          book = books[0] ?? book;
        }
      }),
    );
  });
});

test("a backlog that is asked for in time uses 96 % of the rate", () => {
  for (const rate of [
    tenASecond,
    { count: 10, period: 60_000, burst: 1 },
    { count: 500, period: 3_600_000, burst: 5 },
  ]) {
    let book: RateBook = unused;
    let used = 0;
    for (let now = start; now < start + 20 * rate.period; now += 100) {
      const reserved = reserve([{ rate, book }], now, now + 200, 1_000);
      book = reserved.books[0] ?? book;
      used += reserved.starts.length;
    }
    expect(used / (20 * rate.count)).toBeGreaterThan(0.96);
  }
});

test("a quiet time leaves burst starts, and not one more", () => {
  const rate: Rate = { count: 10, period: 1_000, burst: 4 };
  const { starts, books } = reserve(
    [{ rate, book: { fullAt: start - 1e6, interval: 103 } }],
    start,
    start,
    50,
  );
  expect(starts).toEqual([start, start, start, start]);
  expect(tokensOf(rate, books[0] ?? unused, start)).toBe(0);
  expect(nextStart(rate, books[0] ?? unused, start)).toBeCloseTo(start + intervalOf(rate), 3);
});

test("a changed rate keeps what is used up, token for token", () => {
  const [book] = reserve([{ rate: tenASecond, book: unused }], start, start + 50, 1).books;
  const perHour: Rate = { count: 1, period: 3_600_000, burst: 1 };
  const slow = carried(book ?? unused, perHour, start);
  expect(slow.fullAt - start).toBeCloseTo(intervalOf(perHour), 0);
  // The other way round nobody waits for an hour that nobody asked for any more.
  expect(nextStart(tenASecond, slow, start) - start).toBeCloseTo(intervalOf(tenASecond), 3);
});
