import { describe, expect, test } from "vitest";
import {
  aboutToPark,
  giveBack,
  type KeyUse,
  noneWait,
  reserve,
  sifted,
  take,
  unusedKey,
} from "../../../broker/src/core/key-use.js";

const now = 1_000_000;
const a = { key: "a", origin: 7, most: 1 };
const used = (...taken: [key: string, origin: number][]): KeyUse => ({
  taken: taken.map(([key, origin]) => ({ key, origin, since: now })),
  parkedAt: 0,
});
const keysOf = ({ taken }: KeyUse) => taken.map(({ key, origin }) => `${key} ${origin}`);

describe("a place is taken", () => {
  test.each<[string, KeyUse, typeof a, boolean, string[] | undefined]>([
    ["when there is one", unusedKey, a, false, ["a 7"]],
    ["by none more than may run", used(["b", 3]), a, false, undefined],
    ["by as many as may run", used(["b", 3]), { ...a, most: 2 }, false, ["b 3", "a 7"]],
    ["by nobody before those that wait", used(["b", 3]), { ...a, most: 2 }, true, undefined],
    ["by a job it is reserved for, whoever waits", used(["a", 0]), a, true, ["a 7"]],
    ["by the next run of a job once, not twice", used(["a", 5]), a, true, ["a 7"]],
    ["by none it is reserved for once fewer may run", used(["b", 3], ["a", 0]), a, false, undefined],
  ])("%s", (_, use, job, othersWait, expected) => {
    const { taken, use: after } = take(use, job, othersWait, now);
    expect(taken).toBe(expected !== undefined);
    if (expected !== undefined) expect(keysOf(after)).toEqual(expected);
  });
});

describe("a place is given back", () => {
  test("by the lease that has it, and by no other of the job", () => {
    const use = used(["a", 7], ["b", 3]);
    expect(keysOf(giveBack(use, "a", 7))).toEqual(["b 3"]);
    expect(giveBack(use, "a", 6)).toBe(use);
    expect(giveBack(use, "c", 7)).toBe(use);
  });

  test("where it is worth nothing any more", () => {
    const use = used(["a", 7], ["b", 3]);
    expect(keysOf(sifted(use, ({ key }) => key === "b"))).toEqual(["b 3"]);
    expect(sifted(use, () => true)).toBe(use);
  });
});

describe("places are reserved", () => {
  const waiters = (...keys: string[]) => keys.map((key) => ({ key, most: 3 }));

  test("for those that wait, in their order, as far as there are any", () => {
    expect(keysOf(reserve(used(["a", 7]), waiters("b", "c", "d"), now))).toEqual(["a 7", "b 0", "c 0"]);
  });

  test("once for each", () => {
    const use = used(["b", 0], ["a", 7], ["c", 0]);
    expect(reserve(use, waiters("b", "c"), now)).toBe(use);
  });

  test("for none while as many run as may where the first of them waits", () => {
    const use = used(["a", 7]);
    expect(reserve(use, [{ key: "b", most: 1 }, ...waiters("c")], now)).toBe(use);
  });
});

describe("that jobs wait", () => {
  test("is marked before the first is parked, and the mark is kept fresh", () => {
    const marked = aboutToPark(unusedKey, now);
    expect(marked.parkedAt).toBe(now);
    expect(aboutToPark(marked, now + 5_000)).toBe(marked);
    expect(aboutToPark(marked, now + 15_000).parkedAt).toBe(now + 15_000);
  });

  test("is forgotten only when no parking can be under way", () => {
    const marked = aboutToPark(unusedKey, now);
    expect(noneWait(marked, now + 59_000)).toBe(marked);
    expect(noneWait(marked, now + 61_000).parkedAt).toBe(0);
    expect(noneWait(unusedKey, now)).toBe(unusedKey);
  });
});
