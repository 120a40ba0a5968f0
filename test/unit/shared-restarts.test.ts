import { beforeEach, expect, test } from "vitest";
import { SharedRestarts } from "../../broker/src/shared-restarts.js";

/** The restarts that were begun, each to be ended by a call. */
let begun: { why: string; end: () => void; fail: (error: Error) => void }[];
let restarts: SharedRestarts;

beforeEach(() => {
  begun = [];
  restarts = new SharedRestarts(
    (why) => new Promise((end, fail) => begun.push({ why, end: () => end(), fail })),
  );
});

test("two that ask at a time get one restart", async () => {
  const asked = [restarts.ask("frozen, says one", 0), restarts.ask("frozen, says two", 0)];
  expect(begun.map(({ why }) => why)).toEqual(["frozen, says one"]);
  begun[0]?.end();
  expect(await Promise.all(asked)).toEqual([1, 1]);
  expect(restarts.times).toBe(1);
});

test("one that asks after a restart that it has not heard of gets that one", async () => {
  const first = restarts.ask("frozen", 0);
  begun[0]?.end();
  await first;
  expect(await restarts.ask("frozen, as I saw it before", 0)).toBe(1);
  expect(begun).toHaveLength(1);
});

test("one that has heard of it means another trouble", async () => {
  const first = restarts.ask("frozen", 0);
  begun[0]?.end();
  await first;
  const second = restarts.ask("frozen again", 1);
  begun[1]?.end();
  expect(await second).toBe(2);
});

test("one that fails is told to all that waited for it, and another may be asked for", async () => {
  const asked = [restarts.ask("frozen", 0), restarts.ask("frozen", 0)];
  begun[0]?.fail(new Error("no space"));
  await expect(Promise.all(asked)).rejects.toThrow("no space");
  const again = restarts.ask("still frozen", restarts.times);
  begun[1]?.end();
  expect(await again).toBe(2);
});
