// Promotion by the use cases that ship, on the model of the store.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Agenda } from "../../../broker/src/app/agenda.js";
import type { JobRef } from "../../../broker/src/core/job.js";
import type { ModelBroker } from "../../support/model/broker.js";
import { theLane } from "../../support/model/ports.js";
import { soundWorld, World } from "../../support/model/world.js";
import { retrying } from "../../support/stored-jobs.js";

const delay = 60_000;
let world: World;
let broker: ModelBroker;

beforeEach(() => {
  world = new World(soundWorld);
  [broker] = world.brokers as [ModelBroker];
});
afterEach(() => world.close());

async function submit(key: string, wait = delay): Promise<JobRef> {
  const ref = { task: theLane.task, key };
  const spec = retrying({}, { ...ref, queue: theLane.queue, runAt: world.time + wait });
  const stored = broker.intake.create(spec);
  await world.goAll();
  await stored;
  return ref;
}

async function round(): Promise<void> {
  const done = broker.promoter.round();
  await world.goAll();
  await done;
}

const messages = (ref: JobRef) => world.store.of(ref);
const phase = (ref: JobRef) => world.store.read(ref).current?.phase;

test("a delay has its alarm five seconds later than its time, and none any more once it is ended", async () => {
  const ref = await submit("a");
  expect(messages(ref)).toMatchObject([{ phase: "later", fireAt: world.time + delay + 5_000 }]);
  world.time += delay;
  await round();
  expect(messages(ref)).toMatchObject([{ phase: "ready" }]);
  expect(broker.agenda.size).toBe(0);
});

test("a round before its time leaves it as it is", async () => {
  const ref = await submit("a");
  world.time += delay - 1;
  await round();
  expect(phase(ref)).toBe("later");
  expect(broker.agenda.size).toBe(1);
});

test("one for which there is no room has its alarm at the due time itself", async () => {
  await submit("a");
  await submit("b");
  const third = await submit("c");
  expect(messages(third)).toMatchObject([{ phase: "later", fireAt: world.time + delay }]);
});

test("a place is free again when a delay is over, and when it could not be stored", async () => {
  const agenda = new Agenda({ places: 1, distantPlaces: 1, distant: 1e9 });
  const ref = { task: "t", key: "k" };
  expect([agenda.book(5, 0), agenda.book(6, 0)]).toEqual([true, false]);
  agenda.release();
  expect(agenda.book(6, 0)).toBe(true);
  agenda.keep({ dueAt: 6, ref });
  expect(agenda.book(7, 0)).toBe(false);
  expect(agenda.take(6, 10)).toEqual([{ dueAt: 6, ref }]);
  expect(agenda.book(7, 0)).toBe(true);
});

test("one that the store does not take leaves no place taken", async () => {
  const agenda = new Agenda({ places: 1, distantPlaces: 1, distant: 1e9 });
  const due = { dueAt: 60_000, ref: { task: "t", key: "k" } };
  const alarms: number[] = [];
  const away = agenda.store(due, 0, async () => Promise.reject(new Error("away")));
  await expect(away).rejects.toThrow("away");
  const stored = async (alarmAt: number) => alarms.push(alarmAt);
  expect([await agenda.store(due, 0, stored), await agenda.store(due, 0, stored)]).toEqual([1, 2]);
  // The second found no room: its alarm is all that ends it.
  expect([alarms, agenda.size]).toEqual([[65_000, 60_000], 1]);
});

test("what is over four seconds late is left to the alarm", async () => {
  const ref = await submit("a");
  world.time += delay + 4_001;
  await round();
  expect(phase(ref)).toBe("later");
  expect(broker.agenda.size).toBe(0);
});

test("a job that was cancelled meanwhile stays cancelled", async () => {
  const ref = await submit("a");
  const cancelled = broker.cancel.cancel(ref, "");
  await world.goAll();
  await cancelled;
  world.time += delay;
  await round();
  expect(phase(ref)).toBe("cancelled");
});

test("an alarm that was raised all the same finds nothing to do", async () => {
  const ref = await submit("a");
  world.time += delay + 5_000;
  world.store.startPass(world.time);
  world.time -= 5_000;
  await round();
  const { rev } = world.store.read(ref).current ?? {};
  world.store.fire();
  world.ringAll(broker);
  await world.goAll();
  expect(world.store.read(ref).current).toMatchObject({ phase: "ready", rev });
});

describe("a store that does not answer", () => {
  test("is asked again while there is time", async () => {
    const ref = await submit("a");
    world.time += delay;
    const done = broker.promoter.round();
    // The read, then the write: given up.
    world.go(0, "answered");
    await new Promise((resolve) => setImmediate(resolve));
    world.go(0, "given-up");
    await done;
    expect(phase(ref)).toBe("later");
    expect(broker.agenda.size).toBe(1);
    await round();
    expect(phase(ref)).toBe("ready");
  });
});
