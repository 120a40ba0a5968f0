// A Python environment of the project's own, with the SDKs in it as they stand in the tree.
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MissingTool, mustRun, run, which } from "./commands.mjs";
import { root, venv, venvPython } from "./paths.mjs";
import { step } from "./progress.mjs";
import { fingerprint, stamp, stamped } from "./stamps.mjs";

const requirements = "test/support/requirements.txt";
const projects = ["proto/gen/python", "worker-sdk/python", "client-sdk/python"];

/** The version of the Python on PATH, checked. */
async function pythonVersion() {
  const python = which("python3");
  if (!python) throw new MissingTool("Python is not installed (3.10 or later), and the Python SDK needs it.");
  const { stdout } = await run(python, ["-c", "import sys; print(*sys.version_info[:3], sep='.')"]);
  const [major, minor] = stdout.split(".").map(Number);
  if (major > 3 || (major === 3 && minor >= 10)) return stdout.trim();
  throw new MissingTool(`Python 3.10 or later is needed; ${python} is ${stdout.trim() || "broken"}.`);
}

/** The environment with everything of others: what generates code, lints and tests. Tells its fingerprint. */
export async function ensurePythonTools() {
  // An environment knows its own path: one that was moved along with the checkout is made anew.
  const print = fingerprint([root, await pythonVersion()], [requirements]);
  if (existsSync(venvPython) && stamped("python-tools", print)) return print;
  await step("Python environment", makeEnvironment);
  stamp("python-tools", print);
  return print;
}

/** The environment with the project's own packages in it. */
export async function ensurePython() {
  const tools = await ensurePythonTools();
  for (const project of projects.filter((path) => existsSync(join(root, path, "pyproject.toml")))) {
    const name = project.replaceAll("/", "-");
    const print = fingerprint([tools], [`${project}/pyproject.toml`]);
    if (stamped(name, print)) continue;
    // What it needs is in the requirements, pinned: hence no dependencies, and no build environment of its own.
    await step(project, () => pip("--no-deps", "--no-build-isolation", "-e", project));
    stamp(name, print);
  }
}

async function makeEnvironment() {
  rmSync(venv, { recursive: true, force: true });
  const made = await run("python3", ["-m", "venv", venv]);
  if (made.code !== 0) {
    throw new MissingTool(
      `\`python3 -m venv\` failed (on Debian and Ubuntu it is in the package python3-venv):\n${made.output.trim()}`,
    );
  }
  await pip("-r", requirements);
}

const pip = (...args) =>
  mustRun(venvPython, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...args]);
