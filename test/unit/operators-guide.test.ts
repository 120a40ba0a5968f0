// What operators are told to do: each alert names a command and has its part in the guide, and the commands that guides and
// alerts name are there, with the flags that they are shown with.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { makeProgram } from "../../client-sdk/typescript/src/cli/program.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const alertsFile = "deploy/prometheus/alerts.yaml";
const guide = read("deploy/README.md");

const alerts = read(alertsFile)
  .split("- alert: ")
  .slice(1)
  .map((text) => ({ name: text.slice(0, text.indexOf("\n")), text }));

describe("an alert", () => {
  test.each(alerts)(
    "$name says how grave it is, what it is about and which command to begin with",
    ({ text }) => {
      expect(text).toMatch(/severity: (warning|critical) /);
      expect(text).toMatch(/summary: "/);
      expect(text.split("description:")[1]).toMatch(/`(drover|curl|nats) [^`]+`/);
    },
  );

  test("has its part in the guide, and no other has", () => {
    const parts = [...guide.matchAll(/^### (Drover\w+)$/gm)].map(([, name]) => name);
    expect(parts.sort()).toEqual(alerts.map(({ name }) => name).sort());
  });
});

/** Command lines of `drover` in a text: in backticks, or a line of a shell's block. */
function commandsIn(text: string): string[] {
  const quoted = [...text.matchAll(/`drover( [^`]*)`/g)].map(([, rest]) => rest ?? "");
  const lines = [...text.matchAll(/^(?:.*&& )?drover( [^\n#&|]*)/gm)].map(([, rest]) => rest ?? "");
  // What stands for a value is none, and neither is what the shell takes away.
  return [...quoted, ...lines].map((line) =>
    line.replaceAll(/\{\{.*?\}\}|'[^']*'|"[^"]*"|<[^>]*>/g, "VALUE").trim(),
  );
}

const program = await makeProgram({
  out: { write: () => undefined },
  err: { write: () => undefined },
  in: Readable.from([]),
  env: {},
  interrupted: new AbortController().signal,
});

/** What of a command line there is not. */
function unknownIn(line: string): string[] {
  const unknown: string[] = [];
  let command: Command = program;
  let takesValue = false;
  for (const word of line.split(/\s+/)) {
    if (takesValue) takesValue = false;
    else if (word.startsWith("-") && word !== "-") {
      const known = ["-h", "--help"].includes(word);
      const option = [command, program]
        .flatMap(({ options }) => options)
        .find(({ short, long }) => word === short || word === long);
      if (option === undefined && !known) unknown.push(word);
      takesValue = option?.required === true;
    } else if (command.commands.length > 0) {
      const next = command.commands.find((each) => each.name() === word);
      if (next === undefined) return [...unknown, word];
      command = next;
    }
  }
  return unknown;
}

const documents = ["README.md", "deploy/README.md", "client-sdk/typescript/README.md", alertsFile];
const commands = documents.flatMap((file) => commandsIn(read(file)).map((line) => [file, line] as const));

describe("a command that is written down is there", () => {
  test("(and some are)", () => expect(commands.length).toBeGreaterThan(20));

  test.each(commands)("%s: drover %s", (_file, line) => {
    expect(unknownIn(line)).toEqual([]);
  });

  test.each([
    ["redrive --tusk mail", ["--tusk"]],
    ["queue purse mail", ["purse"]],
    ["-o json queue show mail --dry-run", ["--dry-run"]],
  ])("as %s would not be", (line, unknown) => {
    expect(unknownIn(line)).toEqual(unknown);
  });
});
