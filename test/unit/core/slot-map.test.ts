import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { array, assert, integer, property, tuple } from "fast-check";
import { expect, test } from "vitest";
import { SlotMap } from "../../../broker/src/core/slot-map.js";

test("whatever comes and goes, it holds what a Map would hold, in a Map's order", async () => {
  const step = tuple(integer({ min: 0, max: 5 }), integer({ min: 0, max: 2 }), integer());
  await assert(
    property(array(step, { maxLength: 50 }), (steps) => {
      const slots = new SlotMap<number, number>();
      const map = new Map<number, number>();
      for (const [key, action, value] of steps) {
        if (action === 0) expect(slots.delete(key)).toBe(map.delete(key));
        else {
          slots.set(key, value);
          map.set(key, value);
        }
        expect(slots.size).toBe(map.size);
        expect(slots.get(key)).toBe(map.get(key));
        expect(slots.has(key)).toBe(map.has(key));
        expect([...slots.values()]).toEqual([...map.values()]);
      }
    }),
  );
});

test("what was deleted is gone with the next collection of the young generation, however much came and went before", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { type: "minor" | "major" }) => void;
  const bytes = 2_048;
  const slots = new SlotMap<string, number[]>();
  let key = 0;
  const cycle = () => {
    const first = key;
    for (let i = 0; i < 100; i++) slots.set(`job~${key++}`, new Array<number>(bytes / 8).fill(key));
    for (let i = first; i < key; i++) slots.delete(`job~${i}`);
    collect({ type: "minor" });
  };
  // None of everything comes in between: it would find what is kept to be for nothing.
  setFlagsFromString("--no-incremental-marking");
  collect({ type: "major" });
  // Its first table comes to the old generation.
  slots.set("first", []);
  for (let i = 0; i < 3; i++) collect({ type: "minor" });
  for (let i = 0; i < 10; i++) cycle();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 20; i++) cycle();
  const kept = process.memoryUsage().heapUsed - before;
  setFlagsFromString("--incremental-marking");
  expect(kept).toBeLessThan((20 * 100 * bytes) / 4);
});
