import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { JsApi } from "../../broker/src/jetstream/api.js";
import {
  type ClockState,
  clockRules,
  driftAt,
  observe,
  ServerClock,
  surelyAt,
  type TimeSample,
} from "../../broker/src/jetstream/clock.js";
import { Connection } from "../../broker/src/jetstream/connect.js";
import { NatsServer } from "../support/nats.js";
import { quiet } from "../support/quiet-log.js";

/** A sample of a server that runs `ahead` ms before a wall clock which shows 1,000,000 when the monotonic clock shows 0.
 *  The request takes `trip` ms, all of it on the way there unless told otherwise. */
function sample(
  at: number,
  ahead: number,
  { trip = 2, there = trip, wall = 1_000_000 }: { trip?: number; there?: number; wall?: number } = {},
): TimeSample {
  return { server: 1_000_000 + at + there + ahead, sent: at, received: at + trip, wall: wall + at + trip };
}

function seen(...samples: TimeSample[]): ClockState {
  let state: ClockState | undefined;
  for (const one of samples) state = observe(state, one);
  if (state === undefined) throw new Error("no samples");
  return state;
}

const offsetOf = (state: ClockState) => state.offset - 1_000_000;

describe("a time that the server's clock has certainly reached", () => {
  const reached = (state: ClockState, at: number) => at + surelyAt(state, at);
  const truth = (at: number, ahead: number) => 1_000_000 + at + ahead;

  test("is never ahead of it, whichever way of the trip was the long one", () => {
    for (const there of [0, 100, 200]) {
      const state = seen(sample(0, 70, { trip: 200, there }));
      expect(reached(state, 300)).toBeLessThanOrEqual(truth(300, 70));
    }
  });

  test("is told by the best of the samples, and no slow one spoils it", () => {
    const state = seen(sample(0, 70, { trip: 1 }), sample(1_000, 70, { trip: 400, there: 0 }));
    expect(truth(1_500, 70) - reached(state, 1_500)).toBeLessThan(2);
  });

  test("falls behind while nothing is heard, by what clocks may drift apart", () => {
    const state = seen(sample(0, 0, { trip: 0 }));
    expect(truth(10_000, 0) - reached(state, 10_000)).toBeCloseTo(5, 1);
  });

  test("follows a clock that was set back, once that is believed", () => {
    const state = seen(sample(0, 40_000), ...[1, 2, 3, 4].map((i) => sample(i * 5_000, 0)));
    expect(reached(state, 21_000)).toBeLessThanOrEqual(truth(21_000, 0));
  });
});

describe("the filter", () => {
  test("takes the first sample as it is", () => {
    expect(offsetOf(seen(sample(0, 40_000)))).toBeCloseTo(40_001, 0);
  });

  test("smooths what the round trip may explain", () => {
    const state = seen(sample(0, 100, { trip: 200, there: 100 }), sample(50, 100, { trip: 200, there: 200 }));
    // Measured 200 although 100 is true; a tenth of the error is taken in.
    expect(offsetOf(state)).toBeCloseTo(110, 0);
  });

  test.each([0, 3_000])("hardly minds one long trip of 3 s, %i ms of them on the way there", (there) => {
    const before = seen(sample(0, 100), sample(5_000, 100));
    const state = observe(before, sample(10_000, 100, { trip: 3_000, there }));
    expect(Math.abs(offsetOf(state) - offsetOf(before))).toBeLessThan(2);
  });

  test("follows one good sample after bad ones", () => {
    const bad = [0, 1, 2, 3].map((i) => sample(i * 4_000, 100, { trip: 3_000 }));
    expect(offsetOf(seen(...bad))).toBeGreaterThan(1_000);
    expect(Math.abs(offsetOf(seen(...bad, sample(16_000, 100))) - 100)).toBeLessThan(4);
  });

  test("stays with the server although every trip has become long, and all of it is the way there", () => {
    // The server's clock gains 0.1 ms a second, which is what a clock may drift.
    const ahead = (s: number) => s / 10;
    let state = seen(sample(0, 0));
    for (let s = 5; s <= 3_600; s += 5) {
      state = observe(state, sample(s * 1_000, ahead(s), { trip: 400, there: s % 2 ? 400 : 0 }));
    }
    expect(Math.abs(offsetOf(state) - ahead(3_600))).toBeLessThan(100);
  });

  test("follows at once what no round trip explains", () => {
    const state = seen(sample(0, 0), sample(5_000, 3_000));
    expect(Math.abs(offsetOf(state) - 3_000)).toBeLessThanOrEqual(4);
    expect(driftAt(state, 5_000)).toBe(0);
  });

  test("stays within what the round trip allows, however long it takes", () => {
    let state = seen(sample(0, 0));
    for (let i = 1; i <= 100; i += 1)
      state = observe(state, sample(i * 5_000, 0, { trip: 400, there: i % 2 ? 400 : 0 }));
    expect(Math.abs(offsetOf(state))).toBeLessThan(200);
  });

  test("does not believe a sudden change, and says so", () => {
    const state = seen(sample(0, 0), sample(5_000, 40_000));
    expect(offsetOf(state)).toBeCloseTo(1, 0);
    expect(driftAt(state, 5_002)).toBeCloseTo(40_000, -1);
  });

  test("believes a change that lasts", () => {
    const state = seen(sample(0, 0), ...[5, 10, 15.1].map((s) => sample(s * 1_000, -40_000)));
    expect(offsetOf(state)).toBeCloseTo(-39_999, 0);
    expect(driftAt(state, 15_200)).toBe(0);
  });

  test("never settles while the servers of a cluster disagree", () => {
    let state = seen(sample(0, 0));
    for (let i = 1; i < 40; i += 1) state = observe(state, sample(i * 5_000, i % 2 ? 40_000 : 0));
    expect(Math.abs(offsetOf(state))).toBeLessThan(5);
    expect(Math.abs(driftAt(state, 39 * 5_000))).toBeGreaterThan(clockRules.tolerance);
  });

  test("knows a machine that slept: its own wall clock moved alike", () => {
    const slept = 3_600_000;
    const state = seen(sample(0, 0), sample(5_000, slept, { wall: 1_000_000 + slept }));
    expect(offsetOf(state)).toBeCloseTo(slept + 1, 0);
    expect(driftAt(state, 5_002)).toBe(0);
  });

  test("is not moved by setting the local time", () => {
    const state = seen(sample(0, 0), sample(5_000, 0, { wall: 99_000_000 }));
    expect(Math.abs(offsetOf(state))).toBeLessThan(3);
    expect(driftAt(state, 5_002)).toBe(0);
  });

  test("forgets a sample that did not fit", () => {
    const state = seen(sample(0, 0), sample(5_000, 40_000), sample(10_000, 0));
    expect(driftAt(state, 19_000)).not.toBe(0);
    expect(driftAt(state, 21_000)).toBe(0);
  });
});

describe("the clock", () => {
  let nats: NatsServer;
  let connection: Connection;

  beforeAll(async () => {
    nats = await NatsServer.start();
    connection = await Connection.open({ target: { url: nats.url }, name: "clock-test", log: quiet });
  });

  afterAll(async () => {
    await connection.close();
    await nats.stop();
  });

  test("is the local time until the server has told its own", () => {
    const clock = new ServerClock();
    expect(clock.synced).toBe(false);
    const [before, told, after] = [Date.now(), clock.now(), Date.now()];
    expect([before <= told, told <= after]).toEqual([true, true]);
  });

  test("is set by the answers of the JetStream API", async () => {
    const clock = new ServerClock();
    const begun = Date.now();
    const api = new JsApi(connection.nc, (heard) => clock.observe(heard));
    await api.request("STREAM.CREATE.CLOCK", { name: "CLOCK", subjects: ["clock"], storage: "memory" });
    expect(clock.synced).toBe(true);
    await api.stream("CLOCK");
    // Server and test share a machine; what the answers took is what the clock cannot know.
    const { offset } = clock;
    expect(Math.abs(offset)).toBeLessThan(5 + Date.now() - begun);
    expect(clock.now()).toBeGreaterThanOrEqual(begun);
    expect(clock.drift).toBe(0);
  });

  test("stands still rather than going back a little, and goes back where it must", () => {
    const clock = new ServerClock();
    const at = (ahead: number) => {
      const now = performance.now();
      clock.observe({ server: Date.now() + ahead, sent: now, received: now, wall: Date.now() });
    };
    at(0);
    const before = clock.now();
    at(-4_900);
    expect(clock.now()).toBe(before);
    const other = new ServerClock();
    other.observe({ server: 9e12, sent: 0, received: 0, wall: 0 });
    expect(other.now()).toBeGreaterThan(8e12);
    other.observe({ server: 8e12, sent: 1, received: 1, wall: 1 });
    other.observe({ server: 8e12 + 10_001, sent: 10_002, received: 10_002, wall: 10_002 });
    expect(other.now()).toBeLessThan(8.1e12);
  });

  test("an error of the API is typed", async () => {
    const api = new JsApi(connection.nc);
    await expect(api.stream("NONE")).rejects.toMatchObject({
      code: 404,
      errCode: 10059,
      description: "stream not found",
    });
    await expect(api.request("NO.SUCH.CALL", {}, 200)).rejects.toMatchObject({
      code: 408,
      errCode: 0,
      unanswered: true,
    });
  });
});
