// What another process writes into a file, line by line.

import { existsSync, readFileSync } from "node:fs";

/** The lines that are there whole: a file exists before its first line does, and a writer may be killed in between. */
export function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
}
