import { expect, test } from "vitest";
import { cutEnd, cutMiddle } from "../../../broker/src/core/text.js";

const bytes = (text: string) => Buffer.byteLength(text);

test.each`
  text             | limit | kept            | why
  ${"short"}       | ${5}  | ${"short"}      | ${"what fits stays whole"}
  ${"longer"}      | ${5}  | ${"longe"}      | ${"one byte to a letter"}
  ${"ääää"}        | ${5}  | ${"ää"}         | ${"never half a character of two bytes"}
  ${"日本語"}      | ${8}  | ${"日本"}       | ${"never half a character of three bytes"}
  ${"a\u{1f600}b"} | ${4}  | ${"a"}          | ${"never half a pair of surrogates"}
  ${"a\u{1f600}b"} | ${5}  | ${"a\u{1f600}"} | ${"a pair that fits is kept"}
`("the end is cut: $why", ({ text, limit, kept }) => {
  expect(cutEnd(text, limit)).toBe(kept);
});

test.each(["a", "ä", "日", "\u{1f600}", "x日\u{1f600}"])(
  "a stack of %s is cut in the middle, to its bytes",
  (unit) => {
    const cut = cutMiddle(`begin ${unit.repeat(5_000)} end`, 1_000);
    expect(bytes(cut)).toBeLessThanOrEqual(1_000);
    expect(bytes(cut)).toBeGreaterThan(980);
    expect(cut).toMatch(/^begin /);
    expect(cut).toMatch(/ end$/);
    expect(cut).toContain("... cut ...");
    expect(Buffer.from(cut).toString()).toBe(cut);
  },
);
