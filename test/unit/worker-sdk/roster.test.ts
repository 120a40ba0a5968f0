// What the thread that keeps vigil sees of the worker.

import { expect, test } from "vitest";
import { Holdings } from "../../../worker-sdk/typescript/src/holdings.js";
import { Roster } from "../../../worker-sdk/typescript/src/roster.js";
import { lease } from "./leases.js";

test("what is entered is seen over the same memory, until it leaves", () => {
  const roster = Roster.for(3);
  const [first, second] = [roster.enter("one"), roster.enter("x".repeat(512))];
  const seen = new Roster(roster.memory);
  expect(seen.tokens()).toEqual(["one", "x".repeat(512)]);
  roster.leave(first);
  roster.leave(second);
  expect(seen.tokens()).toEqual([]);
});

test("places are used again, and what finds none has none", () => {
  const roster = Roster.for(2);
  const place = roster.enter("one");
  roster.enter("two");
  expect(roster.enter("three")).toBe(-1);
  roster.leave(place);
  expect(roster.enter("three")).toBe(place);
  expect(roster.tokens().sort()).toEqual(["three", "two"]);
});

test("a token that is longer than tokens are finds no place", () => {
  const roster = Roster.for(1);
  expect(roster.enter("x".repeat(513))).toBe(-1);
  expect(roster.tokens()).toEqual([]);
});

test("the beat is seen over the same memory", () => {
  const roster = Roster.for(1);
  const seen = new Roster(roster.memory);
  const before = seen.beat;
  roster.tick();
  expect(seen.beat).not.toBe(before);
});

test("a lease stands in the roster until it is settled, refused or lost, and only once", () => {
  const roster = Roster.for(4);
  const holdings = new Holdings(roster);
  const [recorded, refused, lost, kept] = [1, 2, 3, 4].map((leaseId) => holdings.add(lease(leaseId)));
  if (recorded === undefined || lost === undefined || kept === undefined) return expect.unreachable();
  expect(roster.tokens()).toHaveLength(4);
  holdings.settle({
    recorded: [recorded.leaseId],
    refused: [{ leaseId: refused?.leaseId ?? 0, token: "", error: undefined }],
  });
  holdings.drop(lost);
  holdings.drop(lost);
  expect(roster.tokens()).toEqual([kept.lease.token]);
  holdings.reattach([{ token: kept.lease.token, leaseId: 9, cancelRequested: false }]);
  expect(roster.tokens()).toEqual([kept.lease.token]);
});
