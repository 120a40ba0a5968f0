// Every refusal a caller can meet, with the reason it carries on the wire (google.rpc.ErrorInfo, domain drover.dev).
// One table in grpc/status.ts turns reasons into status codes; a reason without a row there does not compile.

export type Reason =
  | "INVALID_ARGUMENT"
  | "JOB_NOT_FOUND"
  | "JOB_EXISTS"
  | "NOT_FAILED"
  | "NOT_WAITING"
  | "OWNED_BY_ANOTHER"
  | "FLOW_NOT_FOUND"
  | "SCHEDULE_NOT_FOUND"
  | "QUEUE_NOT_FOUND"
  | "QUEUE_BUSY"
  | "QUEUE_FULL"
  | "STORAGE_FULL"
  | "TOO_MANY_LANES"
  | "STORE_UNAVAILABLE"
  | "INVALID_TOKEN"
  | "LEASE_LOST"
  | "ALREADY_REPORTED"
  | "JOB_CANCELLED"
  | "NOT_CANCELLED"
  | "NAMESPACE_NOT_FOUND"
  | "DRAINING";

/** One thing wrong with one field of a request, said so that its sender can mend it. */
export interface Violation {
  /** Path in the request, for example `job.priority` or `jobs[3].retry.max_attempts`. */
  field: string;
  /** What is wrong, the limit, and the mend. */
  description: string;
}

/** A refusal with a reason. Anything else that is thrown is a bug of ours and answered as INTERNAL. */
export class Refusal extends Error {
  constructor(
    readonly reason: Reason,
    message: string,
    readonly detail: {
      violations?: readonly Violation[];
      /** When a repeat may help, in ms. */
      retryAfter?: number;
      metadata?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.name = "Refusal";
  }
}

/** All that is wrong with a request at once. */
export function invalid(violations: readonly Violation[]): Refusal {
  const said = violations.map((v) => `${v.field}: ${v.description}`).join("; ");
  return new Refusal("INVALID_ARGUMENT", said, { violations });
}

export function jobNotFound(id: string): Refusal {
  return new Refusal("JOB_NOT_FOUND", `no job ${id}: never submitted, or its record has aged out`, {
    metadata: { id },
  });
}

export function flowNotFound(key: string): Refusal {
  return new Refusal("FLOW_NOT_FOUND", `no flow ${key}: never submitted, or it has aged out`, {
    metadata: { key },
  });
}

export function scheduleNotFound(name: string): Refusal {
  return new Refusal("SCHEDULE_NOT_FOUND", `no schedule ${name}: never declared, or removed`, {
    metadata: { name },
  });
}
