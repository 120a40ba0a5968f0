// Text for a terminal. What came from a job (payloads, errors, names of workers) may hold anything: control characters
// could move the cursor, change colours or worse, so none of them gets there as it is.

import { jsonText } from "@drover/proto/sdk/json-text";

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

const plain = /^[\x20-\x7e]*$/;
/** What is set upon the character before it, or shows nothing. */
const joined = /^[\p{Mn}\p{Me}\p{Cf}]/u;
const wide =
  /^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;
let segmenter: Intl.Segmenter | undefined;

/** What a reader takes for one character each. */
function charactersOf(text: string): string[] {
  if (plain.test(text)) return [...text];
  segmenter ??= new Intl.Segmenter();
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** The columns that a text takes on a terminal: two for each wide character. */
export function widthOf(text: string): number {
  if (plain.test(text)) return text.length;
  return charactersOf(text).reduce((sum, character) => sum + columnsOf(character), 0);
}

function columnsOf(character: string): number {
  if (wide.test(character)) return 2;
  return joined.test(character) ? 0 : 1;
}

/** What fits into `width` columns, the last of them an ellipsis where something was cut. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let left = width - 1;
  let kept = "";
  for (const character of charactersOf(text)) {
    left -= columnsOf(character);
    if (left < 0) break;
    kept += character;
  }
  return width < 1 ? "" : `${kept}…`;
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

/** Per second: with a decimal where that says something. */
export function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}
