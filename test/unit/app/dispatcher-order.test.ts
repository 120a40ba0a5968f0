// The order in which tickets are handed out: strict priority inside a queue, turns among tasks of one priority, weights
// among queues.

import { array, assert, asyncProperty, constantFrom, integer, record } from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Dispatcher } from "../../../broker/src/app/dispatcher.js";
import type { Ticket } from "../../../broker/src/app/ports.js";
import { HandDrivenLanes, HandTaker } from "../../support/hand-driven-lanes.js";

let lanes: HandDrivenLanes;
let dispatcher: Dispatcher;

beforeEach(() => {
  lanes = new HandDrivenLanes();
  dispatcher = aDispatcher();
  lanes.serve(dispatcher);
});

afterEach(() => dispatcher.stop());

function aDispatcher(): Dispatcher {
  const nothing = () => undefined;
  return new Dispatcher(
    lanes,
    nothing,
    async () => undefined,
    { buffered: 5_000 },
    () => 0,
  );
}

function round(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** Everything asked for arrives and everything handed out is done at once, again and again. */
async function drain(takers: readonly HandTaker[], rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await round();
    for (const lane of lanes.all()) lanes.deliver(lane);
    await round();
    for (const taker of takers) taker.finish();
    dispatcher.soon();
  }
}

function counts(tickets: readonly Ticket[], of: (ticket: Ticket) => string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const ticket of tickets) found[of(ticket)] = (found[of(ticket)] ?? 0) + 1;
  return found;
}

const task = (ticket: Ticket) => ticket.lane.task;
const queue = (ticket: Ticket) => ticket.lane.queue;
const priority = (ticket: Ticket) => ticket.lane.priority;

describe("priorities 9 to 0 are strict", () => {
  test.each([1, 3, 7, 100])("over 30 lanes of three tasks, %d jobs at a time", async (credit) => {
    const tasks = { a: 1_000, b: 1_000, c: 1_000 };
    for (let p = 0; p <= 9; p++) for (const name of Object.keys(tasks)) lanes.fill(lanes.lane(name, p), 7);
    const taker = new HandTaker(credit, tasks);
    dispatcher.add(taker);
    await drain([taker], 250);
    expect(taker.took).toHaveLength(210);
    const order = taker.took.map(priority);
    expect(order).toEqual([...order].sort((a, b) => b - a));
  });

  test("for several workers too", async () => {
    for (let p = 0; p <= 9; p++) lanes.fill(lanes.lane("a", p), 20);
    const takers = [1, 2, 5].map((credit) => new HandTaker(credit, { a: 1_000 }));
    for (const taker of takers) dispatcher.add(taker);
    for (let i = 0; i < 40; i++) {
      const waiting = lanes.all().filter(({ backlog }) => backlog.length > 0);
      const highest = Math.max(...waiting.map(({ key }) => key.priority));
      const before = takers.map(({ took }) => took.length);
      await drain(takers, 1);
      const given = takers.flatMap(({ took }, n) => took.slice(before[n]));
      // In one round there may be more credit than tickets of the highest lane: then the next lane is next.
      expect(given.map(priority)).toEqual(
        given.map(() => expect.toSatisfy((p) => p === highest || p === highest - 1)),
      );
    }
    expect(takers.flatMap(({ took }) => took)).toHaveLength(200);
  });

  test("what comes to a higher lane in the meantime goes next, however much waits below", async () => {
    const high = lanes.lane("a", 9);
    lanes.fill(lanes.lane("a", 0), 50);
    const taker = new HandTaker(1, { a: 10 });
    dispatcher.add(taker);
    await drain([taker], 5);
    lanes.fill(high, 3, false);
    // The open request brings the first and says that there are more.
    await drain([taker], 6);
    const order = taker.took.map(priority);
    const first = order.indexOf(9);
    expect(first).toBeGreaterThan(0);
    expect(order.slice(first, first + 3)).toEqual([9, 9, 9]);
    expect(order.slice(first + 3)).toEqual(order.slice(first + 3).map(() => 0));
  });

  test("a lane whose task has no room does not block those below", async () => {
    lanes.fill(lanes.lane("a", 9), 10);
    lanes.fill(lanes.lane("b", 1), 10);
    const taker = new HandTaker(4, { a: 1, b: 10 });
    dispatcher.add(taker);
    await round();
    for (const lane of lanes.all()) lanes.deliver(lane);
    await round();
    expect(counts(taker.took, task)).toEqual({ a: 1, b: 3 });
  });

  test("whatever arrives when, no ticket overtakes one that is known of above it", {
    timeout: 60_000,
  }, async () => {
    const arrivals = array(
      record({
        name: constantFrom("a", "b"),
        priority: integer({ min: 0, max: 9 }),
        count: integer({ min: 1, max: 4 }),
        done: integer({ min: 0, max: 3 }),
      }),
      { minLength: 1, maxLength: 15 },
    );
    await assert(
      asyncProperty(arrivals, integer({ min: 1, max: 3 }), async (all, credit) => {
        lanes = new HandDrivenLanes();
        const taker = new HandTaker(credit, { a: 100, b: 100 });
        const mine = aDispatcher();
        lanes.serve(mine);
        const take = taker.take.bind(taker);
        taker.take = (ticket) => {
          const known = lanes
            .all()
            .filter(({ pending, key }) => pending > 0 && key.priority > ticket.lane.priority);
          expect(known.map(({ name }) => name)).toEqual([]);
          take(ticket);
        };
        mine.add(taker);
        for (const { name, priority: p, count, done } of all) {
          lanes.fill(lanes.lane(name, p), count);
          await round();
          for (const lane of lanes.all()) lanes.deliver(lane);
          await round();
          taker.finish(done);
          mine.soon();
        }
        mine.stop();
      }),
      { numRuns: 300 },
    );
  });
});

describe("tasks of one priority take turns", () => {
  test.each([1, 2, 5, 20])("with credit for %d", async (credit) => {
    for (const name of ["a", "b", "c"]) lanes.fill(lanes.lane(name, 5), 200);
    const taker = new HandTaker(credit, { a: 1_000, b: 1_000, c: 1_000 });
    dispatcher.add(taker);
    await drain([taker], Math.ceil(90 / credit));
    const shares = counts(taker.took.slice(0, 90), task);
    for (const name of ["a", "b", "c"])
      expect(Math.abs((shares[name] ?? 0) - 30)).toBeLessThanOrEqual(credit);
  });

  test("none is left out where a worker takes from two queues in turn", async () => {
    for (const name of ["a", "b"]) for (const from of ["q", "r"]) lanes.fill(lanes.lane(name, 5, from), 100);
    const taker = new HandTaker(0, { a: 1_000, b: 1_000 }, { q: 1, r: 1 });
    dispatcher.add(taker);
    await round();
    // All of it is here, and there is credit for one at a time.
    for (const lane of lanes.all()) {
      lane.pulling = 10;
      lanes.deliver(lane);
      lane.pending = 0;
      lane.backlog.length = 0;
    }
    await round();
    taker.credit = 1;
    for (let i = 0; i < 16; i++) {
      dispatcher.soon();
      await round();
      taker.finish();
    }
    expect(counts(taker.took, (t) => `${queue(t)} ${task(t)}`)).toEqual({
      "q a": 4,
      "q b": 4,
      "r a": 4,
      "r b": 4,
    });
  });
});

describe("queues are served by the worker's weights", () => {
  test.each([
    [{ q: 3, r: 1 }, 1, { q: 30, r: 10 }],
    [{ q: 3, r: 1 }, 8, { q: 30, r: 10 }],
    [{ q: 1, r: 1 }, 1, { q: 20, r: 20 }],
    [{ q: 100, r: 1 }, 1, { q: 40, r: 0 }],
  ])("%j with credit for %d", async (weights, credit, expected) => {
    for (const name of Object.keys(weights)) lanes.fill(lanes.lane("a", 5, name), 500);
    const taker = new HandTaker(credit, { a: 1_000 }, weights);
    dispatcher.add(taker);
    await drain([taker], Math.ceil(40 / credit) + 2);
    const shares = counts(taker.took.slice(0, 40), queue);
    for (const [name, share] of Object.entries(expected)) {
      expect(Math.abs((shares[name] ?? 0) - share)).toBeLessThanOrEqual(Math.max(1, credit / 2));
    }
  });

  test("a priority says nothing across queues", async () => {
    lanes.fill(lanes.lane("a", 9, "q"), 100);
    lanes.fill(lanes.lane("a", 0, "r"), 100);
    const taker = new HandTaker(1, { a: 10 }, { q: 1, r: 1 });
    dispatcher.add(taker);
    await drain([taker], 22);
    const shares = counts(taker.took.slice(0, 20), queue);
    expect(Math.abs((shares.q ?? 0) - 10)).toBeLessThanOrEqual(1);
  });

  test("one that was empty for long is owed no more than the others", async () => {
    lanes.fill(lanes.lane("a", 5, "q"), 500);
    lanes.lane("a", 5, "r");
    const taker = new HandTaker(1, { a: 10 }, { q: 1, r: 1 });
    dispatcher.add(taker);
    await drain([taker], 50);
    lanes.fill(lanes.lane("a", 5, "r"), 500);
    const before = taker.took.length;
    await drain([taker], 22);
    const shares = counts(taker.took.slice(before, before + 20), queue);
    expect(Math.abs((shares.q ?? 0) - 10)).toBeLessThanOrEqual(2);
  });

  test("all credit goes to the one that has work", async () => {
    lanes.lane("a", 5, "r");
    lanes.fill(lanes.lane("a", 5, "q"), 500);
    dispatcher.add(new HandTaker(10, { a: 100 }, { q: 1, r: 9 }));
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 10"]);
  });
});

test("several workers are served in turn, each of its own tasks", async () => {
  lanes.fill(lanes.lane("a", 5), 100);
  lanes.fill(lanes.lane("b", 5), 100);
  const both = new HandTaker(2, { a: 10, b: 10 });
  const one = new HandTaker(2, { b: 10 });
  dispatcher.add(both);
  dispatcher.add(one);
  await drain([both, one], 20);
  expect(one.took.every((ticket) => task(ticket) === "b")).toBe(true);
  expect(one.took.length).toBeGreaterThan(20);
  expect(counts(both.took, task).a).toBeGreaterThan(20);
  expect(both.flushed).toBeGreaterThan(10);
});
