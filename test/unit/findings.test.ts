// The table of test/integration/README.md says which tests keep each finding of the design review from coming back. A test
// that was renamed or removed would leave it a wish.

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const table = readFileSync(`${root}integration/README.md`, "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(2)
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([, findings = "", what = "", tests = ""]) => ({ findings, what, tests }));

/** The source of a test file by the name that the table gives it. */
function sourceOf(name: string): string | undefined {
  const paths = [`integration/${name}.test.ts`, `${name}.test.ts`, `${name}.mjs`];
  const path = paths.find((each) => existsSync(root + each));
  return path && readFileSync(root + path, "utf8");
}

/** `…` in a title stands for what differs from row to row. */
const has = (source: string, title: string) =>
  title.split("…").reduce((from, part) => (from < 0 ? from : source.indexOf(part.trim(), from)), 0) >= 0;

test("all 36 findings have a row", () => {
  const numbers = table.flatMap(({ findings }) => findings.split(", ").map(Number));
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 36 }, (_, i) => i + 1));
});

describe("finding", () => {
  test.each(table)("$findings ($what) is kept away by tests that are there", ({ tests }) => {
    for (const each of tests.split("; ")) {
      const [, file = "", titles = ""] = /^([\w/-]+)(?:: (.*))?$/.exec(each) ?? [];
      const source = sourceOf(file);
      expect(source, `the file of "${each}"`).toBeDefined();
      const named = [...titles.matchAll(/_([^_]+)_/g)].map(([, title = ""]) => title);
      expect(named.filter((title) => !has(source ?? "", title))).toEqual([]);
    }
  });
});
