// A worker is there soon because it loads what its first job needs and nothing else.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const hooks = new URL("../../support/loaded-modules.mjs", import.meta.url).href;

/** The modules that a program loads, in it a worker that has begun to attach and finds no broker. */
async function loadedBy(task: string): Promise<string[]> {
  const program = `
    import { Worker } from "@drover/worker";
    const logger = { debug() {}, info() {}, error() {}, warn: () => process.exit() };
    const worker = new Worker({ address: "127.0.0.1:1", logger });
    worker.task("t", () => 1, ${task});
    await worker.start();`;
  const args = ["--import", hooks, "--input-type=module", "--eval", program];
  const { stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  return stderr.split("\n").filter((line) => line.startsWith("loaded "));
}

describe("a worker that starts", () => {
  test.each`
    module                  | task                          | loads    | when
    ${"worker_service.js"}  | ${"{}"}                       | ${true}  | ${"always"}
    ${"job_service.js"}     | ${"{}"}                       | ${false} | ${"ever"}
    ${"queue_service.js"}   | ${"{}"}                       | ${false} | ${"ever"}
    ${"flow_service.js"}    | ${"{}"}                       | ${false} | ${"before a handler wants pages of inputs"}
    ${"isolated-runs.js"}   | ${"{}"}                       | ${false} | ${"without an isolated task"}
    ${"isolated-runs.js"}   | ${'{ isolation: "process" }'} | ${true}  | ${"with an isolated task"}
    ${"@opentelemetry/api"} | ${"{}"}                       | ${false} | ${"where nobody has registered a tracer"}
  `("loads $module: $loads, $when", async ({ module, task, loads }) => {
    const loaded = await loadedBy(task);
    expect(loaded.some((line) => line.includes(module))).toBe(loads);
  });
});
