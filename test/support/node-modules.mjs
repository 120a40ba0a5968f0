// node_modules as package-lock.json wants it, and what is built from the TypeScript.
import { chmodSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mustRun, run, UserError } from "./commands.mjs";
import { npmBin, root } from "./paths.mjs";
import { step } from "./progress.mjs";

const readJson = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));

/** npm keeps a copy of the lockfile of what it installed: the two must name the same versions. */
function upToDate() {
  if (!existsSync(join(root, "node_modules/.package-lock.json"))) return false;
  const wanted = readJson("package-lock.json").packages;
  const installed = readJson("node_modules/.package-lock.json").packages;
  return Object.entries(wanted).every(([path, { version, optional, link }]) => {
    if (!path.startsWith("node_modules/")) return true;
    if (link) return existsSync(join(root, path));
    // What is optional is for another platform, if it is not here.
    return installed[path] ? installed[path].version === version : optional === true;
  });
}

export async function ensureModules() {
  if (upToDate()) return;
  await step("npm packages", () => mustRun("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]));
}

const commands = [
  "broker/dist/main.js",
  "client-sdk/typescript/dist/cli/main.js",
  "worker-sdk/typescript/dist/main.js",
];

/** Compiles what has changed; 0.2 s if nothing has. */
export async function build() {
  const { code, output } = await run(npmBin("tsc"), ["-b"]);
  if (code !== 0) throw new UserError(`The TypeScript does not compile:\n${output.trim()}`);
  for (const path of commands) if (existsSync(join(root, path))) chmodSync(join(root, path), 0o755);
}

export async function ensureBuild() {
  const first = !existsSync(join(root, "proto/dist"));
  await (first ? step("build", build) : build());
}
