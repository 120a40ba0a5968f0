// What a job's messages say together, in whatever order they are read.

import { assert, constantFrom, integer, property, record, shuffledSubarray, uniqueArray } from "fast-check";
import { describe, expect, test } from "vitest";
import type { Snapshot, Stored } from "../../../broker/src/core/job.js";
import { bears, isSameState, noJob, withMessage } from "../../../broker/src/core/snapshot.js";
import { alarmOf, stored } from "../../support/stored-jobs.js";

/** Messages in the order in which they are read; a number is a tombstone's sequence. */
function snapshotOf(...messages: (Stored | number)[]): Snapshot {
  return messages.reduce<Snapshot>(
    (snapshot, m) =>
      typeof m === "number" ? withMessage(snapshot, m, undefined) : withMessage(snapshot, m.seq, m),
    noJob,
  );
}

describe("the state is the message of the highest revision, and the value to compare and set the highest sequence", () => {
  const ticket = stored("ready", { rev: 1, seq: 10 });
  const done = stored("succeeded", { rev: 2, seq: 20 });
  const ghost = { ...alarmOf("held-a"), rev: 1, seq: 30 };

  test.each<[string, (Stored | number)[], Stored | undefined, number]>([
    ["nothing is no job", [], undefined, 0],
    ["one message is the job", [ticket], ticket, 10],
    ["an old ticket is a leftover", [done, ticket], done, 20],
    ["a ghost that landed later says nothing", [ghost, done], done, 30],
    ["a tombstone says nothing", [ticket, 40], ticket, 40],
    ["a tombstone alone is no job, but lies in the way of a new one", [40], undefined, 40],
    [
      "of a schedule and its alarm the alarm is left",
      [ghost, { ...ghost, phase: "held-a", seq: 5 }],
      ghost,
      30,
    ],
    ["whichever is read first", [{ ...ghost, phase: "held-a", seq: 5 }, ghost], ghost, 30],
  ])("%s", (_, messages, current, last) => {
    expect(snapshotOf(...messages)).toEqual({ current, last });
  });

  test("in any order of reading", async () => {
    const messages = uniqueArray(
      record({
        phase: constantFrom("ready" as const, "held-a" as const, "due" as const, "failed" as const),
        rev: integer({ min: 1, max: 5 }),
        seq: integer({ min: 1, max: 1_000 }),
      }),
      { selector: ({ seq }) => seq, minLength: 1, maxLength: 6 },
    ).chain((all) => shuffledSubarray(all, { minLength: all.length }));
    await assert(
      property(messages, (all) => {
        const ranked = [...all].sort((a, b) => b.rev - a.rev || b.seq - a.seq);
        const read = snapshotOf(...all.map((fields) => stored(fields.phase, fields)));
        expect(read.current).toMatchObject(ranked[0] ?? {});
        expect(read.last).toBe(Math.max(...all.map(({ seq }) => seq)));
      }),
    );
  });
});

describe("nothing was written in between", () => {
  const held = stored("held-a", { rev: 3, seq: 9, nonce: "n-1" });

  test.each<[string, Stored, boolean]>([
    ["when it is the same message", { ...held }, true],
    ["when it is the alarm that it became", { ...alarmOf("held-a"), rev: 3, seq: 50, nonce: "n-1" }, true],
    ["but not when it has another revision", { ...held, rev: 4 }, false],
    ["nor when a new job of its key has got to the same one", { ...held, seq: 90, nonce: "n-7" }, false],
  ])("%s", (_, other, same) => {
    expect(isSameState(held, other)).toBe(same);
    expect(isSameState(other, held)).toBe(same);
  });
});

describe("a commit is recognised by its nonce", () => {
  const ended = {
    number: 1,
    worker: "w",
    startedAt: 1,
    endedAt: 2,
    outcome: 2,
    failure: undefined,
    nonce: "n-end",
  };
  const snapshot = snapshotOf(
    stored("later", { nonce: "n-last" }, { submitNonce: "n-submit", history: [ended] }),
  );

  test.each([
    ["as the last one", "n-last", true],
    ["as the submit", "n-submit", true],
    ["as the end of an attempt since", "n-end", true],
    ["and no other", "n-other", false],
  ])("%s", (_, nonce, known) => {
    expect(bears(snapshot, nonce)).toBe(known);
  });

  test("and none where there is no job", () => {
    expect(bears(noJob, "n-last")).toBe(false);
    expect(bears(snapshotOf(40), "n-last")).toBe(false);
  });
});
