// What the end of an attempt counts for, and what it leads to.

import { describe, expect, test } from "vitest";
import { AttemptOutcome, type Failure, FailureReason, type Stored } from "../../../broker/src/core/job.js";
import { counts, sizes } from "../../../broker/src/core/limits.js";
import { advance, type Event } from "../../../broker/src/core/transitions.js";
import { aHold, alarmOf, now, retrying, stored } from "../../support/stored-jobs.js";

const at = { now, random: () => 0.5, nonce: "n-after" };
const run = { worker: "worker-2", startedAt: now - 3_000 };
const error: Failure = { reason: FailureReason.ERROR, type: "IOError", message: "no", stack: "at line 1" };
const ends = {
  succeed: { type: "succeed", run, result: undefined },
  fail: { type: "fail", run, failure: error },
  lose: { type: "lose", run },
  release: { type: "release", run },
  snooze: { type: "snooze", run, delay: 60_000 },
  endCancelled: { type: "endCancelled", run },
} as const satisfies Record<string, Event>;

/** The message that a transition makes of a job. */
function next(from: Stored, event: Event, when = at): Stored {
  const next = advance(from, event, when);
  return {
    ...from,
    phase: next.phase,
    rev: from.rev + 1,
    seq: from.seq + 1,
    nonce: when.nonce,
    job: next.job,
  };
}

describe("every end of an attempt is counted once, under what it was", () => {
  test.each<[keyof typeof ends, number, { attempt: number; failures: number; crashes: number }]>([
    ["succeed", AttemptOutcome.SUCCEEDED, { attempt: 2, failures: 1, crashes: 0 }],
    ["fail", AttemptOutcome.FAILED, { attempt: 3, failures: 2, crashes: 0 }],
    ["lose", AttemptOutcome.CRASHED, { attempt: 3, failures: 1, crashes: 1 }],
    ["release", AttemptOutcome.RELEASED, { attempt: 3, failures: 1, crashes: 0 }],
    ["snooze", AttemptOutcome.SNOOZED, { attempt: 3, failures: 1, crashes: 0 }],
    ["endCancelled", AttemptOutcome.CANCELLED, { attempt: 2, failures: 1, crashes: 0 }],
  ])("%s", (name, outcome, counters) => {
    const { job } = advance(stored("ready", {}, { attempt: 2, failures: 1 }), ends[name], at);
    expect(job).toMatchObject(counters);
    expect(job.history).toEqual([
      {
        number: 2,
        worker: "worker-2",
        startedAt: now - 3_000,
        endedAt: now,
        outcome,
        failure: name === "fail" ? error : undefined,
        nonce: "n-after",
      },
    ]);
  });

  test("of a held job the store knows better than the report who ran it since when", () => {
    const hold = aHold({ worker: "worker-1", startedAt: now - 20_000 });
    for (const event of Object.values(ends)) {
      const [attempt] = advance(stored("held-a", {}, { hold }), event, at).job.history;
      expect(attempt).toMatchObject({ worker: "worker-1", startedAt: now - 20_000 });
    }
    const [lost] = advance(alarmOf("held-b", { hold }), { type: "alarm" }, at).job.history;
    expect(lost).toMatchObject({ worker: "worker-1", outcome: AttemptOutcome.CRASHED });
  });

  test("a lease that ends by the clock counts as the crash it stands for", () => {
    const next = advance(alarmOf("held-a", { attempt: 2, crashes: 1 }), { type: "alarm" }, at);
    expect(next).toMatchObject({
      phase: "ready",
      job: { attempt: 3, crashes: 2, failures: 0, hold: undefined },
    });
  });

  test("waiting, being put back or being held counts for nothing", () => {
    const counters = { attempt: 2, failures: 1, crashes: 1, redeliveries: 2 };
    const events: [Stored, Event][] = [
      [stored("ready", {}, counters), { type: "hold", hold: aHold() }],
      [stored("ready", {}, counters), { type: "reissue", counted: false }],
      [alarmOf("later", counters), { type: "alarm" }],
    ];
    for (const [from, event] of events) {
      expect(advance(from, event, at).job).toMatchObject({ ...counters, history: [] });
    }
  });
});

describe("failures", () => {
  test("the last one allowed ends the job, whatever it crashed before", () => {
    let job = stored("ready", {}, { crashes: 3 }, retrying({ maxAttempts: 3 }));
    for (const failures of [1, 2]) {
      job = next(next(job, ends.fail), { type: "alarm" });
      expect(job).toMatchObject({ phase: "ready", job: { failures, attempt: failures + 1 } });
    }
    job = next(job, ends.fail);
    expect(job).toMatchObject({ phase: "failed", job: { failures: 3, attempt: 3, failure: error } });
  });

  test("one is enough where it is called permanent", () => {
    const failure = { ...error, reason: FailureReason.PERMANENT };
    const next = advance(stored("ready"), { type: "fail", run, failure }, at);
    expect(next).toMatchObject({ phase: "failed", fireAt: 0, job: { failures: 1, attempt: 1, failure } });
  });

  test("a run over its limit is one like any other", () => {
    const failure = { ...error, reason: FailureReason.TIME_LIMIT };
    const next = advance(stored("held-a"), { type: "fail", run, failure }, at);
    expect(next).toMatchObject({ phase: "later", job: { failures: 1, crashes: 0, failure } });
  });

  test("the wait follows the policy and the failures alone", () => {
    const spec = retrying({ maxAttempts: 9, initialDelay: 60_000, factor: 2, maxDelay: 3_600_000 });
    for (const [failures, wait] of [60_000, 120_000, 240_000].entries()) {
      const before = stored("ready", {}, { failures, attempt: 8, crashes: 2 }, spec);
      const next = advance(before, ends.fail, at);
      expect(next).toMatchObject({ phase: "later", fireAt: now + wait, job: { dueAt: now + wait } });
    }
  });

  test("retry_after takes the policy's place, and 0 means at once", () => {
    expect(advance(stored("ready"), { ...ends.fail, retryAfter: 5_000 }, at).fireAt).toBe(now + 5_000);
    const atOnce = advance(stored("ready"), { ...ends.fail, retryAfter: 0 }, at);
    expect(atOnce).toMatchObject({ phase: "ready", fireAt: 0, job: { failures: 1, attempt: 2, dueAt: 0 } });
  });
});

describe("crashes", () => {
  test("one more than allowed ends the job, whatever it failed before", () => {
    let job = stored("ready", {}, { failures: 3 }, retrying({ maxCrashes: 2 }));
    for (const crashes of [1, 2]) {
      job = next(job, ends.lose);
      expect(job).toMatchObject({ phase: "ready", job: { crashes, attempt: crashes + 1, failures: 3 } });
    }
    job = next(job, ends.lose);
    expect(job).toMatchObject({
      phase: "failed",
      job: {
        crashes: 3,
        attempt: 3,
        failure: {
          reason: FailureReason.CRASHED,
          message:
            "the process of worker worker-2 ended, or was heard of no more, before it reported: " +
            "3 runs ended like that, the limit is 2",
        },
      },
    });
  });

  test.each([
    ["a lost session", stored("ready", {}, {}, retrying({ maxCrashes: 0 })), ends.lose],
    ["a lost session of a held job", stored("held-a", {}, {}, retrying({ maxCrashes: 0 })), ends.lose],
    ["the end of its lease", alarmOf("held-a", {}, retrying({ maxCrashes: 0 })), { type: "alarm" } as const],
  ])("a job that runs at most once is LOST by %s and never ready again", (_, from, event) => {
    expect(advance(from, event, at)).toMatchObject({
      phase: "failed",
      job: { crashes: 1, attempt: 1, failure: { reason: FailureReason.LOST } },
    });
  });

  test.each([
    ["the worker of the run", stored("ready", {}, {}, retrying({ maxCrashes: 0 })), "worker-2"],
    [
      "the one that held the job in public",
      stored("held-a", {}, { hold: aHold({ worker: "worker-1" }) }, retrying({ maxCrashes: 0 })),
      "worker-1",
    ],
  ])("the failure names %s, whose process is gone", (_, from, worker) => {
    const message = `the process of worker ${worker} ended, or was heard of no more, before it reported; the job is run at most once`;
    expect(next(from, ends.lose).job.failure?.message).toBe(message);
  });
});

describe("a wish to cancel a running job", () => {
  const asked = { cancelRequestedAt: now - 1, cancelReason: "no more" };

  test.each<[string, Event]>([
    ["a retry", ends.fail],
    ["a retry at once", { ...ends.fail, retryAfter: 0 }],
    ["a crash", ends.lose],
    ["a release", ends.release],
    ["a snooze", ends.snooze],
    ["the run's own answer", ends.endCancelled],
  ])("makes of %s the end of it", (_, event) => {
    for (const from of [stored("ready", {}, asked), stored("held-a", {}, asked)]) {
      const next = advance(from, event, at);
      expect(next).toMatchObject({
        phase: "cancelled",
        fireAt: 0,
        job: { attempt: 1, finishedAt: now, ...asked },
      });
      expect(next.job.history).toHaveLength(1);
    }
  });

  test("decides when the lease ends by the clock, even for a job that would be LOST", () => {
    const once = retrying({ maxCrashes: 0 });
    for (const from of [alarmOf("held-a", asked), alarmOf("held-b", asked, once)]) {
      expect(advance(from, { type: "alarm" }, at)).toMatchObject({ phase: "cancelled", job: { crashes: 1 } });
    }
  });

  test("does not undo what the run has done: a success and a last failure stand", () => {
    expect(advance(stored("held-a", {}, asked), ends.succeed, at).phase).toBe("succeeded");
    const last = stored("held-a", {}, { ...asked, failures: 3 });
    expect(advance(last, ends.fail, at).phase).toBe("failed");
    const permanent = { ...error, reason: FailureReason.PERMANENT };
    expect(advance(stored("held-a", {}, asked), { type: "fail", run, failure: permanent }, at).phase).toBe(
      "failed",
    );
  });
});

describe("deliveries that reach nobody", () => {
  test("are counted when JetStream made them, not when a broker gave the ticket back", () => {
    expect(advance(stored("ready"), { type: "reissue", counted: true }, at).job.redeliveries).toBe(1);
    expect(advance(stored("ready"), { type: "reissue", counted: false }, at).job.redeliveries).toBe(0);
  });

  test("leave the attempt what it was, and end the job beyond the limit", () => {
    let job = stored("ready", {}, { attempt: 3 });
    for (let i = 0; i < counts.redeliveries; i++) job = next(job, { type: "reissue", counted: true });
    expect(job).toMatchObject({ phase: "ready", job: { redeliveries: 20, attempt: 3, crashes: 0 } });
    const end = advance(job, { type: "reissue", counted: true }, at);
    expect(end).toMatchObject({
      phase: "failed",
      job: { attempt: 2, failure: { reason: FailureReason.UNDELIVERABLE } },
    });
    expect(advance(job, { type: "reissue", counted: false }, at).phase).toBe("ready");
  });
});

describe("the history", () => {
  test("keeps the last 20 attempts, numbered without a gap", () => {
    let job = stored("ready");
    for (let i = 0; i < 30; i++) job = next(job, ends.release);
    expect(job.job.history.map(({ number }) => number)).toEqual(Array.from({ length: 20 }, (_, i) => i + 11));
    expect(job.job.attempt).toBe(31);
  });

  test("tells failures in full up to their limits and not beyond", () => {
    const stack = `first\n${"at x\n".repeat(20_000)}last`;
    const failure = { ...error, type: "t".repeat(1_000), message: "m".repeat(9_000), stack };
    const { job } = advance(stored("ready"), { type: "fail", run, failure }, at);
    expect(job.failure?.type).toHaveLength(sizes.errorType);
    expect(job.failure?.message).toHaveLength(sizes.errorMessage);
    // Both ends of a stack tell something.
    expect(job.failure?.stack).toMatch(/^first\nat x\n/);
    expect(job.failure?.stack).toMatch(/at x\nlast$/);
    expect(job.failure?.stack.length).toBeLessThanOrEqual(8 * 1024);
    expect(job.failure?.stack.length).toBeGreaterThan(8 * 1024 - 100);
    expect(job.history[0]?.failure).toEqual(job.failure);
  });
});
