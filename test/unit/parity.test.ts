// What a Celery user does: 34 uses, and in each language a test against a real broker that bears the number of its use.

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const parity = new URL("../polyglot/parity/", import.meta.url);
const uses = Array.from({ length: 34 }, (_, i) => i + 1);

/** How a test's name tells its numbers: `14 priority, 15 queue`, `test_14_priority_and_15_queue`, `Test14Priority`. */
const languages = [
  { language: "typescript", ending: ".test.ts", names: /^test\("(.*)"/gm, number: /(?:^|, |and )(\d+) / },
  { language: "python", ending: ".py", names: /^async def (test_\w+)/gm, number: /(?:test|and)_(\d+)_/ },
  { language: "go", ending: "_test.go", names: /^func (Test\w+)/gm, number: /Test(\d+)/ },
];

test.each(languages)("each use has a test in $language", ({ language, ending, names, number }) => {
  const folder = new URL(`${language}/`, parity);
  const files = readdirSync(folder).filter((file) => file.endsWith(ending));
  const found = files
    .flatMap((file) => [...readFileSync(new URL(file, folder), "utf8").matchAll(names)])
    .flatMap(([, name = ""]) => [...name.matchAll(new RegExp(number, "g"))])
    .map(([, digits]) => Number(digits));
  expect(uses.filter((use) => !found.includes(use))).toEqual([]);
});
