import { PayloadError } from "@drover/proto/sdk/payload";
import { FailureReason } from "@drover/proto/v1";
import { describe, expect, test } from "vitest";
import {
  JobCancelled,
  Permanent,
  Release,
  Retry,
  Snooze,
  SoftTimeLimitExceeded,
  WorkerDraining,
} from "../../../worker-sdk/typescript/src/errors.js";
import { cut, succeeded, threw, timedOut, typeName } from "../../../worker-sdk/typescript/src/outcomes.js";

class CardRefused extends Error {}
class CardExpired extends CardRefused {}

const { FAILURE_REASON_ERROR: ERROR, FAILURE_REASON_PERMANENT: PERMANENT } = FailureReason;

function failureOf(error: unknown, rules = {}) {
  const report = threw(error, rules, undefined);
  if (report.$case !== "failure") throw new Error(`reported as ${report.$case}`);
  return report.value;
}

describe("what a thrown error is reported as", () => {
  test.each`
    error                        | rules                                   | reason       | why
    ${new Error("x")}            | ${{}}                                   | ${ERROR}     | ${"any error may go away"}
    ${"just text"}               | ${{}}                                   | ${ERROR}     | ${"what is thrown need not be an Error"}
    ${new Permanent("x")}        | ${{}}                                   | ${PERMANENT} | ${"Permanent does not go away"}
    ${new PayloadError("x")}     | ${{}}                                   | ${PERMANENT} | ${"a payload that is not JSON stays so"}
    ${new CardRefused("x")}      | ${{ permanentErrors: [CardRefused] }}   | ${PERMANENT} | ${"a rule names the class"}
    ${new CardExpired("x")}      | ${{ permanentErrors: [CardRefused] }}   | ${PERMANENT} | ${"a rule holds for subclasses"}
    ${new CardRefused("x")}      | ${{ permanentErrors: ["CardRefused"] }} | ${PERMANENT} | ${"a rule may be a name"}
    ${new CardRefused("x")}      | ${{ permanentErrors: [TypeError] }}     | ${ERROR}     | ${"other classes are not meant"}
    ${new CardRefused("x")}      | ${{ isPermanent: () => true }}          | ${PERMANENT} | ${"a rule may be a function"}
    ${new Retry(5_000, "again")} | ${{ isPermanent: () => true }}          | ${ERROR}     | ${"Retry wins over every rule"}
  `("$why", ({ error, rules, reason }) => {
    expect(failureOf(error, rules).reason).toBe(reason);
  });

  test("Retry says when", () => {
    expect(failureOf(new Retry(90_500)).retryAfter).toEqual({ seconds: 90, nanos: 500_000_000 });
    expect(failureOf(new Error("x")).retryAfter).toBeUndefined();
  });

  test("Snooze and Release are no failures", () => {
    expect(threw(new Snooze(60_000), {}, undefined)).toEqual({
      $case: "snooze",
      value: { delay: { seconds: 60, nanos: 0 } },
    });
    expect(threw(new Release(), {}, undefined).$case).toBe("release");
  });

  test("type, message and stack are the error's own, its causes included", () => {
    const failure = failureOf(new CardRefused("no funds", { cause: new TypeError("bank said 51") }));
    expect(failure.type).toBe("CardRefused");
    expect(failure.message).toBe("no funds");
    expect(failure.stack).toContain("outcomes.test.ts");
    expect(failure.stack).toContain("caused by: TypeError: bank said 51");
  });

  test("delays beyond 30 days are refused where they are written", () => {
    expect(() => new Retry(-1)).toThrow(RangeError);
    expect(() => new Snooze(31 * 24 * 3_600_000)).toThrow(RangeError);
    expect(() => new Retry(Number.NaN)).toThrow(RangeError);
  });
});

describe("what an interrupted run is reported as", () => {
  test.each`
    interrupted                    | error             | report         | why
    ${new JobCancelled()}          | ${new Error("x")} | ${"cancelled"} | ${"any error after a cancel is its answer"}
    ${new JobCancelled()}          | ${new Snooze(1)}  | ${"cancelled"} | ${"a cancelled job is not put off"}
    ${new WorkerDraining()}        | ${new Error("x")} | ${"release"}   | ${"a stopping worker costs no failure"}
    ${new WorkerDraining()}        | ${new Snooze(1)}  | ${"snooze"}    | ${"a handler may still choose when to go on"}
    ${new SoftTimeLimitExceeded()} | ${new Error("x")} | ${"failure"}   | ${"an error after the soft limit is an error"}
  `("$why", ({ interrupted, error, report }) => {
    expect(threw(error, {}, interrupted).$case).toBe(report);
  });

  test("a passed hard limit is a failure of its own reason", () => {
    const report = timedOut();
    expect(report.$case === "failure" && report.value.reason).toBe(FailureReason.FAILURE_REASON_TIME_LIMIT);
  });
});

describe("the type of an error", () => {
  class Renamed extends Error {
    override readonly name = "OtherName";
  }
  test.each`
    error                                              | type             | why
    ${new CardExpired("x")}                            | ${"CardExpired"} | ${"is its class"}
    ${new Renamed("x")}                                | ${"Renamed"}     | ${"is its class, whatever it calls itself"}
    ${Object.assign(new Error("x"), { name: "Oops" })} | ${"Oops"}        | ${"is its name where the class says nothing"}
    ${new DOMException("x", "AbortError")}             | ${"AbortError"}  | ${"is its name for a DOMException"}
    ${"text"}                                          | ${"string"}      | ${"is the type of what is no error"}
    ${null}                                            | ${"null"}        | ${"is null for null"}
  `("$why ($type)", ({ error, type }) => {
    expect(typeName(error)).toBe(type);
  });
});

describe("long texts", () => {
  test("are cut in the middle, to the byte limit, between characters", () => {
    const text = `begin ${"ä€😀".repeat(2_000)} end`;
    const short = cut(text, 1_000);
    expect(Buffer.byteLength(short)).toBeLessThanOrEqual(1_000);
    expect(short.startsWith("begin")).toBe(true);
    expect(short.endsWith("end")).toBe(true);
    expect(short).not.toContain("\ufffd");
  });

  test("within the limit stay as they are", () => {
    expect(cut("ä".repeat(500), 1_000)).toBe("ä".repeat(500));
  });

  test("never make a stack longer than 8 KiB", () => {
    const error = new Error("x");
    error.stack = "y".repeat(100_000);
    expect(failureOf(error).stack.length).toBeLessThanOrEqual(8 * 1024);
  });
});

test("a result too large for a message is sent large enough to be refused as too large", () => {
  const report = succeeded({ data: new Uint8Array(5 * 1024 * 1024), contentType: "x/y" });
  const length = report.$case === "success" ? report.value.result?.data.length : 0;
  expect(length).toBeGreaterThan(256 * 1024);
  expect(length).toBeLessThan(4 * 1024 * 1024);
});
