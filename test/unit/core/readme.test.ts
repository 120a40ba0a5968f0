// The broker's README draws the state machine for people. Here it is held to what the code does.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { Standing } from "../../../broker/src/core/job.js";
import { transitions } from "../../../broker/src/core/transitions.js";

const broker = fileURLToPath(new URL("../../../broker/", import.meta.url));
const text = readFileSync(`${broker}README.md`, "utf8");

/** The cells of the table whose first heading is this. */
function tableOf(heading: string): string[][] {
  const lines = text.split("\n");
  const first = lines.findIndex((line) => line.startsWith(`| ${heading} `));
  const rows = lines.slice(first);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows
    .slice(0, end)
    .filter((line) => !line.startsWith("| ---"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

test("its table of transitions is the code's, cell by cell", () => {
  const [head = [], ...rows] = tableOf("event");
  const standings = head.slice(1) as Standing[];
  const drawn = Object.fromEntries(
    rows.map(([event, ...cells]) => {
      const allowed = standings.flatMap((from, i) => {
        const to = cells[i] ?? "";
        return to === "" ? [] : [[from, to.split(" ")]];
      });
      return [event, Object.fromEntries(allowed)];
    }),
  );
  expect(drawn).toEqual(transitions);
});

test("its drawing names every event that the table knows", () => {
  const drawing = /```text\n([^`]+)```/.exec(text)?.[1] ?? "";
  const missing = Object.keys(transitions).filter((event) => !new RegExp(`\\b${event}\\b`).test(drawing));
  // A ticket that is put back or comes too late: these are told in words and in the table.
  expect(missing).toEqual(["reissue", "expire"]);
});

test("its layout names every folder, and no file that is not there", () => {
  const rows = tableOf("folder").slice(1);
  const folders = rows.map(([name = ""]) => name.replaceAll(/[`/]/g, ""));
  const there = readdirSync(`${broker}src`, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.sort()).toEqual(there.map(({ name }) => name).sort());
  for (const [name = "", holds = ""] of rows) {
    const folder = name.replaceAll("`", "");
    for (const [, file] of holds.matchAll(/`([\w-]+\.ts)`/g)) {
      expect(existsSync(`${broker}src/${folder}${file}`), `${folder}${file}`).toBe(true);
    }
  }
});
