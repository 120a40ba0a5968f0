// What can go wrong, as classes to catch. The reason is the broker's word for it and part of the contract; the message
// is for people. Nothing of gRPC is loaded for it: a command line that is wrong ends before that.

import type { FieldViolation } from "@drover/proto/sdk/rpc-status";
import type { status } from "@grpc/grpc-js";
import type { FlowMemberStatus, FlowStatus } from "./flow-status.js";
import type { Failure, JobStatus } from "./job.js";

/** Of google.rpc.Code, those that errors have classes for. */
const codes = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  RESOURCE_EXHAUSTED: 8,
  UNAVAILABLE: 14,
} as const;

export abstract class DroverError extends Error {
  /** For example JOB_NOT_FOUND. */
  abstract readonly reason: string;
}

export interface CallErrorDetails {
  /** The gRPC code. */
  readonly code: status;
  readonly reason: string;
  readonly fields?: readonly FieldViolation[];
  /** When the broker asks to be called again, in ms. */
  readonly retryAfter?: number | undefined;
}

/** A call did not succeed. */
export class CallError extends DroverError {
  readonly code: status;
  override readonly reason: string;
  /** What is wrong with which field, of an INVALID_ARGUMENT. */
  readonly fields: readonly FieldViolation[];
  readonly retryAfter: number | undefined;

  constructor(message: string, { code, reason, fields = [], retryAfter }: CallErrorDetails) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.reason = reason;
    this.fields = fields;
    this.retryAfter = retryAfter;
  }
}

/** Something is over a limit or no name; `fields` says what. */
export class InvalidArgumentError extends CallError {
  /** For what is wrong before anything was sent. */
  static of(field: string, description: string): InvalidArgumentError {
    return InvalidArgumentError.ofFields([{ field, description }]);
  }

  static ofFields(fields: readonly FieldViolation[]): InvalidArgumentError {
    const message = fields.map(({ field, description }) => `${field}: ${description}`).join("; ");
    const code = codes.INVALID_ARGUMENT;
    return new InvalidArgumentError(message, { code, reason: "INVALID_ARGUMENT", fields: [...fields] });
  }
}
/** Never submitted, or its record aged out. */
export class JobNotFoundError extends CallError {}
/** Nothing was ever submitted to it. */
export class QueueNotFoundError extends CallError {}
/** The task has a job of this key, and the submit said `onConflict: "reject"`. */
export class JobExistsError extends CallError {}
/** Never submitted, or aged out. */
export class FlowNotFoundError extends CallError {}
/** Never declared, or removed. */
export class ScheduleNotFoundError extends CallError {}
/** Something of that name was declared by another owner. */
export class OwnedByAnotherError extends CallError {}
/** Only failed jobs can be redriven. */
export class NotFailedError extends CallError {}
/** Only jobs that wait can be moved. */
export class NotWaitingError extends CallError {}
/** The broker has no room (STORAGE_FULL, QUEUE_FULL, TOO_MANY_LANES), and had none until the deadline. */
export class OverloadedError extends CallError {}
/** No broker answered, or none could reach its store, until the deadline. */
export class UnavailableError extends CallError {}
/** The call took longer than its timeout. */
export class DeadlineExceededError extends CallError {}
/** More submits wait in this process than `maxPending` allows: slow down, or use submitBatch. */
export class ClientBusyError extends CallError {}
/** The client was closed while the call was waiting. */
export class ClientClosedError extends CallError {
  constructor() {
    super("the client is closed", { code: codes.CANCELLED, reason: "CLIENT_CLOSED" });
  }
}

type CallErrorClass = new (message: string, details: CallErrorDetails) => CallError;

const byReason: Record<string, CallErrorClass> = {
  INVALID_ARGUMENT: InvalidArgumentError,
  JOB_NOT_FOUND: JobNotFoundError,
  QUEUE_NOT_FOUND: QueueNotFoundError,
  FLOW_NOT_FOUND: FlowNotFoundError,
  SCHEDULE_NOT_FOUND: ScheduleNotFoundError,
  JOB_EXISTS: JobExistsError,
  OWNED_BY_ANOTHER: OwnedByAnotherError,
  NOT_FAILED: NotFailedError,
  NOT_WAITING: NotWaitingError,
};

const byCode: Partial<Record<status, CallErrorClass>> = {
  [codes.INVALID_ARGUMENT]: InvalidArgumentError,
  [codes.RESOURCE_EXHAUSTED]: OverloadedError,
  [codes.UNAVAILABLE]: UnavailableError,
  [codes.DEADLINE_EXCEEDED]: DeadlineExceededError,
};

export function callError(message: string, details: CallErrorDetails): CallError {
  const Class = byReason[details.reason] ?? byCode[details.code] ?? CallError;
  return new Class(message, details);
}

/** The job did not end within the timeout. It goes on. */
export class ResultTimeoutError extends DroverError {
  override readonly name = "ResultTimeoutError";
  override readonly reason = "RESULT_TIMEOUT";
  constructor(
    readonly jobId: string,
    /** In ms. */
    readonly timeout: number,
  ) {
    super(`job ${jobId} has not ended within ${timeout} ms; it goes on`);
  }
}

/** The job failed for good. */
export class JobFailedError extends DroverError {
  override readonly name = "JobFailedError";
  readonly jobId: string;
  /** ERROR, PERMANENT, TIME_LIMIT, CRASHED ... */
  override readonly reason: string;
  /** What the worker reported: reason, type, message and stack of its error. */
  readonly failure: Failure;

  constructor(readonly job: JobStatus) {
    const failure = job.failure ?? { reason: "UNSPECIFIED", type: "", message: "", stack: "" };
    super(`job ${job.id} failed (${failure.reason})${told(failure)}`);
    this.jobId = job.id;
    this.reason = failure.reason;
    this.failure = failure;
    if (failure.stack !== "") this.stack = `${this.stack}\n--- in the worker ---\n${failure.stack}`;
  }
}

function told({ type, message }: Failure): string {
  const text = [type, message].filter((part) => part !== "").join(": ");
  return text === "" ? "" : `: ${text}`;
}

/** The job was cancelled. */
export class JobCancelledError extends DroverError {
  override readonly name = "JobCancelledError";
  override readonly reason = "JOB_CANCELLED";
  readonly jobId: string;
  constructor(readonly job: JobStatus) {
    super(`job ${job.id} was cancelled`);
    this.jobId = job.id;
  }
}

/** The flow did not end within the timeout. It goes on. */
export class FlowTimeoutError extends DroverError {
  override readonly name = "FlowTimeoutError";
  override readonly reason = "FLOW_TIMEOUT";
  constructor(
    readonly key: string,
    /** In ms. */
    readonly timeout: number,
  ) {
    super(`flow ${key} has not ended within ${timeout} ms; it goes on`);
  }
}

/** The flow failed or was cancelled. */
export class FlowFailedError extends DroverError {
  override readonly name = "FlowFailedError";
  /** FLOW_FAILED or FLOW_CANCELLED. */
  override readonly reason: string;
  constructor(
    readonly flow: FlowStatus,
    /** Of the members that no other one depends on, in their order: what did succeed is among them. */
    readonly outcomes: readonly FlowMemberStatus[],
  ) {
    const { key, state, failure, failedMember } = flow;
    const where = failedMember === undefined ? "" : ` at member ${failedMember}`;
    super(`flow ${key} ${state.toLowerCase()}${where}${failure === undefined ? "" : told(failure)}`);
    this.reason = `FLOW_${state}`;
  }
}
