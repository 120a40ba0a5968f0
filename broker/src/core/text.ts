// Cutting text to a number of bytes in UTF-8, never through a character. What is stored is bounded in bytes, and an error
// message in Japanese has three of them to a character.

/** The beginning of `text`, at most `limit` bytes. */
export function cutEnd(text: string, limit: number): string {
  return fits(text, limit) ? text : text.slice(0, headOf(text, limit));
}

/** Both ends of `text` and a mark between, together at most `limit` bytes: both ends of a stack tell something, its
 *  middle rarely does. */
export function cutMiddle(text: string, limit: number): string {
  if (fits(text, limit)) return text;
  const half = Math.floor((limit - mark.length) / 2);
  return text.slice(0, headOf(text, half)) + mark + text.slice(tailOf(text, half));
}

const mark = "\n... cut ...\n";

/** Bytes of a code point. */
function width(codePoint: number): number {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
}

function fits(text: string, limit: number): boolean {
  // A character has at most three bytes (a pair of surrogates has four), so most texts are decided without a look.
  if (text.length * 3 <= limit) return true;
  return text.length <= limit && headOf(text, limit) === text.length;
}

/** How many characters of the beginning fit. */
function headOf(text: string, limit: number): number {
  let bytes = 0;
  let i = 0;
  while (i < text.length) {
    const codePoint = text.codePointAt(i) ?? 0;
    bytes += width(codePoint);
    if (bytes > limit) break;
    i += codePoint > 0xffff ? 2 : 1;
  }
  return i;
}

/** Where the end begins that fits. */
function tailOf(text: string, limit: number): number {
  let bytes = 0;
  let i = text.length;
  while (i > 0) {
    const pair = i > 1 && isLow(text.charCodeAt(i - 1)) && isHigh(text.charCodeAt(i - 2));
    bytes += pair ? 4 : width(text.charCodeAt(i - 1));
    if (bytes > limit) break;
    i -= pair ? 2 : 1;
  }
  return i;
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
