// Processes that a test has started, or that these have.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

/** Ends those that run still, and takes them off the list. */
export async function endAll(children: ChildProcess[], signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }
}

/** A zombie has ended, whatever has not been told of it. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
