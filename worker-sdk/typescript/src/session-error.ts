import { detailsOf, type FieldViolation } from "@drover/proto/sdk/rpc-status";
import { type ServiceError, status } from "@grpc/grpc-js";

/** Why a session ended or did not come about. */
export class SessionError extends Error {
  override readonly name = "SessionError";
  constructor(
    message: string,
    /** The gRPC code. */
    readonly code: status,
    /** As the broker names it (DRAINING, INVALID_ARGUMENT ...); empty when it was not the broker that said so. */
    readonly reason: string = "",
    readonly fields: readonly FieldViolation[] = [],
  ) {
    super(message);
  }

  /** The broker would say the same the next time: the mistake is in what this worker asks for. */
  get isRefusal(): boolean {
    return REFUSALS.has(this.code);
  }
}

const REFUSALS = new Set<status>([
  status.INVALID_ARGUMENT,
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.UNIMPLEMENTED,
]);

export function sessionError(error: ServiceError): SessionError {
  const { reason, fields } = detailsOf(error.metadata);
  return new SessionError(error.details || error.message, error.code, reason, fields);
}
