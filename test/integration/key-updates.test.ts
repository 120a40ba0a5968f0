// Changes of concurrency keys by several brokers at a time, many in one batch: none is lost, none is made twice, and one
// that cannot be made holds no other up.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { KeyUse } from "../../broker/src/core/key-use.js";
import { freshTask, Scene } from "../support/scene.js";

let scene: Scene;
let brokers: RunningBroker[];

beforeAll(async () => {
  scene = await Scene.open();
  brokers = await Promise.all([1, 2].map(() => scene.broker()));
});
afterAll(() => scene.close());

const storeOf = ({ parts }: RunningBroker) => parts.store.keys;
const withOne = (origin: number) => (use: KeyUse) => ({
  ...use,
  taken: [...use.taken, { key: `job-${origin}`, origin, since: 1 }],
});

test.each([
  ["of one key, which two brokers fight for", 1, 40],
  ["of a few keys", 5, 20],
  ["of more keys than go into a batch, each changed by both", 300, 2],
])("%s: each is there, once", async (_, count, each) => {
  const task = freshTask();
  const keys = Array.from({ length: count }, (__, i) => ({ task, key: `key-${i}` }));
  const changes = keys.flatMap((key) =>
    Array.from({ length: each }, (__, i) =>
      storeOf(brokers[i % 2] as RunningBroker).update(key, withOne(i + 1)),
    ),
  );
  await Promise.all(changes);
  for (const key of keys) {
    const { taken } = await storeOf(brokers[0] as RunningBroker).read(key);
    expect(taken.map(({ origin }) => origin).sort((a, b) => a - b)).toEqual(
      Array.from({ length: each }, (__, i) => i + 1),
    );
  }
});

test("each learns what it made, and one that fails is the only one that does", async () => {
  const task = freshTask();
  const store = storeOf(brokers[0] as RunningBroker);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 30 }, (_, i) =>
      store.update({ task, key: `key-${i}` }, (use) => {
        if (i === 7) throw new Error("not this one");
        return i === 8 ? use : withOne(i)(use);
      }),
    ),
  );
  for (const [i, outcome] of outcomes.entries()) {
    if (i === 7) expect(outcome).toMatchObject({ status: "rejected", reason: { message: "not this one" } });
    else expect(outcome).toMatchObject({ value: { taken: i === 8 ? [] : [{ origin: i }] } });
  }
});
