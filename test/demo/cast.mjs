// Who can take part: the worker processes of each language that is installed here.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { cache, root, venvPython } from "../support/paths.mjs";

const workers = join(root, "test/demo/workers");
const goWorker = join(cache, "demo/pack");

const languageNames = { typescript: "TypeScript", python: "Python", go: "Go" };

export const namesOf = (languages) => languages.map((language) => languageNames[language]).join(", ");

/** `cast`: language -> process name -> command. `missing`: language -> why it is not there. */
export async function findCast(say) {
  const node = (file) => [process.execPath, join(workers, file)];
  const cast = new Map([["typescript", { "typescript-1": node("split.mjs"), press: node("press.mjs") }]]);
  const missing = new Map();
  if (existsSync(venvPython) && spawnSync(venvPython, ["-c", "import drover_worker"]).status === 0) {
    const python = [venvPython, join(workers, "analyse.py")];
    cast.set("python", { "python-1": python, "python-2": python });
  } else {
    missing.set("python", "there is no Python 3.10 or later with the SDK's packages");
  }
  const refusal = await buildGoWorker(say);
  if (refusal === undefined) cast.set("go", { "go-1": [goWorker] });
  else missing.set("go", refusal);
  return { cast, missing };
}

async function buildGoWorker(say) {
  if (spawnSync("go", ["version"]).status !== 0) return "there is no Go (1.26 or later)";
  if (!existsSync(goWorker)) say("building the Go worker (the first time only)");
  mkdirSync(join(cache, "demo"), { recursive: true });
  try {
    await promisify(execFile)("go", ["build", "-o", goWorker, join(workers, "pack.go")], { cwd: root });
    return undefined;
  } catch (error) {
    return `its worker does not build: ${error.stderr?.trim() || error.message}`;
  }
}
