// What a call ended with, as an error of this package.

import { detailsOf } from "@drover/proto/sdk/rpc-status";
import type { ItemStatus } from "@drover/proto/v1";
import { type ServiceError, status } from "@grpc/grpc-js";
import { type CallError, callError } from "./errors.js";

export function fromServiceError(error: ServiceError): CallError {
  const details = detailsOf(error.metadata);
  const reason = details.reason || codeName(error.code);
  // What comes from OpenSSL has lines.
  const message = (error.details || error.message).replaceAll("\n", " ").trimEnd();
  return callError(message, { ...details, code: error.code, reason });
}

/** Of one item of a batch. */
export function fromItemStatus({ code, reason, message }: ItemStatus): CallError {
  // Where an item may be tried again, a single call would have said so with RetryInfo.
  const retryAfter = code === status.RESOURCE_EXHAUSTED || code === status.UNAVAILABLE ? 0 : undefined;
  return callError(message, { code, reason: reason || codeName(code), retryAfter });
}

function codeName(code: number): string {
  return status[code] ?? `CODE_${code}`;
}
