// Names and ids. One rule for every name: what fits here fits into a NATS subject token, a URL path and a metric label.

import type { JobRef } from "./job.js";
import { sizes } from "./limits.js";

const name = /^[A-Za-z0-9_.-]{1,128}$/;

export const nameRule = `1 to ${sizes.name} characters of A-Z a-z 0-9 _ . -`;

export function isName(text: string): boolean {
  return name.test(text);
}

export function jobId(ref: JobRef): string {
  return ref.id ?? `${ref.task}~${ref.key}`;
}

/** A job of which many will ask the id. */
export class KnownJob implements JobRef {
  readonly #id: string;

  constructor(
    readonly task: string,
    readonly key: string,
  ) {
    this.#id = `${task}~${key}`;
  }

  get id(): string {
    return this.#id;
  }
}

/** The task and key of a job id, or undefined when it is none. */
export function parseJobId(id: string): JobRef | undefined {
  const cut = id.indexOf("~");
  if (cut < 1) return undefined;
  const task = id.slice(0, cut);
  const key = id.slice(cut + 1);
  return isName(task) && isName(key) ? { task, key } : undefined;
}

/** Which shard a task lives in: FNV-1a of its name. Fixed for ever, as a namespace's shards are when it is made. */
export function shardOf(task: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < task.length; i++) {
    hash ^= task.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % shards;
}

const uuid7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Keys that a program made never repeat; those that people choose do, and are looked up before they are written. */
export function isMadeKey(key: string): boolean {
  return uuid7.test(key);
}

/** A UUIDv7 (RFC 9562) of a time in ms and 10 random bytes. */
export function makeKey(now: number, random: Uint8Array): string {
  const hex = (n: number, digits: number) => n.toString(16).padStart(digits, "0");
  const byte = (i: number) => random[i] ?? 0;
  const rest = Array.from({ length: 6 }, (_, i) => hex(byte(i + 4), 2)).join("");
  const time = hex(now, 12);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(((byte(0) & 0x0f) << 8) | byte(1), 3)}-${hex(
    0x8000 | ((byte(2) & 0x3f) << 8) | byte(3),
    4,
  )}-${rest}`;
}
