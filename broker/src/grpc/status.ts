// How a refusal looks on the wire: one table from reasons to canonical codes, and google.rpc.Status with ErrorInfo,
// BadRequest and RetryInfo in `grpc-status-details-bin`. What is not a refusal is a bug of ours: its text stays here.

import { randomBytes } from "node:crypto";
import { BadRequest, ErrorInfo, RetryInfo, Status as RpcStatus } from "@drover/proto/rpc";
import type { ItemStatus } from "@drover/proto/v1";
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import type { Log } from "../app/telemetry.js";
import { type Reason, Refusal } from "../core/errors.js";
import { toDuration } from "./time.js";

const domain = "drover.dev";

/** A new Reason without a row does not compile. */
export const codeOf: Readonly<Record<Reason, status>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  INVALID_TOKEN: status.INVALID_ARGUMENT,
  JOB_NOT_FOUND: status.NOT_FOUND,
  FLOW_NOT_FOUND: status.NOT_FOUND,
  SCHEDULE_NOT_FOUND: status.NOT_FOUND,
  QUEUE_NOT_FOUND: status.NOT_FOUND,
  NAMESPACE_NOT_FOUND: status.NOT_FOUND,
  JOB_EXISTS: status.ALREADY_EXISTS,
  OWNED_BY_ANOTHER: status.ALREADY_EXISTS,
  NOT_FAILED: status.FAILED_PRECONDITION,
  NOT_WAITING: status.FAILED_PRECONDITION,
  ALREADY_REPORTED: status.FAILED_PRECONDITION,
  JOB_CANCELLED: status.FAILED_PRECONDITION,
  NOT_CANCELLED: status.FAILED_PRECONDITION,
  LEASE_LOST: status.ABORTED,
  QUEUE_BUSY: status.ABORTED,
  QUEUE_FULL: status.RESOURCE_EXHAUSTED,
  STORAGE_FULL: status.RESOURCE_EXHAUSTED,
  TOO_MANY_LANES: status.RESOURCE_EXHAUSTED,
  STORE_UNAVAILABLE: status.UNAVAILABLE,
  DRAINING: status.UNAVAILABLE,
};

// All of it travels in headers: below 8 KiB as a rule, below 16 KiB whatever was sent, or clients would drop the call.
const most = { violations: 10, description: 160, message: 500 };

/** The status of whatever a handler threw. What is not a Refusal is logged under an id, and only the id is told. */
export function statusOf(error: unknown, method: string, log: Log): StatusObject {
  if (error instanceof Refusal) return statusOfRefusal(error);
  const id = randomBytes(4).toString("hex");
  log.error({ err: error, method, id }, "a call failed by a fault of the broker");
  return { code: status.INTERNAL, details: `internal error ${id}`, metadata: new Metadata() };
}

export function statusOfRefusal(refusal: Refusal): StatusObject {
  const code = codeOf[refusal.reason];
  const message = clip(refusal.message, most.message);
  const metadata = new Metadata();
  const details = RpcStatus.encode({ code, message, details: detailsOf(refusal) }).finish();
  metadata.set("grpc-status-details-bin", Buffer.from(details));
  return { code, details: message, metadata };
}

/** The same for one item of a batch. */
export function itemStatusOf(refusal: Refusal): ItemStatus {
  return {
    code: codeOf[refusal.reason],
    reason: refusal.reason,
    message: clip(refusal.message, most.message),
    violations: (refusal.detail.violations ?? []).slice(0, most.violations).map(({ field, description }) => ({
      field,
      description: clip(description, most.description),
    })),
  };
}

function detailsOf({ reason, detail }: Refusal): RpcStatus["details"] {
  const details = [
    pack("ErrorInfo", ErrorInfo.encode({ reason, domain, metadata: { ...detail.metadata } }).finish()),
  ];
  if (detail.violations !== undefined) {
    const fieldViolations = detail.violations.slice(0, most.violations).map(({ field, description }) => ({
      field,
      description: clip(description, most.description),
      reason: "",
      localizedMessage: undefined,
    }));
    details.push(pack("BadRequest", BadRequest.encode({ fieldViolations }).finish()));
  }
  if (detail.retryAfter !== undefined) {
    details.push(pack("RetryInfo", RetryInfo.encode({ retryDelay: toDuration(detail.retryAfter) }).finish()));
  }
  return details;
}

function pack(name: string, value: Uint8Array) {
  return { typeUrl: `type.googleapis.com/google.rpc.${name}`, value };
}

/** Also replaces halves of characters, which grpc-js would fail to write into a header. */
function clip(text: string, length: number): string {
  const cut = text.length > length ? `${text.slice(0, length - 3)}...` : text;
  return cut.replace(/\p{Surrogate}/gu, "\ufffd");
}
