// The command `drover` as a process of its own: its environment, its exit codes, and what it loads.

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { commandOfFile } from "../support/command.js";

const main = fileURLToPath(new URL("../../client-sdk/typescript/dist/cli/main.js", import.meta.url));
const command = commandOfFile();

describe("as a process", () => {
  const exec = promisify(execFile);

  test("it takes the address from the environment, and its exit code is the shell's", async () => {
    const env = { PATH: process.env.PATH, DROVER_ADDRESS: command.broker.address };
    const { stdout } = await exec(process.execPath, [main, "run", "cli.add", '{"a":1,"b":2}'], { env });
    expect(stdout).toBe("3\n");
    const refused = await exec(process.execPath, [main, "status", "cli.add~none"], { env }).catch(
      (error) => error,
    );
    expect(refused.code).toBe(1);
  });

  test("a broker that is not there is one line with its address, and 3", async () => {
    const args = [main, "--address", "127.0.0.1:1", "--timeout", "1s", "list"];
    const { code, stderr } = await exec(process.execPath, args).catch((error) => error);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^drover: no broker answers at 127\.0\.0\.1:1 [^\n]*\n$/);
  });

  test.each([
    ["help", ["--help"], []],
    ["wrong usage", ["list", "--state", "asleep"], ["cli/job-looks.js"]],
    ["a look at a job", ["status", "cli.add~none"], ["cli/job-looks.js", "client.js", "@grpc/grpc-js"]],
  ])("%s loads what it needs: most of the time of a short command is that", async (what, args, needed) => {
    const folder = mkdtempSync(join(tmpdir(), "drover-loaded-"));
    try {
      // Node.js writes down here which scripts it has loaded.
      const env = {
        PATH: process.env.PATH,
        DROVER_ADDRESS: command.broker.address,
        NODE_V8_COVERAGE: folder,
      };
      await exec(process.execPath, [main, ...args], { env }).catch(() => undefined);
      const [file = ""] = readdirSync(folder);
      const { result } = JSON.parse(readFileSync(join(folder, file), "utf8")) as {
        result: { url: string }[];
      };
      const loaded = (part: string) => result.some(({ url }) => url.includes(part));
      expect(needed.filter((part) => !loaded(part))).toEqual([]);
      if (!needed.includes("client.js")) expect(loaded("@grpc/grpc-js")).toBe(false);
      if (what !== "help") expect(loaded("cli/flow-commands.js")).toBe(false);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
