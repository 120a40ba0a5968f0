import { BadRequest, ErrorInfo, RetryInfo, Status } from "@drover/proto/rpc";
import { describe, expect, test } from "vitest";
import { invalid, jobNotFound, type Reason, Refusal } from "../../../broker/src/core/errors.js";
import { codeOf, itemStatusOf, statusOf, statusOfRefusal } from "../../../broker/src/grpc/status.js";
import { QuietLog } from "../../support/quiet-log.js";

/** The details of a status by the last part of their type's name. */
function detailsOf(refusal: Refusal) {
  const [bytes] = statusOfRefusal(refusal).metadata.get("grpc-status-details-bin");
  const { code, message, details } = Status.decode(bytes as Buffer);
  const find = (name: string) =>
    details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${name}`)?.value;
  return { code, message, find, bytes: bytes as Buffer };
}

describe("the code of a reason", () => {
  test.each<[Reason, number]>([
    ["INVALID_ARGUMENT", 3],
    ["INVALID_TOKEN", 3],
    ["JOB_NOT_FOUND", 5],
    ["QUEUE_NOT_FOUND", 5],
    ["NAMESPACE_NOT_FOUND", 5],
    ["JOB_EXISTS", 6],
    ["STORAGE_FULL", 8],
    ["QUEUE_FULL", 8],
    ["TOO_MANY_LANES", 8],
    ["NOT_FAILED", 9],
    ["ALREADY_REPORTED", 9],
    ["JOB_CANCELLED", 9],
    ["NOT_CANCELLED", 9],
    ["LEASE_LOST", 10],
    ["QUEUE_BUSY", 10],
    ["STORE_UNAVAILABLE", 14],
    ["DRAINING", 14],
  ])("%s is %d", (reason, code) => {
    expect(codeOf[reason]).toBe(code);
    expect(statusOfRefusal(new Refusal(reason, "no"))).toMatchObject({ code, details: "no" });
    expect(itemStatusOf(new Refusal(reason, "no"))).toEqual({ code, reason, message: "no", violations: [] });
  });
});

test("ErrorInfo names the reason and whose it is", () => {
  const { code, message, find } = detailsOf(jobNotFound("a~b"));
  expect({ code, message }).toMatchObject({ code: 5, message: expect.stringContaining("a~b") });
  const info = ErrorInfo.decode(find("ErrorInfo") as Uint8Array);
  expect(info).toEqual({ reason: "JOB_NOT_FOUND", domain: "drover.dev", metadata: { id: "a~b" } });
  expect(find("BadRequest")).toBeUndefined();
  expect(find("RetryInfo")).toBeUndefined();
});

test("BadRequest names the fields", () => {
  const { find } = detailsOf(invalid([{ field: "job.priority", description: "is 10, must be 0 to 9" }]));
  const { fieldViolations } = BadRequest.decode(find("BadRequest") as Uint8Array);
  expect(fieldViolations).toMatchObject([{ field: "job.priority", description: "is 10, must be 0 to 9" }]);
});

test("RetryInfo says when to come again", () => {
  const { find } = detailsOf(new Refusal("QUEUE_FULL", "later", { retryAfter: 1_500 }));
  expect(RetryInfo.decode(find("RetryInfo") as Uint8Array).retryDelay).toEqual({
    seconds: 1,
    nanos: 500_000_000,
  });
});

test("whatever was sent, a status fits into the headers that clients accept", () => {
  const violations = Array.from({ length: 1_000 }, (_, i) => ({
    field: `ids[${i}]`,
    description: "界".repeat(500),
  }));
  const { bytes } = detailsOf(invalid(violations));
  const { details } = statusOfRefusal(invalid(violations));
  expect(bytes.toString("base64").length + encodeURI(details).length).toBeLessThan(16_384);
});

test("half a character does not break the header", () => {
  const { details } = statusOfRefusal(new Refusal("INVALID_TOKEN", "broken \ud83d here"));
  expect(() => encodeURI(details)).not.toThrow();
});

describe("what is no refusal", () => {
  test.each<[string, unknown]>([
    ["an error", new Error("password=hunter2")],
    ["something thrown", "password=hunter2"],
    ["nothing", undefined],
  ])("%s is INTERNAL, told by an id that the log explains", (_, thrown) => {
    const log = new QuietLog();
    const { code, details, metadata } = statusOf(thrown, "JobService/Submit", log);
    expect(code).toBe(13);
    expect(details).toMatch(/^internal error [0-9a-f]{8}$/);
    expect(metadata.getMap()).toEqual({});
    expect(log.lines).toMatchObject([
      { level: "error", fields: { method: "JobService/Submit", id: details.slice(-8), err: thrown } },
    ]);
  });
});
