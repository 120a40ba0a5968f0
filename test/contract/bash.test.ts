// The contract is small enough for a shell: examples/bash, as people would run them.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Broker } from "../support/broker.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const script = (name: string) => join(root, "examples/bash", name);

let broker: Broker;
let env: NodeJS.ProcessEnv;
const workers: ChildProcess[] = [];

beforeAll(async () => {
  broker = await Broker.start();
  const PATH = [join(root, ".drover/tools/bin"), process.env.PATH].join(delimiter);
  env = { ...process.env, PATH, DROVER_ADDRESS: broker.address };
});

afterAll(async () => {
  for (const { pid } of workers) if (pid !== undefined) process.kill(-pid, "SIGTERM");
  await broker.stop();
});

/** A worker and all that it starts, as one group. */
function startWorker(...args: string[]): void {
  workers.push(
    spawn(script("worker.sh"), args, { env, detached: true, stdio: ["ignore", "inherit", "inherit"] }),
  );
}

test("a job goes from one script through the other and back", async () => {
  startWorker("shout", "tr", "a-z", "A-Z");
  const { stdout } = await run(script("submit.sh"), ["shout", '{"text":"it\'s \\"quoted\\", ünïcode"}'], {
    env,
  });
  expect(stdout).toBe('{"TEXT":"IT\'S \\"QUOTED\\", üNïCODE"}');
});

test("a job that fails says why, and the script fails with it", async () => {
  startWorker("fail", "false");
  const ended = await run(script("submit.sh"), ["fail"], { env }).catch((error) => error);
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^fail~\S+: JOB_STATE_FAILED: false ended with status 1\n$/);
});
