import { readFileSync } from "node:fs";
import { type Failure, FailureReason, Job, JobState } from "@drover/proto/v1";
import { describe, expect, test } from "vitest";
import { Client } from "../../../client-sdk/typescript/src/client.js";
import {
  InvalidArgumentError,
  JobFailedError,
  ResultTimeoutError,
} from "../../../client-sdk/typescript/src/errors.js";
import { hasEnded, jobStatus, wireState } from "../../../client-sdk/typescript/src/job.js";
import { VERSION } from "../../../client-sdk/typescript/src/version.js";
import { restBeforeAsking } from "../../../client-sdk/typescript/src/wait.js";

const failure: Failure = {
  reason: FailureReason.FAILURE_REASON_PERMANENT,
  type: "CardRefused",
  message: "no funds",
  stack: "CardRefused: no funds\n    at pay (pay.py:3)",
};
const job = (fields: Partial<Job>): Job => ({
  ...Job.create(),
  id: "pay~7",
  task: "pay",
  key: "7",
  ...fields,
});

describe("a status", () => {
  test("has words for states and reasons, dates for times, values for JSON", () => {
    const status = jobStatus(
      job({
        state: JobState.JOB_STATE_SUCCEEDED,
        submittedAt: { seconds: 1_700_000_000, nanos: 123_456_789 },
        result: { data: Buffer.from('{"ok":true}'), contentType: "" },
        progress: { value: 0.5, detail: Buffer.from('{"step":2}'), reportedAt: undefined },
        hardTimeLimit: { seconds: 300, nanos: 0 },
      }),
    );
    expect(status).toMatchObject({
      state: "SUCCEEDED",
      finished: true,
      submittedAt: new Date(1_700_000_000_123),
      startedAt: undefined,
      result: { ok: true },
      progress: { value: 0.5, detail: { step: 2 } },
      hardTimeLimit: 300_000,
    });
  });

  test("can be put into a web answer as it is", () => {
    expect(() => JSON.stringify(jobStatus(job({ failure })))).not.toThrow();
  });

  test("is readable whatever a worker wrote", () => {
    const status = jobStatus(job({ result: { data: Buffer.from("{"), contentType: "" } }));
    expect(status.result).toEqual(Buffer.from("{"));
  });

  test("says UNSPECIFIED for what a newer broker says", () => {
    expect(jobStatus(job({ state: 99 as JobState })).state).toBe("UNSPECIFIED");
    expect(hasEnded(job({ state: 99 as JobState }))).toBe(false);
  });

  test.each`
    state          | ended
    ${"SCHEDULED"} | ${false}
    ${"BLOCKED"}   | ${false}
    ${"READY"}     | ${false}
    ${"RUNNING"}   | ${false}
    ${"RETRYING"}  | ${false}
    ${"SUCCEEDED"} | ${true}
    ${"FAILED"}    | ${true}
    ${"CANCELLED"} | ${true}
  `("$state has ended: $ended", ({ state, ended }) => {
    expect(hasEnded(job({ state: wireState(state) }))).toBe(ended);
    expect(jobStatus(job({ state: wireState(state) })).state).toBe(state);
  });
});

describe("the error of a failed job", () => {
  const error = new JobFailedError(jobStatus(job({ state: JobState.JOB_STATE_FAILED, failure })));
  test("tells which job, why, and where in the worker", () => {
    expect(error.message).toBe("job pay~7 failed (PERMANENT): CardRefused: no funds");
    expect(error).toMatchObject({ jobId: "pay~7", reason: "PERMANENT" });
    expect(error.failure).toMatchObject({ type: "CardRefused", message: "no funds" });
    expect(error.stack).toContain("--- in the worker ---\nCardRefused: no funds\n    at pay (pay.py:3)");
  });
});

test("the error of a wait that took too long carries the job's id", () => {
  expect(new ResultTimeoutError("pay~7", 5_000)).toMatchObject({ jobId: "pay~7", reason: "RESULT_TIMEOUT" });
});

describe("a job id", () => {
  const client = new Client();
  test("names task and key", () => {
    expect(client.job("mail.send~01-a_b.C")).toMatchObject({ task: "mail.send", key: "01-a_b.C" });
  });
  test.each(["", "mail.send", "a~", "~b", "a~b~c", "a~b c", `a~${"x".repeat(129)}`])("is not %j", (id) => {
    expect(() => client.job(id)).toThrow(InvalidArgumentError);
  });
});

describe("rounds of waiting", () => {
  test.each`
    waiting   | rest     | why
    ${1}      | ${0}     | ${"one waiter is asked for at once"}
    ${16}     | ${0}     | ${"and so are a few"}
    ${1_000}  | ${100}   | ${"a thousand gather for a tenth of a second"}
    ${50_000} | ${1_000} | ${"however many wait, it is a second at most"}
  `("$why", ({ waiting, rest }) => {
    expect(restBeforeAsking(waiting)).toBe(rest);
  });
});

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8");

test("the client names the version of its package", () => {
  expect(VERSION).toBe(JSON.parse(read("client-sdk/typescript/package.json")).version);
});
