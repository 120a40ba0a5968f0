import { describe, expect, test } from "vitest";
import {
  ago,
  cut,
  json,
  manyLines,
  oneLine,
  rate,
  widthOf,
} from "../../../../client-sdk/typescript/src/cli/text.js";

const esc = String.fromCharCode(27);

describe("what a job brought along never reaches a terminal raw", () => {
  test.each([
    [`${esc}[31mred${esc}[0m`, "\\x1b[31mred\\x1b[0m", "colours"],
    [`${esc}]0;title\u0007`, "\\x1b]0;title\\x07", "titles of windows"],
    ["a\rb", "a\\x0db", "going back in a line"],
    ["a\nb\tc", "a\\nb\\tc", "line breaks and tabs"],
    ["\u009b2J", "\\x9b2J", "C1 controls, which some terminals obey"],
    ["abc\u202edef", "abc\\u202edef", "turned writing"],
    ["\u2028", "\\u2028", "separators of lines"],
    ["<b>ü 漢 🚚</b>", "<b>ü 漢 🚚</b>", "(and text stays as it is)"],
  ])("%j becomes %j: %s", (text, safe) => {
    expect(oneLine(text)).toBe(safe);
  });

  test("a stack keeps its lines and nothing else", () => {
    expect(manyLines(`Error: x\n  at y${esc}[2J`)).toBe("Error: x\n  at y\\x1b[2J");
  });

  test("JSON is escaped to what means the same", () => {
    const value = { a: `${esc}[2J\u009b\u2028\u202e`, b: "ü" };
    const text = json(value);
    expect(text).not.toMatch(/[\p{Cc}\u2028\u202e]/u);
    expect(JSON.parse(text)).toEqual(value);
  });

  test("bytes are base64, and say so", () => {
    expect(json({ result: new Uint8Array([255, 0]) })).toBe('{"result":{"base64":"/wA="}}');
    expect(json({ result: Buffer.from([255, 0]) })).toBe('{"result":{"base64":"/wA="}}');
  });
});

test.each([
  [0, "0 ms"],
  [-5, "0 ms"],
  [999, "999 ms"],
  [1_250, "1.3 s"],
  [59_999, "60.0 s"],
  [60_000, "1 min"],
  [7_200_000, "2 h"],
  [3 * 86_400_000, "3 d"],
])("%d ms is told as %s", (ms, told) => {
  expect(ago(ms)).toBe(told);
});

test("what is cut says so", () => {
  expect(cut("abcdef", 6)).toBe("abcdef");
  expect(cut("abcdefg", 6)).toBe("abcde…");
});

test.each([
  ["abc", 3],
  ["ü", 1],
  ["u\u0308", 1],
  ["漢字", 4],
  ["한", 2],
  ["🚚", 2],
  ["👩‍🔧", 2],
  ["Ａ", 2],
  ["\u200d", 0],
])("%j takes %d columns, and is cut at them", (text, columns) => {
  expect(widthOf(text)).toBe(columns);
  expect(widthOf(cut(`${text}${text}${text}`, columns * 2 + 1))).toBeLessThanOrEqual(columns * 2 + 1);
});

test.each([
  [0, "0"],
  [0.04, "0.0"],
  [3.25, "3.3"],
  [12.4, "12"],
  [12_345.6, "12,346"],
])("%d a second is told as %s", (perSecond, told) => {
  expect(rate(perSecond)).toBe(told);
});
