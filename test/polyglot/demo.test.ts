// The show that newcomers see first: it has to work, to be honest, and to leave nothing behind.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../support/until.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const demo = join(root, "test/demo/demo.mjs");
/** The first time it has to build the Go worker. */
const patience = 300_000;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "drover-demo-test-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Played {
  code: number | null;
  output: string;
}

/** Runs a command to its end; `on` may do something to it when it has said a word. */
async function play(
  command: string,
  args: string[],
  { env = {}, on }: { env?: Record<string, string>; on?: { word: string; signal: NodeJS.Signals } } = {},
): Promise<Played> {
  // Its temporary files are told from those of others by their folder.
  const all = { ...process.env, TMPDIR: folder, CI: "true", ...env };
  const played = spawn(command, args, { cwd: root, env: all, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let signalled = false;
  for (const stream of [played.stdout, played.stderr])
    stream.on("data", (data: Buffer) => {
      output += data.toString();
      if (on === undefined || signalled || !output.includes(on.word)) return;
      signalled = true;
      played.kill(on.signal);
    });
  await once(played, "close");
  return { code: played.exitCode, output };
}

/** Processes with the folder in their command line, and what is left in it. */
async function leftovers(): Promise<string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "args"]);
  return [...stdout.split("\n").filter((line) => line.includes(folder)), ...readdirSync(folder)];
}

const nothingLeft = () => until("all to be gone", async () => (await leftovers()).length === 0);

test(
  "npm run demo goes through all its acts, says so, and leaves nothing behind",
  async () => {
    const { code, output } = await play("npm", ["run", "--silent", "demo"]);
    expect(output).toContain("All 10 acts went as promised, and every process has ended");
    expect(code, output).toBe(0);
    for (const seen of [
      /workers attached: typescript-1, press, python-1, python-2, go-1/,
      /words, as counted here; .* every hash right, unpacked again the same/,
      /printed high 1, high 2, high 3, high 4, high 5, low 1, low 2, low 3, low 4, low 5/,
      /killed python-1 in the middle of \d+ jobs?/,
      /ran again on python-2, counted as crashes, not failures/,
      /dead letter, kept with its payload: PERMANENT main.AddressError: no such address: nobody/,
      /\d+ jobs submitted; \d+ succeeded, 1 failed, 3 cancelled/,
    ])
      expect(output).toMatch(seen);
    expect(output, "colours, without a terminal").not.toContain("\x1b");
    await nothingLeft();
  },
  patience,
);

test(
  "a demo that is interrupted ends its processes first",
  async () => {
    const on = { word: "workers attached", signal: "SIGINT" } as const;
    const { code, output } = await play(process.execPath, [demo], { on });
    expect(code, output).toBe(130);
    expect(output).toContain("SIGINT: ending the workers and the broker");
    await nothingLeft();
  },
  patience,
);

test.each([
  { what: "a folder without documents", args: ["test/unit"], says: /There are no documents in .*test\/unit/ },
  { what: "no folder", args: ["no-such-folder"], says: /no-such-folder is no folder/ },
  { what: "an option that there is not", args: ["--fast"], says: /usage: npm run demo -- \[FOLDER\]/ },
])("$what: says so and ends with 1", async ({ args, says }) => {
  const { code, output } = await play(process.execPath, [demo, ...args], { env: { INIT_CWD: root } });
  expect(output).toMatch(says);
  expect(code).toBe(1);
});

test(
  "a broker that does not start fails the demo with the reason",
  async () => {
    const { code, output } = await play(process.execPath, [demo], {
      env: { DROVER_NATS_SERVER: "/bin/false" },
    });
    expect(output).toContain("DROVER_NATS_SERVER=/bin/false will not do");
    expect(code).toBe(1);
    await nothingLeft();
  },
  patience,
);
