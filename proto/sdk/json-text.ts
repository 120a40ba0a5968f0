// JSON as other languages have it: an integer keeps all its digits, also beyond 2^53, where JavaScript's numbers end. There
// it is a bigint. Ordinary texts pay for this with one look at them.

import { randomUUID } from "node:crypto";

/** Sixteen digits are the fewest that an integer beyond 2^53 has. */
const MAY_BE_LARGE = /[0-9]{16}/;
/** A string, to leave it as it is, or a number. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/g;
const INTEGER = /^-?[0-9]{16,}$/;
/** No text from outside can hold it. */
const MARK = `bigint:${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}(-?[0-9]+)"`, "g");

/** JSON.parse, with integers beyond 2^53 as bigints. @throws SyntaxError */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!MAY_BE_LARGE.test(text)) return value;
  let found = false;
  const marked = text.replace(TOKEN, (token) => {
    if (!INTEGER.test(token) || Number.isSafeInteger(Number(token))) return token;
    found = true;
    return `"${MARK}${token}"`;
  });
  return found ? JSON.parse(marked, unmarked) : value;
}

function unmarked(_name: string, value: unknown): unknown {
  return typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value;
}

type Replacer = (this: unknown, name: string, value: unknown) => unknown;

/** JSON.stringify, with bigints as integers. Undefined for what has no JSON. @throws TypeError for a cycle */
export function jsonText(value: unknown, replacer?: Replacer, indent?: number): string | undefined {
  try {
    return JSON.stringify(value, replacer, indent);
  } catch (error) {
    const text = withMarks(value, replacer, indent);
    if (text === undefined) throw error;
    return text.replace(MARKED, "$1");
  }
}

/** Undefined: there was no bigint in it, so that was not what is wrong with it. */
function withMarks(value: unknown, replacer?: Replacer, indent?: number): string | undefined {
  let found = false;
  const mark: Replacer = function (name, each) {
    const replaced = replacer === undefined ? each : replacer.call(this, name, each);
    if (typeof replaced !== "bigint") return replaced;
    found = true;
    return `${MARK}${replaced}`;
  };
  const text = JSON.stringify(value, mark, indent);
  return found ? text : undefined;
}
