import { Attach, Outcome } from "@drover/proto/v1";
import { describe, expect, test } from "vitest";
import type { Grant } from "../../../broker/src/app/worker-api.js";
import { Refusal } from "../../../broker/src/core/errors.js";
import { FailureReason } from "../../../broker/src/core/job.js";
import { type Draft, specOfDraft } from "../../../broker/src/core/spec.js";
import {
  sizeOfGrant,
  toHello,
  toLease,
  toReport,
  toSessionOutcomes,
} from "../../../broker/src/grpc/convert-work.js";

type WireReport = NonNullable<Outcome["report"]>;

function outcome(report: Parameters<typeof Outcome.fromPartial>[0]["report"], leaseId = 1): Outcome {
  return Outcome.fromPartial({ leaseId, report });
}

function grant(draft: Partial<Draft> = {}): Grant {
  const checked = specOfDraft({ task: "t", key: "k", labels: {}, headers: {}, ...draft }, 0);
  if ("violations" in checked) throw new Error("a bad draft");
  const spec = { ...checked.spec, submittedAt: 5_000 };
  const ref = { task: "t", key: "k" };
  return {
    leaseId: 7,
    token: "tok",
    ref,
    spec,
    payload: spec.payload,
    inputs: [],
    attempt: 2,
    failures: 1,
    expiresAt: 0,
  };
}

describe("a lease", () => {
  test("says all a worker needs", () => {
    const data = Uint8Array.of(123, 125);
    expect(
      toLease(grant({ payload: { data, contentType: "" }, hardLimit: 1_000, labels: { a: "b" } })),
    ).toMatchObject({
      leaseId: 7,
      token: "tok",
      jobId: "t~k",
      task: "t",
      queue: "default",
      priority: 5,
      attempt: 2,
      failures: 1,
      maxAttempts: 4,
      payload: { data, contentType: "" },
      labels: { a: "b" },
      submittedAt: { seconds: 5, nanos: 0 },
      softTimeLimit: undefined,
      hardTimeLimit: { seconds: 1, nanos: 0 },
      expiresAt: undefined,
    });
  });

  test("is never larger on the wire than it is taken for", async () => {
    const { Lease } = await import("@drover/proto/v1");
    const entries = Object.fromEntries(
      Array.from({ length: 16 }, (_, i) => [`${"n".repeat(120)}${i}`, "é".repeat(100)]),
    );
    for (const draft of [{}, { labels: entries, headers: { h: "x".repeat(8_000) } }]) {
      const one = { ...grant(draft), token: "t".repeat(200) };
      expect(Lease.encode(toLease(one)).finish().length).toBeLessThanOrEqual(sizeOfGrant(one));
    }
  });
});

describe("a report", () => {
  test.each<[WireReport["$case"], Parameters<typeof outcome>[0], object]>([
    ["success", { $case: "success", value: {} }, { type: "success", result: undefined }],
    [
      "success",
      { $case: "success", value: { result: { data: Uint8Array.of(1), contentType: "a/b" } } },
      { type: "success", result: { data: Uint8Array.of(1), type: "a/b", externalSize: 0 } },
    ],
    ["release", { $case: "release", value: {} }, { type: "release" }],
    ["cancelled", { $case: "cancelled", value: {} }, { type: "cancelled" }],
    ["snooze", { $case: "snooze", value: { delay: { seconds: 60 } } }, { type: "snooze", delay: 60_000 }],
    ["snooze", { $case: "snooze", value: {} }, { type: "snooze", delay: 0 }],
    [
      "failure",
      { $case: "failure", value: { type: "E", message: "m", stack: "s" } },
      {
        type: "failure",
        failure: { reason: FailureReason.ERROR, type: "E", message: "m", stack: "s" },
        retryAfter: undefined,
      },
    ],
    [
      "failure",
      { $case: "failure", value: { reason: 3, retryAfter: { seconds: 2 } } },
      { type: "failure", failure: { reason: FailureReason.TIME_LIMIT }, retryAfter: 2_000 },
    ],
  ])("%s", (_, report, told) => {
    expect(toReport(outcome(report))).toMatchObject(told);
  });

  test.each<[string, Parameters<typeof outcome>[0], string]>([
    ["without anything", undefined, "report"],
    ["of a reason that is the broker's", { $case: "failure", value: { reason: 4 } }, "failure.reason"],
    ["of a reason that is none", { $case: "failure", value: { reason: 99 as number } }, "failure.reason"],
    [
      "that retries after 31 days",
      { $case: "failure", value: { retryAfter: { seconds: 31 * 86_400 } } },
      "failure.retry_after",
    ],
    [
      "that retries before now",
      { $case: "failure", value: { retryAfter: { seconds: -1 } } },
      "failure.retry_after",
    ],
    [
      "that snoozes for 31 days",
      { $case: "snooze", value: { delay: { seconds: 31 * 86_400 } } },
      "snooze.delay",
    ],
    [
      "of a result of no type",
      { $case: "success", value: { result: { contentType: "json" } } },
      "success.result.content_type",
    ],
  ])("%s is refused", (_, report, field) => {
    const refusal = toReport(outcome(report));
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({ reason: "INVALID_ARGUMENT", detail: { violations: [{ field }] } });
  });
});

describe("outcomes of a session", () => {
  test("a report beyond its limits fails the attempt: nothing else would ever end it", () => {
    const [report] = toSessionOutcomes([
      outcome({ $case: "snooze", value: { delay: { seconds: 31 * 86_400 } } }, 5),
    ]);
    expect(report).toMatchObject({
      leaseId: 5,
      report: {
        type: "failure",
        failure: {
          reason: FailureReason.ERROR,
          type: "InvalidReport",
          message: expect.stringContaining("30 days"),
        },
      },
    });
  });

  test.each<[string, Outcome[]]>([
    ["none", []],
    ["1,001", Array.from({ length: 1_001 }, () => outcome({ $case: "release", value: {} }))],
    ["one of no lease", [outcome({ $case: "release", value: {} }, 0)]],
  ])("%s end it", (_, outcomes) => {
    expect(() => toSessionOutcomes(outcomes)).toThrow(Refusal);
  });
});

describe("an attach", () => {
  const least = { worker: "host:1", instance: "i1", tasks: [{ task: "t" }] };
  const hello = (fields: Parameters<typeof Attach.fromPartial>[0]) =>
    toHello(Attach.fromPartial({ ...least, ...fields }), "127.0.0.1:5");

  test("has defaults", () => {
    expect(hello({})).toEqual({
      ...least,
      sdk: "",
      peer: "127.0.0.1:5",
      tasks: [{ task: "t", concurrency: 0 }],
      queues: [{ queue: "default", weight: 1 }],
      credit: { jobs: 0, bytes: 64 * 1024 * 1024 },
      held: [],
    });
    expect(hello({ queues: [{ queue: "q" }, { queue: "r", weight: 9 }] }).queues).toEqual([
      { queue: "q", weight: 1 },
      { queue: "r", weight: 9 },
    ]);
  });

  test.each<[string, Parameters<typeof hello>[0], string]>([
    ["a worker without a name", { worker: "" }, "attach.worker"],
    ["a name of 129 characters", { worker: "w".repeat(129) }, "attach.worker"],
    ["no instance", { instance: "" }, "attach.instance"],
    ["an instance of 65 characters", { instance: "i".repeat(65) }, "attach.instance"],
    ["an instance that is no name", { instance: "a b" }, "attach.instance"],
    ["a worker without tasks", { tasks: [] }, "attach.tasks"],
    ["1,001 tasks", { tasks: Array.from({ length: 1_001 }, (_, i) => ({ task: `t${i}` })) }, "attach.tasks"],
    ["a task that is no name", { tasks: [{ task: "a b" }] }, "attach.tasks[0].task"],
    ["a task twice", { tasks: [{ task: "a" }, { task: "a" }] }, "attach.tasks[1].task"],
    ["101 queues", { queues: Array.from({ length: 101 }, (_, i) => ({ queue: `q${i}` })) }, "attach.queues"],
    ["a weight of 101", { queues: [{ queue: "q", weight: 101 }] }, "attach.queues[0].weight"],
    ["credit for 10,001 jobs", { credit: { jobs: 10_001 } }, "attach.credit.jobs"],
    ["10,001 tokens", { held: Array.from({ length: 10_001 }, () => "t") }, "attach.held"],
    ["an endless name of its SDK", { sdk: "s".repeat(129) }, "attach.sdk"],
  ])("with %s is refused", (_, fields, field) => {
    expect(() => hello(fields)).toThrow(
      expect.objectContaining({
        reason: "INVALID_ARGUMENT",
        detail: { violations: [expect.objectContaining({ field })] },
      }),
    );
  });
});
