// What a Celery user does, row by row, in Python: the tests are Python's own, with the SDK's pytest fixtures, which start
// the broker.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const natsServer = join(root, ".drover/tools/bin/nats-server");

async function pytest(...args: string[]): Promise<void> {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    DROVER_BROKER_COMMAND: `'${process.execPath}' '${join(root, "broker/dist/main.js")}'`,
  };
  if (existsSync(natsServer)) env.DROVER_NATS_SERVER ??= natsServer;
  const python = join(root, ".drover/venv/bin/python");
  const cwd = join(root, "test/polyglot/parity/python");
  try {
    await promisify(execFile)(
      python,
      ["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", ...args],
      {
        cwd,
        env,
        maxBuffer: 2 ** 26,
      },
    );
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`pytest failed:\n${stdout ?? ""}\n${stderr ?? String(error)}`);
  }
}

test("a Celery user finds each use again in Python", () => pytest("test_parity.py"), 300_000);

test("the command serves, drains and ends at a second signal", () => pytest("test_command.py"), 300_000);

test("a worker's processes, loops and connections keep apart", () => pytest("test_isolation.py"), 300_000);
