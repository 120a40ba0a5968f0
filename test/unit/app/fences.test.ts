// Who may report an attempt: a worker as long as the job's message stems from the ticket it was given, a broker acting on
// its own only while nothing was written since it knew.

import { describe, expect, test } from "vitest";
import {
  byOrigin,
  isHolder,
  isPassing,
  superseded,
  unmoved,
  untouched,
} from "../../../broker/src/app/fences.js";
import { Refusal } from "../../../broker/src/core/errors.js";
import { type Attempt, AttemptOutcome, type Stored } from "../../../broker/src/core/job.js";
import { aHold, alarmOf, stored } from "../../support/stored-jobs.js";

const claim = { ref: { task: "mail.send", key: "k1" }, attempt: 2, origin: 7 };
const hold = aHold({ origin: 7 });
const taken = aHold({ origin: 8 });

function attempt(number: number, outcome: number): Attempt {
  return { number, worker: "w", startedAt: 1, endedAt: 2, outcome, failure: undefined, nonce: "n" };
}

const mine: [string, Stored][] = [
  ["the ticket it was given, untouched", stored("ready", { seq: 7 })],
  ["a lease written from it", stored("held-a", { seq: 20 }, { hold })],
  ["a heartbeat later", stored("held-b", { seq: 30, rev: 9 }, { hold })],
  ["a lease that has just ended and was not looked into", { ...alarmOf("held-a", { hold }), seq: 40 }],
  ["the same of the other subject", { ...alarmOf("held-b", { hold }), seq: 40 }],
];

const others: [string, Stored][] = [
  ["the same ticket again, under a new sequence", stored("ready", { seq: 8 })],
  ["a ticket whose sequence is that of somebody's hold", stored("ready", { seq: 8 }, { hold })],
  ["somebody else's lease", stored("held-a", { seq: 7 }, { hold: taken })],
  ["somebody else's ended lease", alarmOf("held-b", { hold: taken })],
  ["a wait", stored("later", { seq: 7 })],
  ["a wait that is over", { ...alarmOf("later"), seq: 7 }],
  ["a blocked job", stored("blocked", { seq: 7 })],
  ["a blocked job at its deadline", { ...alarmOf("blocked"), seq: 7 }],
  ["a success", stored("succeeded", { seq: 7 })],
  ["a failure, even if it says who held it", stored("failed", { seq: 7 }, { hold })],
  ["a cancelled job", stored("cancelled", { seq: 7 })],
  ["a kept record", stored("kept", { seq: 7 }, { outcome: "succeeded" })],
];

describe("a worker may report while the job is", () => {
  test.each(mine)("%s", (_, current) => {
    expect(isHolder(current, claim)).toBe(true);
    expect(byOrigin(claim)(current, true)).toBeUndefined();
  });
});

describe("and may not while it is", () => {
  test.each(others)("%s", (_, current) => {
    expect(isHolder(current, claim)).toBe(false);
    expect(byOrigin(claim)(current, true)).toBeInstanceOf(Refusal);
  });
});

describe("a broker by itself may act only on what it knows", () => {
  test.each([...mine, ...others])("of %s", (_, current) => {
    for (const fence of [untouched(claim), unmoved]) {
      expect(fence(current, false)).toBeUndefined();
      expect(fence(current, true)).toMatchObject({ name: "Refusal" });
    }
  });
});

describe("a report in vain is told why", () => {
  test.each<[string, Stored, string, RegExp]>([
    [
      "it has its outcome",
      stored("succeeded", {}, { history: [attempt(2, AttemptOutcome.SUCCEEDED)] }),
      "ALREADY_REPORTED",
      /attempt 2 of mail\.send~k1 has its outcome already/,
    ],
    [
      "its failure was recorded and the job waits",
      stored("later", {}, { history: [attempt(2, AttemptOutcome.FAILED)] }),
      "ALREADY_REPORTED",
      /has its outcome/,
    ],
    [
      "it was given back",
      stored("ready", {}, { history: [attempt(2, AttemptOutcome.RELEASED)] }),
      "ALREADY_REPORTED",
      /has its outcome/,
    ],
    [
      "it was given up and may run elsewhere",
      stored("held-a", {}, { history: [attempt(2, AttemptOutcome.CRASHED)] }),
      "LEASE_LOST",
      /lost: it may be running elsewhere/,
    ],
    [
      "it was given up and another attempt ended the job",
      stored(
        "failed",
        {},
        {
          history: [attempt(2, AttemptOutcome.CRASHED), attempt(3, AttemptOutcome.FAILED)],
        },
      ),
      "LEASE_LOST",
      /lost: it is FAILED/,
    ],
    ["nothing tells of it", stored("ready", { seq: 99 }), "LEASE_LOST", /may be running elsewhere/],
    [
      "it ended by a cancel",
      stored("cancelled", {}, { history: [attempt(2, AttemptOutcome.CANCELLED)] }),
      "JOB_CANCELLED",
      /cancelled: the report of attempt 2 is void/,
    ],
    ["the job was cancelled before the attempt was known", stored("cancelled"), "JOB_CANCELLED", /is void/],
    ["the same in a kept record", stored("kept", {}, { outcome: "cancelled" }), "JOB_CANCELLED", /is void/],
    [
      "it did not answer a cancel in time",
      stored("cancelled", {}, { history: [attempt(2, AttemptOutcome.CRASHED)] }),
      "JOB_CANCELLED",
      /is void/,
    ],
  ])("%s", (_, current, reason, message) => {
    const refusal = superseded(current, claim);
    expect(refusal).toMatchObject({
      reason,
      detail: { metadata: { id: "mail.send~k1", attempt: "2" } },
    });
    expect(refusal.message).toMatch(message);
  });
});

test.each([
  ["STORE_UNAVAILABLE", true],
  ["QUEUE_FULL", true],
  ["LEASE_LOST", false],
  ["STORAGE_FULL", false],
] as const)("after %s, trying again later may help: %s", (reason, passing) => {
  expect(isPassing(new Refusal(reason, ""))).toBe(passing);
});

test("a bug of ours does not pass by waiting", () => {
  expect(isPassing(new Error("no"))).toBe(false);
});
