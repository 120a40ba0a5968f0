// Remembers what has been done already: a stamp holds the hash of what the work depended on.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache, root } from "./paths.mjs";

const file = (name) => join(cache, "stamps", name);

/** The hash of words and of files (paths from the root; one that is missing counts as such). */
export function fingerprint(words, files = []) {
  const hash = createHash("sha256");
  for (const word of words) hash.update(`${word}\0`);
  for (const path of files) {
    hash.update(`${path}\0`);
    hash.update(existsSync(join(root, path)) ? readFileSync(join(root, path)) : "missing");
  }
  return hash.digest("hex");
}

export const stamped = (name, print) => existsSync(file(name)) && readFileSync(file(name), "utf8") === print;

export function stamp(name, print) {
  mkdirSync(join(cache, "stamps"), { recursive: true });
  writeFileSync(file(name), print);
}
