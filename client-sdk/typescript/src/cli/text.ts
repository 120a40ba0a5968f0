// Text for a terminal. What came from a job (payloads, errors, names of workers) may hold anything: control characters
// could move the cursor, change colours or worse, so none of them gets there as it is.

import { jsonText } from "../json-text.js";

/** C0, DEL and C1, line and paragraph separators, and what turns the direction of writing around. */
const unsafe = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** On one line, with what is unsafe written out as \xNN or \uNNNN. */
export function oneLine(text: string): string {
  return text.replace(unsafe, escaped);
}

/** The same with its line breaks kept. */
export function manyLines(text: string): string {
  return text.replace(unsafe, (character) => (character === "\n" ? character : escaped(character)));
}

function escaped(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  const code = character.charCodeAt(0);
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** JSON escapes C0 by itself; the rest is escaped here, which leaves the value the same. */
export function json(value: unknown, indent?: number): string {
  return (jsonText(value, replacer, indent) ?? "null").replace(
    /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Bytes are base64, said so by the name of the field they are in. */
function replacer(this: unknown, name: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[name];
  return original instanceof Uint8Array ? { base64: Buffer.from(original).toString("base64") } : value;
}

/** The first `width` characters, the last of them an ellipsis where something was cut. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** `1.2 s`, `3 min`, `2 h`, `5 d`: as exact as people care. */
export function ago(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 48 * 3_600_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

export function count(n: number): string {
  return n.toLocaleString("en-US");
}
