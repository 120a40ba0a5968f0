// What the end of a handler means, as one value: the report that goes up. Every way a run can end comes through here,
// so that none can be reported in two ways.

import { jsonText } from "@drover/proto/sdk/json-text";
import { PayloadError } from "@drover/proto/sdk/payload";
import { toDuration } from "@drover/proto/sdk/time";
import type { FailureReport, Outcome } from "@drover/proto/v1";
import { FailureReason, type Payload } from "@drover/proto/v1/job";
import {
  HardTimeLimitExceeded,
  type Interrupted,
  JobCancelled,
  Permanent,
  Release,
  Retry,
  Snooze,
  WorkerDraining,
} from "./errors.js";

export type Report = NonNullable<Outcome["report"]>;

/** An error class, or the name of one. */
// biome-ignore lint/suspicious/noExplicitAny: a constructor with whatever parameters
export type ErrorRule = (abstract new (...args: any[]) => unknown) | string;

export interface FailureRules {
  /** Errors of these classes (or names) fail the job for good. */
  readonly permanentErrors?: readonly ErrorRule[] | undefined;
  /** Says of any other error whether it fails the job for good. */
  readonly isPermanent?: ((error: unknown) => boolean) | undefined;
}

const STACK_BYTES = 8 * 1024;
const MESSAGE_BYTES = 4 * 1024;
const TYPE_CHARS = 256;
// Far above the limit of a result (256 KiB), far below that of a message (4 MiB): the broker has to see that a result
// is too large, but a message that cannot be sent would end the session, again and again.
const RESULT_BYTES = 2 * 1024 * 1024;

export const RELEASED: Report = { $case: "release", value: {} };
export const CANCELLED: Report = { $case: "cancelled", value: {} };

export function succeeded(result: Payload): Report {
  if (result.data.length <= RESULT_BYTES) return { $case: "success", value: { result } };
  return { $case: "success", value: { result: { ...result, data: result.data.subarray(0, RESULT_BYTES) } } };
}

export function timedOut(): Report {
  return failure(FailureReason.FAILURE_REASON_TIME_LIMIT, new HardTimeLimitExceeded());
}

/** What a handler's error means. `interrupted` is what the run's signal was aborted with before, if it was. */
export function threw(error: unknown, rules: FailureRules, interrupted: Interrupted | undefined): Report {
  if (interrupted instanceof JobCancelled) return CANCELLED;
  if (error instanceof Snooze) return { $case: "snooze", value: { delay: toDuration(error.delay) } };
  if (error instanceof Release || interrupted instanceof WorkerDraining) return RELEASED;
  if (error instanceof Retry) return failure(FailureReason.FAILURE_REASON_ERROR, error, error.after);
  const reason = isPermanent(error, rules)
    ? FailureReason.FAILURE_REASON_PERMANENT
    : FailureReason.FAILURE_REASON_ERROR;
  return failure(reason, error);
}

/** The same for rules that may themselves throw. */
export function reportOfError(
  error: unknown,
  rules: FailureRules,
  interrupted: Interrupted | undefined,
): Report {
  try {
    return threw(error, rules, interrupted);
  } catch {
    // The task's own isPermanent threw: without it, then.
    return threw(error, {}, interrupted);
  }
}

function isPermanent(error: unknown, rules: FailureRules): boolean {
  // A payload or result that is not JSON will not be so the next time.
  if (error instanceof Permanent || error instanceof PayloadError) return true;
  for (const rule of rules.permanentErrors ?? []) {
    if (typeof rule === "string" ? typeName(error) === rule : error instanceof rule) return true;
  }
  return rules.isPermanent?.(error) ?? false;
}

function failure(reason: FailureReason, error: unknown, retryAfter?: number): Report {
  const report: FailureReport = {
    reason,
    type: typeName(error).slice(0, TYPE_CHARS),
    message: cut(messageOf(error), MESSAGE_BYTES),
    stack: cut(stackOf(error), STACK_BYTES),
    retryAfter: retryAfter === undefined ? undefined : toDuration(retryAfter),
  };
  return { $case: "failure", value: report };
}

/** Anything can be thrown: an error whose message is a number, an object that has no text. */
function messageOf(error: unknown): string {
  try {
    if (error instanceof Error) return String(error.message);
    const text = typeof error === "object" ? jsonText(error) : undefined;
    return text ?? String(error);
  } catch {
    return "what was thrown has no text";
  }
}

/** The error's class as its author named it; of what is no error, its type. */
export function typeName(error: unknown): string {
  if (!(error instanceof Error)) return error === null ? "null" : typeof error;
  const className = String(error.constructor?.name ?? "");
  // Plain errors may carry a name of their own, and a DOMException (AbortError and the like) is told by its name only.
  const plain = className === "" || className === "Error" || error instanceof DOMException;
  return plain ? String(error.name) : className;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  let text = String(error.stack ?? "");
  let cause = error.cause;
  for (let depth = 0; depth < 5 && cause instanceof Error; depth++) {
    text += `\ncaused by: ${cause.stack ?? cause.message}`;
    cause = cause.cause;
  }
  return text;
}

/** At most `bytes` of UTF-8, cut out of the middle: the beginning names the error, the end where it came from. */
export function cut(text: string, bytes: number): string {
  // No character of a string takes more than 3 bytes.
  if (text.length * 3 <= bytes) return text;
  const whole = Buffer.from(text);
  if (whole.length <= bytes) return text;
  const mark = "\n[...]\n";
  const half = Math.floor((bytes - mark.length) / 2);
  const head = new TextDecoder().decode(whole.subarray(0, startOfCharacter(whole, half)));
  const tail = new TextDecoder().decode(whole.subarray(endOfCharacter(whole, whole.length - half)));
  return head + mark + tail;
}

function startOfCharacter(utf8: Buffer, at: number): number {
  while (at > 0 && isContinuation(utf8[at])) at--;
  return at;
}

function endOfCharacter(utf8: Buffer, at: number): number {
  while (at < utf8.length && isContinuation(utf8[at])) at++;
  return at;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
