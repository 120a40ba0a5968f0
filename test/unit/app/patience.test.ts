// A wait that a process which stands still does not shorten.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Patience } from "../../../broker/src/app/patience.js";
import { pass, stepTime } from "../../support/stepped-time.js";

let over: boolean;
const wait = (ms: number) =>
  new Patience(ms, () => {
    over = true;
  });
/** No timer runs meanwhile. */
const standStill = (ms: number) => vi.setSystemTime(Date.now() + ms);

beforeEach(() => {
  stepTime();
  over = false;
});
afterEach(() => void vi.useRealTimers());

describe("a wait", () => {
  test.each([1_000, 300, 60_000])("of %i ms is over when they are", async (ms) => {
    wait(ms);
    await pass(ms - 1);
    expect(over).toBe(false);
    await pass(1);
    expect(over).toBe(true);
  });

  test.each([0, 1, 4, 8, 9])(
    "is not over for a process that stood still after %i tenths of it",
    async (n) => {
      wait(1_000);
      await pass(n * 100 + 50);
      standStill(5_000);
      await pass(50);
      // The timer that was due has run; what has come is read now, and some more time is there for what has not.
      expect(over).toBe(false);
      await pass(Math.max(1_000 - n * 100, 500) - 1);
      expect(over).toBe(false);
      await pass(1);
      expect(over).toBe(true);
    },
  );

  test("ends for a process that stands still again and again", async () => {
    wait(1_000);
    for (let n = 0; n < 20; n++) {
      expect(over).toBe(false);
      standStill(5_000);
      await pass(100);
    }
    expect(over).toBe(true);
  });

  test("is not longer because the clock was set back", async () => {
    wait(1_000);
    await pass(500);
    standStill(-3_600_000);
    await pass(500);
    expect(over).toBe(true);
  });

  test("that is cancelled is never over", async () => {
    const patience = wait(1_000);
    await pass(950);
    patience.cancel();
    await pass(10_000);
    expect(over).toBe(false);
  });

  test("for nothing is short", async () => {
    wait(0);
    expect(over).toBe(false);
    await pass(10);
    expect(over).toBe(true);
  });
});
