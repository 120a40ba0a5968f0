// Collects all that is wrong with a request, so that its sender can mend it in one go. Fields are named as the contract
// (proto/drover/v1) names them.

import { sayDuration } from "./duration.js";
import { invalid, type Violation } from "./errors.js";
import type { JobRef } from "./job.js";
import { isName, nameRule, parseJobId } from "./names.js";

const utf8 = new TextEncoder();

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return utf8.encode(text).length;
}

export class Checks {
  readonly violations: Violation[] = [];

  get failed(): boolean {
    return this.violations.length > 0;
  }

  add(field: string, description: string): void {
    this.violations.push({ field, description });
  }

  /** @throws Refusal INVALID_ARGUMENT when anything was wrong */
  done(): void {
    if (this.failed) throw invalid(this.violations);
  }

  name(field: string, value: string): void {
    if (isName(value)) return;
    this.add(
      field,
      value === "" ? `is required: ${nameRule}` : `${quote(value)} is not a name: use ${nameRule}`,
    );
  }

  /** A text of 1 to `most` characters. */
  requiredText(field: string, value: string, most: number): void {
    if (value === "") this.add(field, `is required: 1 to ${most} characters`);
    else this.text(field, value, most);
  }

  text(field: string, value: string, most: number): void {
    if (value.length > most)
      this.add(field, `has ${value.length} characters, the limit is ${most}: shorten it`);
  }

  /** A text of at most `most` bytes in UTF-8. */
  bytes(field: string, value: string, most: number): void {
    // A character has at most three bytes per UTF-16 unit: nearly every text is settled without encoding it.
    if (value.length * 3 <= most) return;
    const length = byteLength(value);
    if (length > most) this.add(field, `has ${length} bytes, the limit is ${most}: shorten it`);
  }

  integer(field: string, value: number, least: number, most: number): void {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    this.add(field, `is ${value}, must be ${count(least)} to ${count(most)}`);
  }

  /** Any number, not just a whole one. */
  number(field: string, value: number, least: number, most: number): void {
    if (value >= least && value <= most) return;
    this.add(field, `is ${value}, must be ${least} to ${most}`);
  }

  /** A duration in ms; NaN stands for one that could not be understood. */
  duration(field: string, ms: number, least: number, most: number): void {
    if (ms >= least && ms <= most) return;
    const range = `${sayDuration(least)} to ${sayDuration(most)}`;
    this.add(
      field,
      Number.isNaN(ms)
        ? `is not a valid duration: seconds and nanos of the same sign, ${range}`
        : `is ${sayDuration(ms)}, must be ${range}`,
    );
  }

  /** How many items a list has. */
  size(field: string, length: number, least: number, most: number): void {
    if (length >= least && length <= most) return;
    this.add(field, `has ${count(length)} items, must have ${count(least)} to ${count(most)}`);
  }

  /** @returns the task and key of a job id, of nothing when it is malformed */
  jobId(field: string, id: string): JobRef {
    const ref = parseJobId(id);
    if (ref !== undefined) return ref;
    this.add(
      field,
      id === ""
        ? "is required: <task>~<key>, as a submit answered it"
        : `${quote(id)} is not a job id: <task>~<key>, as a submit answered it`,
    );
    return nobody;
  }
}

const nobody: JobRef = { task: "", key: "" };

/** Foreign text fit for a message: one line, not too long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text);
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}
