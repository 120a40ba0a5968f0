// The way without a promise, by which nearly all ends of attempts go, must come to the same as the way with one: exactly one
// answer, whatever the store says to the write.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Fence } from "../../../broker/src/app/ledger.js";
import { Refusal } from "../../../broker/src/core/errors.js";
import { type Answer, answersTo, ScriptedStore } from "../../support/scripted-store.js";
import { now, stored } from "../../support/stored-jobs.js";

const ref = { task: "mail.send", key: "k1" };
const run = { worker: "worker-1", startedAt: now - 10 };
const succeed = { type: "succeed", run, result: undefined } as const;
const ticket = stored("ready", { seq: 9 });
const anything: Fence = () => undefined;
const nothing: Fence = () => new Refusal("LEASE_LOST", "it is somebody else's");

let store: ScriptedStore;
let hinted: string[];

beforeEach(() => {
  store = new ScriptedStore();
  store.current = { current: ticket, last: 9 };
  hinted = [];
  store.hints.listen(ref, (end) => hinted.push(end?.phase ?? "created"));
});
afterEach(() => store.close());

const expectedOf = () => store.writes.map(({ expected }) => expected);

describe("a change of what is known", () => {
  const change = (fence: Fence) =>
    answersTo((told) =>
      store.ledger.changeKnown(
        ref,
        { stored: ticket, last: 9 },
        succeed,
        fence,
        (changed) => told([changed.stored.phase, changed.stored.seq, changed.last]),
        told,
      ),
    );

  test("that the store takes is told of once, with where it lies", async () => {
    store.answers = [12];
    expect(await change(nothing)).toEqual([["succeeded", 12, 12]]);
    expect([expectedOf(), hinted]).toEqual([[9], ["succeeded"]]);
  });

  test("that a ghost firing got in the way of is made again at the new sequence, whatever the fence says", async () => {
    store.answers = ["conflict", 21];
    store.current = { current: ticket, last: 20 };
    expect(await change(nothing)).toEqual([["succeeded", 21, 21]]);
    expect([expectedOf(), hinted]).toEqual([[9, 20], ["succeeded"]]);
  });

  test("that somebody else was faster than is judged by the fence, and made again from what he wrote", async () => {
    store.answers = ["conflict", 21];
    const held = stored("held-a", { seq: 20, rev: ticket.rev + 1 });
    store.current = { current: held, last: 20 };
    expect(await change(anything)).toEqual([["succeeded", 21, 21]]);
    expect(store.writes.at(-1)?.writes).toEqual([
      expect.objectContaining({ kind: "job", phase: "succeeded", rev: held.rev + 1 }),
    ]);
  });

  test("that somebody else was faster than is refused by the fence, and nothing is written", async () => {
    store.answers = ["conflict"];
    store.current = { current: stored("held-a", { seq: 20, rev: ticket.rev + 1 }), last: 20 };
    expect(await change(nothing)).toEqual(["it is somebody else's"]);
    expect([expectedOf(), hinted]).toEqual([[9], []]);
  });

  test.each<[string, Answer[]]>([
    ["at once", ["away"]],
    ["after a conflict", ["conflict", "away"]],
  ])("that finds the store away %s fails once", async (_, script) => {
    store.answers = script;
    expect(await change(anything)).toEqual(["mail.send~k1: away"]);
    expect(hinted).toEqual([]);
  });
});
