// Who is handed which ticket next, with the lanes in the test's hand.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Dispatcher } from "../../../broker/src/app/dispatcher.js";
import type { Ticket } from "../../../broker/src/app/ports.js";
import { aTicket, HandDrivenLanes, HandTaker } from "../../support/hand-driven-lanes.js";

let lanes: HandDrivenLanes;
let givenBack: Ticket[];
let examined: Ticket[];
let now: number;
let dispatcher: Dispatcher;

beforeEach(() => {
  lanes = new HandDrivenLanes();
  givenBack = [];
  examined = [];
  now = 1_000_000;
  dispatcher = new Dispatcher(
    lanes,
    (ticket) => givenBack.push(ticket),
    async (ticket) => {
      examined.push(ticket);
    },
    { buffered: 5_000 },
    () => now,
  );
  lanes.serve(dispatcher);
});

afterEach(() => dispatcher.stop());

/** One round of planning and handing out. */
function round(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

describe("what is asked of a lane", () => {
  test("is as much as there is credit for, and no more however often it is planned", async () => {
    const lane = lanes.lane("a", 5);
    lanes.fill(lane, 100);
    dispatcher.add(new HandTaker(10, { a: 100 }));
    await round();
    dispatcher.soon();
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 10"]);
  });

  test("is not more than it is known to hold", async () => {
    lanes.fill(lanes.lane("a", 5), 3);
    dispatcher.add(new HandTaker(10, { a: 100 }));
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 3"]);
  });

  test("is nothing without credit, and more as soon as there is some", async () => {
    const lane = lanes.lane("a", 5);
    lanes.fill(lane, 100);
    const taker = new HandTaker(0, { a: 100 });
    dispatcher.add(taker);
    await round();
    expect(lanes.pulls).toEqual([]);
    taker.credit = 2;
    dispatcher.soon();
    await round();
    lanes.deliver(lane);
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 2"]);
    expect(taker.took).toHaveLength(2);
    taker.finish(1);
    dispatcher.soon();
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 2", "q/a/5 1"]);
  });

  test("is what the takers together have credit for", async () => {
    lanes.fill(lanes.lane("a", 5), 100);
    for (const credit of [3, 4, 0]) dispatcher.add(new HandTaker(credit, { a: 100 }));
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 7"]);
  });

  test("is bounded by the task's own credit, and the rest goes to other tasks", async () => {
    lanes.fill(lanes.lane("a", 5), 100);
    lanes.fill(lanes.lane("b", 5), 100);
    dispatcher.add(new HandTaker(10, { a: 2, b: 100 }));
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 2", "q/b/5 8"]);
  });

  test("is nothing of tasks and queues that nobody serves", async () => {
    lanes.fill(lanes.lane("b", 9), 10);
    lanes.fill(lanes.lane("a", 9, "other"), 10);
    dispatcher.add(new HandTaker(10, { a: 10 }));
    await round();
    expect(lanes.pulls).toEqual([]);
    expect(lanes.probed()).toEqual([]);
  });
});

describe("a request for one ticket stays open", () => {
  test("on every lane that is believed empty, also while a lower one is drained", async () => {
    for (const priority of [9, 7, 5]) lanes.lane("a", priority);
    lanes.fill(lanes.lane("a", 3), 50);
    const taker = new HandTaker(2, { a: 100 });
    dispatcher.add(taker);
    for (let i = 0; i < 10; i++) {
      await round();
      expect(lanes.probed()).toEqual(["q/a/9", "q/a/7", "q/a/5"]);
      lanes.deliver(lanes.lane("a", 3));
      await round();
      taker.finish();
      dispatcher.soon();
    }
    expect(taker.took).toHaveLength(20);
  });

  test("also while the worker is busy: what it brings waits for credit", async () => {
    const high = lanes.lane("a", 9);
    const taker = new HandTaker(0, { a: 100 });
    dispatcher.add(taker);
    await round();
    expect(lanes.probed()).toEqual(["q/a/9"]);
    lanes.fill(high, 1, false);
    lanes.deliver(high);
    await round();
    expect(taker.took).toEqual([]);
    expect(lanes.probed()).toEqual([]);
    taker.credit = 1;
    dispatcher.soon();
    await round();
    expect(taker.took).toHaveLength(1);
  });

  test("for nobody who wants no more jobs", async () => {
    lanes.lane("a", 5);
    const taker = new HandTaker(1, { a: 1 });
    dispatcher.add(taker);
    await round();
    expect(lanes.probed()).toEqual(["q/a/5"]);
    taker.active = false;
    dispatcher.soon();
    await round();
    expect(lanes.probed()).toEqual([]);
    taker.active = true;
    dispatcher.soon();
    await round();
    dispatcher.remove(taker);
    await round();
    expect(lanes.probed()).toEqual([]);
  });
});

describe("what arrives beyond the credit", () => {
  /** A worker without credit and a ticket that came all the same. */
  async function buffered(): Promise<{ taker: HandTaker; ticket: Ticket }> {
    const lane = lanes.lane("a", 5);
    const taker = new HandTaker(0, { a: 10 });
    dispatcher.add(taker);
    const ticket = aTicket(lane.key);
    dispatcher.delivered(ticket);
    await round();
    return { taker, ticket };
  }

  test("waits here for 5 s and then goes back", async () => {
    const { taker, ticket } = await buffered();
    now += 4_999;
    dispatcher.expire();
    expect(givenBack).toEqual([]);
    expect(dispatcher.isBuffered(`a~${ticket.ref.key}`)).toBe(true);
    now += 1;
    dispatcher.expire();
    expect(givenBack).toEqual([ticket]);
    expect(dispatcher.isBuffered(`a~${ticket.ref.key}`)).toBe(false);
    taker.credit = 1;
    dispatcher.soon();
    await round();
    expect(taker.took).toEqual([]);
    // Known to be there again: it is asked for, not waited for.
    expect(lanes.pulls).toEqual(["q/a/5 1"]);
  });

  test("goes back each in its own time", async () => {
    const { ticket } = await buffered();
    now += 3_000;
    const later = aTicket(ticket.lane);
    dispatcher.delivered(later);
    now += 2_000;
    dispatcher.expire();
    expect(givenBack).toEqual([ticket]);
    now += 3_000;
    dispatcher.expire();
    expect(givenBack).toEqual([ticket, later]);
  });

  test("is handed out before that once there is credit", async () => {
    const { taker, ticket } = await buffered();
    now += 4_000;
    taker.credit = 1;
    dispatcher.soon();
    await round();
    expect(taker.took).toEqual([ticket]);
    now += 60_000;
    dispatcher.expire();
    expect(givenBack).toEqual([]);
  });

  test("can be taken out when its job was cancelled, once", async () => {
    const { ticket } = await buffered();
    expect(dispatcher.discard("a~someone-else")).toBeUndefined();
    expect(dispatcher.discard(`a~${ticket.ref.key}`)).toBe(ticket);
    expect(dispatcher.discard(`a~${ticket.ref.key}`)).toBeUndefined();
  });

  test("goes back when its lane is gone", async () => {
    const { ticket } = await buffered();
    lanes.remove(lanes.lane("a", 5));
    dispatcher.moved(lanes.lane("b", 5));
    await round();
    expect(givenBack).toEqual([ticket]);
  });

  test("goes back when the broker stops, and so does all that comes after", async () => {
    const { ticket } = await buffered();
    dispatcher.stop();
    expect(givenBack).toEqual([ticket]);
    expect(lanes.probed()).toEqual([]);
    const late = aTicket(ticket.lane);
    dispatcher.delivered(late);
    expect(givenBack).toEqual([ticket, late]);
  });
});

describe("a queue that rests", () => {
  test("is asked for nothing, and what was here of it goes back", async () => {
    const lane = lanes.lane("a", 5);
    lanes.lane("a", 9);
    lanes.fill(lanes.lane("a", 5, "other"), 1);
    const taker = new HandTaker(0, { a: 10 }, { q: 1, other: 1 });
    dispatcher.add(taker);
    const ticket = aTicket(lane.key);
    dispatcher.delivered(ticket);
    await round();
    dispatcher.pause(new Set(["q"]));
    expect(givenBack).toEqual([ticket]);
    lanes.fill(lane, 5);
    taker.credit = 5;
    dispatcher.soon();
    await round();
    expect(lanes.pulls).toEqual(["other/a/5 1"]);
    expect(lanes.probed()).toEqual([]);
    const late = aTicket(lane.key);
    dispatcher.delivered(late);
    expect(givenBack).toEqual([ticket, late]);
  });

  test("is served again when it no longer does", async () => {
    const lane = lanes.lane("a", 5);
    lanes.fill(lane, 5);
    dispatcher.pause(new Set(["q"]));
    dispatcher.add(new HandTaker(2, { a: 10 }));
    await round();
    expect(lanes.pulls).toEqual([]);
    dispatcher.pause(new Set());
    await round();
    expect(lanes.pulls).toEqual(["q/a/5 2"]);
  });
});

describe("a ticket is looked at before it runs when", () => {
  test.each<[string, Partial<Ticket>]>([
    ["it is not trusted", { trusted: false }],
    ["it is a tombstone", { stored: undefined }],
    ["it cannot be read", { corrupt: new Uint8Array([1]) }],
  ])("%s", async (_, fields) => {
    const lane = lanes.lane("a", 5);
    const taker = new HandTaker(1, { a: 1 });
    dispatcher.add(taker);
    const ticket = aTicket(lane.key, fields);
    dispatcher.delivered(ticket);
    await round();
    expect(examined).toEqual([ticket]);
    expect(taker.took).toEqual([]);
    dispatcher.accept(ticket);
    await round();
    expect(taker.took).toEqual([ticket]);
  });
});
