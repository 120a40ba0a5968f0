import { BadRequest, ErrorInfo, RetryInfo, Status } from "@drover/proto/rpc";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { fromItemStatus, fromServiceError } from "../../../client-sdk/typescript/src/call-errors.js";
import {
  type CallError,
  InvalidArgumentError,
  JobExistsError,
  JobNotFoundError,
  OverloadedError,
  UnavailableError,
} from "../../../client-sdk/typescript/src/errors.js";
import { isBrokerTrouble, retryWait, told } from "../../../client-sdk/typescript/src/retry.js";

const any = (typeName: string, value: Uint8Array) => ({
  typeUrl: `type.googleapis.com/google.rpc.${typeName}`,
  value,
});
const errorInfo = (reason: string) =>
  any("ErrorInfo", ErrorInfo.encode({ reason, domain: "drover.dev", metadata: {} }).finish());
const retryInfo = (seconds: number) =>
  any("RetryInfo", RetryInfo.encode({ retryDelay: { seconds, nanos: 0 } }).finish());
const badRequest = (field: string, description: string) =>
  any(
    "BadRequest",
    BadRequest.encode({
      fieldViolations: [{ field, description, reason: "", localizedMessage: undefined }],
    }).finish(),
  );

/** As it comes out of grpc-js. */
function grpcError(code: status, details: ReturnType<typeof any>[] = []): ServiceError {
  const metadata = new Metadata();
  const trailer = Status.encode({ code, message: "said", details }).finish();
  if (details.length > 0) metadata.set("grpc-status-details-bin", Buffer.from(trailer));
  return Object.assign(new Error("said"), { code, details: "said", metadata });
}

const callError = (code: status, ...details: ReturnType<typeof any>[]) =>
  fromServiceError(grpcError(code, details));

describe("an error of a call", () => {
  test.each`
    code                         | reason                 | Class                   | why
    ${status.NOT_FOUND}          | ${"JOB_NOT_FOUND"}     | ${JobNotFoundError}     | ${"is told by its reason"}
    ${status.ALREADY_EXISTS}     | ${"JOB_EXISTS"}        | ${JobExistsError}       | ${"is told by its reason"}
    ${status.RESOURCE_EXHAUSTED} | ${"STORAGE_FULL"}      | ${OverloadedError}      | ${"is told by its code"}
    ${status.UNAVAILABLE}        | ${"STORE_UNAVAILABLE"} | ${UnavailableError}     | ${"is told by its code"}
    ${status.INVALID_ARGUMENT}   | ${"SOMETHING_NEW"}     | ${InvalidArgumentError} | ${"is told by its code when the reason is new"}
  `("$reason $why", ({ code, reason, Class }) => {
    const error = callError(code, errorInfo(reason));
    expect(error).toBeInstanceOf(Class);
    expect(error.name).toBe(Class.name);
    expect(error).toMatchObject({ code, reason });
  });

  test("names the fields that are wrong", () => {
    const error = callError(
      status.INVALID_ARGUMENT,
      errorInfo("INVALID_ARGUMENT"),
      badRequest("job.priority", "is 12, must be 0 to 9"),
    );
    expect(error.fields).toEqual([{ field: "job.priority", description: "is 12, must be 0 to 9" }]);
  });

  test("has its code as its reason when no broker gave one", () => {
    expect(callError(status.UNAVAILABLE).reason).toBe("UNAVAILABLE");
  });

  test("keeps code and message when its details cannot be read", () => {
    const error = grpcError(status.NOT_FOUND);
    error.metadata.set("grpc-status-details-bin", Buffer.from([255, 255, 255]));
    expect(fromServiceError(error)).toMatchObject({ code: status.NOT_FOUND, message: "said" });
  });

  test("of one item of a batch is the same class as alone", () => {
    const item = { code: status.NOT_FOUND, reason: "JOB_NOT_FOUND", message: "unknown", violations: [] };
    expect(fromItemStatus(item)).toBeInstanceOf(JobNotFoundError);
  });
});

describe("a call is tried again", () => {
  const half = () => 0.5;
  const wait = (error: CallError, tries = 1, random = half) => retryWait(error, tries, random);

  test.each`
    error                                                                                                     | again    | why
    ${callError(status.UNAVAILABLE)}                                                                          | ${true}  | ${"when no broker answers"}
    ${callError(status.UNAVAILABLE, errorInfo("STORE_UNAVAILABLE"), retryInfo(0))}                            | ${true}  | ${"when the store is away"}
    ${callError(status.RESOURCE_EXHAUSTED, errorInfo("STORAGE_FULL"), retryInfo(1))}                          | ${true}  | ${"when the broker asks for it"}
    ${callError(status.DEADLINE_EXCEEDED)}                                                                    | ${true}  | ${"when a broker hangs"}
    ${callError(status.INTERNAL)}                                                                             | ${true}  | ${"when the connection was cut"}
    ${callError(status.RESOURCE_EXHAUSTED)}                                                                   | ${false} | ${"not when the message is too large"}
    ${callError(status.INTERNAL, errorInfo("BUG"))}                                                           | ${false} | ${"not when the broker itself failed"}
    ${callError(status.INVALID_ARGUMENT)}                                                                     | ${false} | ${"not when it is wrong"}
    ${callError(status.NOT_FOUND, errorInfo("JOB_NOT_FOUND"))}                                                | ${false} | ${"not when there is an answer"}
    ${fromItemStatus({ code: status.RESOURCE_EXHAUSTED, reason: "QUEUE_FULL", message: "", violations: [] })} | ${true}  | ${"as an item of a batch, too"}
  `("$why: $again", ({ error, again }) => {
    expect(wait(error) !== undefined).toBe(again);
  });

  test("later each time, up to 2 s", () => {
    const error = callError(status.UNAVAILABLE);
    const waits = [1, 2, 3, 4, 5, 6, 7, 8].map((tries) => wait(error, tries, () => 0.9999999));
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
    expect(wait(error, 1, () => 0)).toBe(25);
  });

  test("never before the broker wants it", () => {
    expect(wait(callError(status.RESOURCE_EXHAUSTED, errorInfo("QUEUE_FULL"), retryInfo(3)))).toBe(3_000);
  });

  test("at another broker only where the broker is to blame", () => {
    expect(isBrokerTrouble(callError(status.UNAVAILABLE))).toBe(true);
    expect(isBrokerTrouble(callError(status.RESOURCE_EXHAUSTED, errorInfo("QUEUE_FULL"), retryInfo(1)))).toBe(
      false,
    );
  });
});

test("a call whose time is over is told why the try before failed, where the last one only ran out of time", () => {
  const [late, away] = [callError(status.DEADLINE_EXCEEDED), callError(status.UNAVAILABLE)];
  expect(told(late, away)).toBe(away);
  expect(told(late, undefined)).toBe(late);
  expect(told(away, late)).toBe(away);
});
