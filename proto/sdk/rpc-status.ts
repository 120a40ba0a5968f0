// What a gRPC error says beyond its code: google.rpc.Status travels in a trailer, and its details say why (ErrorInfo),
// where (BadRequest) and when to try again (RetryInfo).

import { BadRequest, ErrorInfo, RetryInfo } from "@drover/proto/rpc/error_details";
import { Status } from "@drover/proto/rpc/status";
import type { Metadata } from "@grpc/grpc-js";
import { toMillis } from "./time.js";

export interface FieldViolation {
  /** As the .proto names it, for example `job.run_at`. */
  readonly field: string;
  readonly description: string;
}

export interface RpcDetails {
  /** For example JOB_NOT_FOUND; empty when it was not the broker that answered. */
  readonly reason: string;
  readonly fields: readonly FieldViolation[];
  /** In ms; undefined when the broker does not ask for a retry. */
  readonly retryAfter: number | undefined;
}

const TRAILER = "grpc-status-details-bin";

/** Details that are missing or cannot be read add nothing; code and message stand without them. */
export function detailsOf(trailer: Metadata | undefined): RpcDetails {
  let reason = "";
  let retryAfter: number | undefined;
  const fields: FieldViolation[] = [];
  const bytes = trailer?.get(TRAILER)[0];
  if (!(bytes instanceof Uint8Array)) return { reason, fields, retryAfter };
  try {
    for (const { typeUrl, value } of Status.decode(bytes).details) {
      const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
      if (type === "google.rpc.ErrorInfo") reason = ErrorInfo.decode(value).reason;
      else if (type === "google.rpc.RetryInfo")
        retryAfter = toMillis(RetryInfo.decode(value).retryDelay) ?? 0;
      else if (type === "google.rpc.BadRequest") {
        for (const { field, description } of BadRequest.decode(value).fieldViolations)
          fields.push({ field, description });
      }
    }
  } catch {
    // See above.
  }
  return { reason, fields, retryAfter };
}
