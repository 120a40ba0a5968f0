import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { Readable } from "node:stream";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { candidates } from "../../../../client-sdk/typescript/src/cli/completion.js";
import { makeProgram } from "../../../../client-sdk/typescript/src/cli/program.js";
import { run } from "../../../../client-sdk/typescript/src/cli/run.js";

function io(env: Record<string, string> = {}) {
  const said = { out: "", err: "" };
  return {
    said,
    out: { write: (text: string) => (said.out += text) },
    err: { write: (text: string) => (said.err += text) },
    in: Readable.from([]),
    env,
    interrupted: new AbortController().signal,
  };
}

function commandsOf(command: Command, path: string[] = []): [string, Command][] {
  return command.commands
    .filter((each) => !each.name().startsWith("__"))
    .flatMap((each): [string, Command][] => {
      const here = [...path, each.name()];
      return [[here.join(" "), each], ...commandsOf(each, here)];
    });
}

const program = await makeProgram(io());
const commands = commandsOf(program);

describe("help", () => {
  test.each(commands)("of %s says what it does, with an example of it", async (path, command) => {
    const { said, ...rest } = io();
    expect(await run([...path.split(" "), "--help"], rest)).toBe(0);
    expect(command.description()).not.toBe("");
    const [, examples = ""] = said.out.split("Examples:\n");
    expect(examples).toMatch(new RegExp(`drover (-\\S+ \\S+ )*${path}`));
  });

  test("of all is whole, whatever command is named behind the flag", async () => {
    for (const args of [["--help"], ["help"], ["--help", "queue"]]) {
      const { said, ...rest } = io();
      expect(await run(args, rest)).toBe(0);
      for (const [path] of commands.filter(([path]) => !path.includes(" ")))
        expect(said.out).toContain(`  ${path} `);
    }
  });

  test("without any command it is shown, and is wrong usage", async () => {
    const { said, ...rest } = io();
    expect(await run([], rest)).toBe(2);
    expect(said.out).toContain("Exit codes:");
  });
});

describe("wrong usage ends with 2 and says what is wrong", () => {
  test.each([
    [["statu", "a~b"], "Did you mean status?"],
    [["status"], "missing required argument 'id'"],
    [["list", "--stat", "x"], "Did you mean --state?"],
    [["list", "--state", "sleeping"], "use one of scheduled, blocked"],
    [["submit", "a", "--priority", "11"], "from 0 to 9"],
    [["submit", "a", "{"], "is not JSON"],
    [["submit", "a", "@/no/such/file"], "/no/such/file cannot be read"],
    [["submit", "a", "1", "--lines", "-"], "leave the payload argument out"],
    [["status", "no-id"], "no job id"],
    [["cancel"], "say which jobs to cancel"],
    [["-o", "xml", "list"], "table, json"],
    [["--tls-cert", "x", "list"], "go together"],
    [["--address", "http://x", "list"], "without a scheme"],
  ])("%j", async (args, said) => {
    const { said: heard, ...rest } = io();
    expect(await run(args, rest)).toBe(2);
    expect(heard.err).toContain(said);
    expect(heard.err).not.toContain("    at ");
  });

  test.each([
    [["status"], "usage: drover status [options] <id...>"],
    [["queue", "pause"], "usage: drover queue pause [options] <queue>"],
    [["-o", "json", "queue", "limit", "mail", "--rat", "1/s"], "usage: drover queue limit [options] <queue>"],
    [["nothing"], "usage: drover [options] [command]"],
  ])("%j: with how it is written", async (args, usage) => {
    const { said, ...rest } = io();
    expect(await run(args, rest)).toBe(2);
    expect(said.err).toContain(usage);
  });
});

describe("completion knows", () => {
  test.each([
    [["qu"], ["queue"]],
    [
      ["queue", "p"],
      ["pause", "purge"],
    ],
    [["queue", "purge", "--d"], ["--dry-run"]],
    [
      ["-o", ""],
      ["json", "table"],
    ],
    [["--address", "x:1", "insp"], ["inspect"]],
    [
      ["completion", ""],
      ["bash", "fish", "zsh"],
    ],
    [
      ["list", "--state", "s"],
      ["scheduled", "succeeded"],
    ],
    [["schedule", "put", "--overlap", "c"], ["cancel-previous"]],
    [["list", "--state", "x"], []],
  ])("what may follow %j", (words, found) => {
    expect(candidates(program, words)).toEqual(found);
  });

  test("nothing hidden", () => {
    expect(candidates(program, ["__"])).toEqual([]);
  });
});

test("watch waits for a broker's first word as long as it is told to, and ends with 3", async () => {
  const mute = createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  const address = `127.0.0.1:${(mute.address() as AddressInfo).port}`;
  try {
    const { said, ...rest } = io();
    expect(await run(["--address", address, "--timeout", "150ms", "watch", "t~k"], rest)).toBe(3);
    const waited = /^drover: no broker answers at \S+ \(no answer within (\d+) ms\)\n$/.exec(said.err)?.[1];
    expect(Number(waited), said.err).toBeLessThanOrEqual(150);
  } finally {
    mute.close();
  }
});
