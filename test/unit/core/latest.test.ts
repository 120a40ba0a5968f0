import fc from "fast-check";
import { expect, test } from "vitest";
import { Latest } from "../../../broker/src/core/latest.js";

test("the latest are remembered, and never more than twice as many", () => {
  const most = 5;
  const step = fc.record({ value: fc.integer({ min: 0, max: 30 }), add: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const latest = new Latest<number>(most);
      let added: number[] = [];
      for (const { value, add } of steps) {
        added = added.filter((each) => each !== value);
        if (add) {
          latest.add(value);
          added.push(value);
        } else {
          latest.delete(value);
          expect(latest.has(value)).toBe(false);
        }
        expect(added.slice(-most).every((each) => latest.has(each))).toBe(true);
        const held = Array.from({ length: 31 }, (_, each) => each).filter((each) => latest.has(each));
        expect(held.length).toBeLessThanOrEqual(2 * most);
        expect(held.every((each) => added.includes(each))).toBe(true);
      }
    }),
  );
});
