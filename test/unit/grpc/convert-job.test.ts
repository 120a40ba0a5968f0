import { JobSpec, JobState } from "@drover/proto/v1";
import { describe, expect, test } from "vitest";
import type { JobView } from "../../../broker/src/app/api.js";
import { Checks } from "../../../broker/src/core/check.js";
import { type Job, newJob, type Phase, type State } from "../../../broker/src/core/job.js";
import { specOfDraft } from "../../../broker/src/core/spec.js";
import {
  fromProgress,
  fromWireState,
  toDraft,
  toJob,
  toWireState,
} from "../../../broker/src/grpc/convert-job.js";

const now = Date.UTC(2026, 0, 1);
const states: State[] = [
  "SCHEDULED",
  "BLOCKED",
  "READY",
  "RUNNING",
  "RETRYING",
  "SUCCEEDED",
  "FAILED",
  "CANCELLED",
];

function view(state: State, phase: Phase, changes: Partial<Job> = {}, more: Partial<JobView> = {}): JobView {
  const wire = JobSpec.fromPartial({
    task: "mail.send",
    key: "k1",
    labels: { a: "b" },
    softTimeLimit: { seconds: 5 },
  });
  const checked = specOfDraft(toDraft(wire), now);
  if ("violations" in checked) throw new Error("a bad draft");
  const job = { ...newJob({ ...checked.spec, submittedAt: now }, "nonce"), ...changes };
  return {
    stored: { phase, queue: "moved", priority: 7, rev: 4, seq: 9, nonce: "", job },
    state,
    running: undefined,
    cancelRequested: false,
    payload: undefined,
    ...more,
  };
}

test("every state has a number of its own and comes back from it", () => {
  for (const state of states) {
    const checks = new Checks();
    expect(JobState[toWireState(state)]).toBe(`JOB_STATE_${state}`);
    expect(fromWireState(checks, "state", toWireState(state))).toBe(state);
    expect(checks.failed).toBe(false);
  }
});

test("no state is every state, an unknown one a violation", () => {
  const checks = new Checks();
  expect(fromWireState(checks, "state", JobState.JOB_STATE_UNSPECIFIED)).toBeUndefined();
  expect(checks.failed).toBe(false);
  fromWireState(checks, "state", 99 as JobState);
  expect(checks.violations).toMatchObject([{ field: "state" }]);
});

describe("a draft", () => {
  test("keeps unset apart from zero", () => {
    const bare = toDraft(JobSpec.fromPartial({ task: "t" }));
    expect(bare).toMatchObject({ queue: undefined, priority: undefined, delay: undefined, retry: undefined });
    const zero = toDraft(
      JobSpec.fromPartial({
        task: "t",
        priority: 0,
        delay: {},
        retry: { maxCrashes: 0 },
        resultRetention: {},
      }),
    );
    expect(zero).toMatchObject({ priority: 0, delay: 0, retry: { maxCrashes: 0 }, retention: 0 });
    expect(zero.retry?.maxAttempts).toBeUndefined();
  });

  test("carries all fields in the domain's units", () => {
    const draft = toDraft(
      JobSpec.fromPartial({
        task: "t",
        key: "k",
        queue: "q",
        payload: { data: Uint8Array.of(1), contentType: "a/b" },
        runAt: { seconds: 2_000_000_000 },
        startBy: { seconds: 2_000_000_001 },
        retry: { initialDelay: { nanos: 5_000_000 }, maxDelay: { seconds: 1 }, factor: 3, jitter: 0 },
        softTimeLimit: { seconds: 1 },
        hardTimeLimit: { seconds: 2 },
        labels: { l: "1" },
        headers: { h: "2" },
      }),
    );
    expect(draft).toMatchObject({
      task: "t",
      key: "k",
      queue: "q",
      payload: { data: Uint8Array.of(1), contentType: "a/b" },
      runAt: 2e12,
      startBy: 2e12 + 1_000,
      retry: { initialDelay: 5, maxDelay: 1_000, factor: 3, jitter: 0 },
      softLimit: 1_000,
      hardLimit: 2_000,
      labels: { l: "1" },
      headers: { h: "2" },
    });
  });
});

describe("a job for a reader", () => {
  test("stands where its message lies, whatever its submit said", () => {
    expect(toJob(view("READY", "ready"))).toMatchObject({
      id: "mail.send~k1",
      task: "mail.send",
      key: "k1",
      queue: "moved",
      priority: 7,
      state: JobState.JOB_STATE_READY,
      revision: 4,
      submittedAt: { seconds: now / 1_000, nanos: 0 },
      dueAt: undefined,
      softTimeLimit: { seconds: 5, nanos: 0 },
      hardTimeLimit: undefined,
      labels: { a: "b" },
      retry: { maxAttempts: 4, initialDelay: { seconds: 1, nanos: 0 } },
    });
  });

  test.each<[State, Phase, number, number]>([
    ["READY", "ready", 1, 0],
    ["RUNNING", "ready", 1, 1],
    ["RETRYING", "later", 3, 2],
    ["SUCCEEDED", "succeeded", 3, 3],
  ])("%s: attempts are counted once they begin", (state, phase, attempt, told) => {
    expect(toJob(view(state, phase, { attempt })).attempt).toBe(told);
  });

  test("who runs it is told by the holder, then by the lease, then by the last attempt", () => {
    const history = [
      {
        number: 1,
        worker: "old",
        startedAt: 1_000,
        endedAt: 2_000,
        outcome: 2,
        nonce: "",
        failure: undefined,
      },
    ];
    const hold = {
      origin: 1,
      worker: "held",
      startedAt: 3_000,
      leaseUntil: 0,
      unary: false,
      lostOnExpiry: false,
      broker: "b",
    };
    const running = {
      worker: "live",
      startedAt: 4_000,
      progress: { value: 0.5, detail: new Uint8Array(0), at: 5_000 },
    };
    expect(toJob(view("RETRYING", "later", { history }))).toMatchObject({
      worker: "old",
      startedAt: { seconds: 1 },
    });
    expect(toJob(view("RUNNING", "held-a", { history, hold }))).toMatchObject({
      worker: "held",
      startedAt: { seconds: 3 },
    });
    expect(toJob(view("RUNNING", "held-a", { history, hold }, { running }))).toMatchObject({
      worker: "live",
      startedAt: { seconds: 4 },
      progress: { value: 0.5, reportedAt: { seconds: 5 } },
    });
  });

  test("one whose message could not be read is told all the same", () => {
    expect(toJob(view("FAILED", "failed", { spec: undefined }))).toMatchObject({
      task: "",
      labels: {},
      retry: undefined,
    });
  });
});

describe("progress", () => {
  test.each([
    [{ value: Number.NaN, detail: new Uint8Array(0) }, "p.value"],
    [{ value: Number.POSITIVE_INFINITY, detail: new Uint8Array(0) }, "p.value"],
    [{ value: 0, detail: new Uint8Array(4_097) }, "p.detail"],
  ])("%# beyond its limits is a violation", (progress, field) => {
    const checks = new Checks();
    fromProgress(checks, "p", { ...progress, reportedAt: undefined }, now);
    expect(checks.violations).toMatchObject([{ field }]);
  });

  test("is reported at the broker's time, not the worker's", () => {
    const progress = { value: 1, detail: new Uint8Array(4_096), reportedAt: { seconds: 1, nanos: 0 } };
    expect(fromProgress(new Checks(), "p", progress, now).at).toBe(now);
  });
});
