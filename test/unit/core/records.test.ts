// The record of a job that has ended: what it keeps, and for how long.

import { describe, expect, test } from "vitest";
import { FailureReason, type Spec, type Stored } from "../../../broker/src/core/job.js";
import { sizes, times } from "../../../broker/src/core/limits.js";
import { advance, type Event } from "../../../broker/src/core/transitions.js";
import { alarmOf, aSpec, json, now, stored } from "../../support/stored-jobs.js";

const at = { now, random: () => 0, nonce: "n-after" };
const run = { worker: "worker-1", startedAt: now - 3_000 };
const failure = { reason: FailureReason.PERMANENT, type: "", message: "no", stack: "" };
const minute = 60_000;

const endings: [string, (spec: Spec) => Stored, Event, string][] = [
  [
    "a success",
    (spec) => stored("ready", {}, {}, spec),
    { type: "succeed", run, result: json(42) },
    "succeeded",
  ],
  ["a failure", (spec) => stored("held-a", {}, {}, spec), { type: "fail", run, failure }, "failed"],
  ["a deadline", (spec) => alarmOf("blocked", {}, spec), { type: "alarm" }, "failed"],
  ["an end by request", (spec) => stored("held-b", {}, {}, spec), { type: "endCancelled", run }, "cancelled"],
  ["a cancel in time", (spec) => stored("later", {}, {}, spec), { type: "cancel", reason: "" }, "cancelled"],
];

describe.each(endings)("the record of %s", (_, from, event, phase) => {
  test("lies where bulk retention takes it, and says when the job ended", () => {
    expect(advance(from(aSpec()), event, at)).toMatchObject({
      phase,
      keepFor: 0,
      fireAt: 0,
      job: { finishedAt: now, outcome: "", hold: undefined },
    });
  });

  test("lies out of its reach when the job has a retention of its own, and says how it ended", () => {
    for (const retention of [10 * minute, 30 * minute]) {
      expect(advance(from(aSpec({ retention })), event, at)).toMatchObject({
        phase: "kept",
        keepFor: retention,
        job: { finishedAt: now, outcome: phase },
      });
    }
  });

  test("that goes by its own time leaves nothing older behind that could be the job again", () => {
    expect(advance(from(aSpec({ retention: 10 * minute })), event, at).tombstones).toEqual(["ready", "due"]);
    expect(advance(from(aSpec()), event, at).tombstones).toEqual([]);
  });

  test("stays for the idempotency window at least, so that a repeated submit or report meets it", () => {
    expect(advance(from(aSpec({ retention: 1 })), event, at).keepFor).toBe(times.idempotencyWindow);
    expect(advance(from(aSpec({ retention: 0 })), event, at)).toMatchObject({ phase, keepFor: 0 });
  });

  test("keeps the payload only where a redrive may need it", () => {
    const { spec } = advance(from(aSpec()), event, at).job;
    expect(spec?.payload).toEqual(phase === "failed" ? aSpec().payload : undefined);
    expect(spec).toMatchObject({ task: "mail.send", key: "k1", queue: "default" });
  });
});

describe("a result", () => {
  const succeed = (bytes: number, spec = aSpec()) => {
    const result = { data: new Uint8Array(bytes), type: "image/png", externalSize: 0 };
    return advance(stored("held-a", {}, {}, spec), { type: "succeed", run, result }, at);
  };

  test("is kept up to 256 KiB", () => {
    expect(succeed(256 * 1024)).toMatchObject({ phase: "succeeded", job: { result: { type: "image/png" } } });
  });

  test("beyond that fails the job for good and says what to do, and none of it is stored", () => {
    const next = succeed(sizes.result + 1);
    expect(next).toMatchObject({
      phase: "failed",
      job: {
        attempt: 1,
        failures: 0,
        result: undefined,
        failure: {
          reason: FailureReason.RESULT_TOO_LARGE,
          message: expect.stringMatching(/262145 bytes, the limit is 262144.*reference/),
        },
        history: [{ number: 1, failure: { reason: FailureReason.RESULT_TOO_LARGE } }],
      },
    });
  });

  test("is dropped where none is to be kept; the record stands all the same", () => {
    expect(succeed(10, aSpec({ retention: 0 }))).toMatchObject({
      phase: "succeeded",
      job: { result: undefined },
    });
  });
});

test("only a record of a failure says why; what failed before another end stands in its history", () => {
  const before = { failures: 1, failure: { ...failure, reason: FailureReason.ERROR } };
  const succeed: Event = { type: "succeed", run, result: undefined };
  expect(advance(stored("ready", {}, before), succeed, at).job.failure).toBeUndefined();
  expect(
    advance(stored("later", {}, before), { type: "cancel", reason: "" }, at).job.failure,
  ).toBeUndefined();
  expect(advance(stored("ready", {}, before), { type: "fail", run, failure }, at).job.failure).toEqual(
    failure,
  );
});

describe("the number of the last attempt made", () => {
  test.each<[string, Stored, Event, number]>([
    ["a job that ran", stored("ready", {}, { attempt: 3 }), { type: "succeed", run, result: undefined }, 3],
    ["a job cancelled before its first", stored("ready"), { type: "cancel", reason: "" }, 0],
    [
      "a job cancelled before its third",
      stored("later", {}, { attempt: 3 }),
      { type: "cancel", reason: "" },
      2,
    ],
    ["a job blocked until its deadline", alarmOf("blocked"), { type: "alarm" }, 0],
    ["a job that came too late", stored("ready"), { type: "expire" }, 0],
  ])("stands in the record of %s", (_, from, event, attempt) => {
    expect(advance(from, event, at).job.attempt).toBe(attempt);
  });
});

test("why a job was cancelled is kept", () => {
  const next = advance(stored("later"), { type: "cancel", reason: "wrong address" }, at);
  expect(next.job.cancelReason).toBe("wrong address");
});

test("why a job failed without a run is told", () => {
  const deadline = advance(alarmOf("blocked"), { type: "alarm" }, at).job.failure;
  expect(deadline?.reason).toBe(FailureReason.DEADLINE);
  expect(advance(stored("ready"), { type: "expire" }, at).job.failure?.reason).toBe(FailureReason.EXPIRED);
});
