// For how long the oldest ready job of a lane has been waiting, and how rarely the store is asked for that.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { OldestReady } from "../../broker/src/jetstream/oldest-ready.js";
import { leaseOne, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { until } from "../support/until.js";

let scene: Scene;
let broker: RunningBroker;

beforeAll(async () => {
  scene = await Scene.open();
  broker = await scene.broker();
});
afterAll(() => scene.close());

test("a lane that stands still is looked at once a minute, one that moves every time", async () => {
  const { nc, lanes, subjects } = broker.parts.store;
  const task = freshTask();
  const storedAt: number[] = [];
  for (const key of ["first", "second", "third"]) {
    const { ref } = await submit(broker, { task, key });
    const { seq } = await scene.current(ref);
    const message = await scene.jsm.streams.getMessage(scene.lane(task).stream, { seq });
    storedAt.push(Date.parse(message?.timestamp ?? ""));
  }
  const [first = 0, second = 0, third = 0] = storedAt;
  await until("the jobs to be known of", async () => {
    await lanes.refresh();
    return lanes.all().some((lane) => lane.key.task === task && lane.pending === 3);
  });

  let now = third + 1_000;
  let asked = 0;
  const counting = new Proxy(nc, {
    get(target, name) {
      if (name === "request") asked++;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const oldest = new OldestReady({
    nc: counting,
    lanes,
    stream: (shard) => subjects.stream(shard),
    now: () => now,
    problem: (error) => expect(error).toBeUndefined(),
  });
  const age = async () => {
    await oldest.look();
    return [...oldest.ages()].find(({ key }) => key.task === task)?.seconds;
  };

  expect(await age()).toBe((now - first) / 1_000);
  expect(await age()).toBe((now - first) / 1_000);
  expect(asked).toBe(1);
  // Nothing is delivered, so only another look can tell.
  await broker.api.jobs.cancel({ task, key: "first" }, "");
  now += 60_000;
  expect(await age()).toBe((now - second) / 1_000);
  expect(asked).toBe(2);
  await leaseOne(broker, task);
  expect(await age()).toBe((now - third) / 1_000);
  expect(asked).toBe(3);
});
