// Where things are. Whatever the project fetches or builds for itself lies in .drover, which git ignores.
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");
export const cache = join(root, ".drover");
export const toolsBin = join(cache, "tools/bin");
export const crds = join(cache, "crds");
export const venv = join(cache, "venv");
export const venvPython = join(venv, "bin/python");
/** A command line tool of the npm dependencies. */
export const npmBin = (name) => join(root, "node_modules/.bin", name);
