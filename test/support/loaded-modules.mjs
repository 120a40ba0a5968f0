// Preloaded with --import: says on stderr which modules the program imports, a line `loaded URL` each.
import { writeSync } from "node:fs";
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

/** Node runs hooks in a thread of its own, and imports them from this same module. */
export async function load(url, context, nextLoad) {
  writeSync(2, `loaded ${url}\n`);
  return nextLoad(url, context);
}

if (isMainThread) register(import.meta.url);
