// The way without a promise, by which nearly all submits go, must come to the same as the way with one: exactly one answer,
// whatever the store says to the write.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Answer, answersTo, ScriptedStore } from "../../support/scripted-store.js";
import { aSpec, stored } from "../../support/stored-jobs.js";

const ref = { task: "mail.send", key: "k1" };
let store: ScriptedStore;
let hinted: string[];

beforeEach(() => {
  store = new ScriptedStore();
  store.current = { current: stored("ready", { seq: 9 }), last: 9 };
  hinted = [];
  store.hints.listen(ref, (end) => hinted.push(end?.phase ?? "created"));
});
afterEach(() => store.close());

const expectedOf = () => store.writes.map(({ expected }) => expected);

describe("a new job that is ready at once", () => {
  const create = () =>
    answersTo((told) =>
      store.intake.createNow(
        aSpec(),
        (made) => told(made.created ? "created" : made.existing.current?.phase),
        told,
      ),
    );

  test("that the store takes is told of once, and its lane is known not to be empty", async () => {
    store.answers = [12];
    expect(await create()).toEqual(["created"]);
    expect([expectedOf(), store.filled, hinted]).toEqual([[0], 1, ["created"]]);
  });

  test("whose key has a job already is answered with that one", async () => {
    store.answers = ["conflict"];
    expect(await create()).toEqual(["ready"]);
    expect([store.writes.length, store.filled, hinted]).toEqual([1, 0, []]);
  });

  test("whose key has but tombstones of a job that was, is stored on top of them", async () => {
    store.answers = ["conflict", 31];
    store.current = { current: undefined, last: 30 };
    expect(await create()).toEqual(["created"]);
    expect(expectedOf()).toEqual([0, 30]);
  });

  test.each<[string, Answer[]]>([
    ["at once", ["away"]],
    ["after a conflict", ["conflict", "away"]],
  ])("that finds the store away %s fails once", async (_, script) => {
    store.answers = script;
    store.current = { current: undefined, last: 30 };
    expect(await create()).toEqual(["mail.send~k1: away"]);
    expect([store.filled, hinted]).toEqual([0, []]);
  });
});
