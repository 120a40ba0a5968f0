import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { type Column, Progress, View } from "../../../../client-sdk/typescript/src/cli/view.js";

interface Terminal {
  isTTY?: boolean;
  columns?: number;
  env?: Record<string, string>;
}

function io({ isTTY, columns, env = {} }: Terminal) {
  const said = { out: "", err: "" };
  return {
    said,
    out: { write: (text: string) => (said.out += text), isTTY, columns },
    err: { write: (text: string) => (said.err += text), isTTY, columns },
    in: Readable.from([]),
    env,
    interrupted: new AbortController().signal,
  };
}

const jobs = [
  { id: "mail~1", failure: "the server is busy, and will be for long" },
  { id: "漢字~2", failure: "" },
];
const columns: readonly Column<(typeof jobs)[number]>[] = [
  { title: "id", of: ({ id }) => id, tint: () => "red" },
  { title: "about", of: ({ failure }) => failure },
];
const shown = (terminal: Terminal) => new View(io(terminal), "table").table(jobs, columns);

describe("a table", () => {
  test("is whole where there is no terminal, whatever its width would be", () => {
    expect(shown({ columns: 20 })).toEqual([
      "ID      ABOUT",
      "mail~1  the server is busy, and will be for long",
      "漢字~2",
    ]);
  });

  test("ends at the edge of a terminal: a line that wraps would break it", () => {
    const env = { NO_COLOR: "1" };
    expect(shown({ isTTY: true, columns: 20, env })).toEqual([
      "ID      ABOUT",
      "mail~1  the server …",
      "漢字~2",
    ]);
    expect(shown({ isTTY: true, columns: 5, env })).toEqual(["ID  …", "mail…", "漢字…"]);
  });

  test.each([undefined, 0])("is whole on a terminal that says its width is %s", (width) => {
    const [, line] = shown({ isTTY: true, ...(width !== undefined && { columns: width }) });
    expect(line).toContain("and will be for long");
  });
});

describe("colours", () => {
  const coloured = (terminal: Terminal) => shown(terminal).join("").includes("\u001b[31m");
  test.each([
    ["are on a terminal", { isTTY: true }, true],
    ["are in no file and no pipe", {}, false],
    ["are not where NO_COLOR says so", { isTTY: true, env: { NO_COLOR: "1" } }, false],
    ["are, where NO_COLOR is empty: so its rule says", { isTTY: true, env: { NO_COLOR: "" } }, true],
    ["are not on a terminal that knows none", { isTTY: true, env: { TERM: "dumb" } }, false],
  ])("%s", (_, terminal, are) => {
    expect(coloured(terminal)).toBe(are);
  });
});

test("progress is told on a terminal, and gone once it is over", () => {
  const terminal = io({ isTTY: true });
  const progress = new Progress(terminal, (done) => `${done} done`);
  progress.at(7);
  progress.over();
  expect(terminal.said.err).toBe("\r\u001b[2K7 done\r\u001b[2K");
  const file = io({});
  const untold = new Progress(file, (done) => `${done} done`);
  untold.at(7);
  untold.over();
  expect(file.said).toEqual({ out: "", err: "" });
});
