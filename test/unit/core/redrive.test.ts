// A dead letter made ready again.

import { describe, expect, test } from "vitest";
import { FailureReason } from "../../../broker/src/core/job.js";
import { advance } from "../../../broker/src/core/transitions.js";
import { aSpec, now, stored } from "../../support/stored-jobs.js";

const at = { now, random: () => 0, nonce: "n-after" };
const error = { reason: FailureReason.ERROR, type: "IOError", message: "no", stack: "at line 1" };

describe("a redrive", () => {
  const history = [
    { number: 4, worker: "w", startedAt: 1, endedAt: 2, outcome: 2, failure: error, nonce: "n" },
  ];
  const failed = {
    attempt: 4,
    failures: 4,
    crashes: 2,
    redeliveries: 9,
    dueAt: now - 9,
    finishedAt: now - 5,
    failure: error,
    history,
    cancelRequestedAt: now - 8,
    cancelReason: "no more",
  };

  test("starts with fresh counters, and shows what had been tried", () => {
    expect(advance(stored("failed", {}, failed), { type: "redrive" }, at)).toMatchObject({
      phase: "ready",
      fireAt: 0,
      keepFor: 0,
      job: {
        attempt: 5,
        failures: 0,
        crashes: 0,
        redeliveries: 0,
        dueAt: 0,
        finishedAt: 0,
        failure: undefined,
        outcome: "",
        cancelRequestedAt: 0,
        cancelReason: "",
        history,
        spec: { payload: aSpec().payload },
      },
    });
  });

  test("of a record with a retention of its own is a job like any other", () => {
    const kept = stored("kept", {}, { ...failed, outcome: "failed" });
    expect(advance(kept, { type: "redrive" }, at)).toMatchObject({ phase: "ready", job: { outcome: "" } });
  });

  test("of a job that never ran makes its first attempt, and start_by does not stop it again", () => {
    const late = stored("ready", {}, {}, aSpec({ startBy: now - 1 }));
    const expired = { ...late, ...advance(late, { type: "expire" }, at) };
    expect(expired).toMatchObject({
      phase: "failed",
      job: { attempt: 0, failure: { reason: FailureReason.EXPIRED } },
    });
    const again = advance(expired, { type: "redrive" }, at).job;
    expect(again).toMatchObject({ attempt: 1, spec: { startBy: 0 } });
  });
});
