// Makes a fresh clone ready, with nothing but Node: `node test/support/bootstrap.mjs <need> ...`
// A need with a question mark is wished for only: if it cannot be had, that is said, and no failure.
import { fileURLToPath } from "node:url";
import { UserError } from "./commands.mjs";
import { ensureCustomResources, ensureGoModules, ensureGoTools } from "./go-tools.mjs";
import { withLock } from "./lock.mjs";
import { ensureNatsServer } from "./nats-server.mjs";
import { ensureBuild, ensureModules } from "./node-modules.mjs";
import { red, yellow } from "./progress.mjs";
import { ensurePrometheus } from "./prometheus-tools.mjs";
import { ensurePython, ensurePythonTools } from "./python-venv.mjs";

const oldestNode = 20;

/** What can be needed, in strands that run side by side: npm's, Go's, Python's, Debian's. */
const needs = {
  modules: { strand: "npm", ensure: ensureModules },
  build: { strand: "npm", ensure: () => ensureModules().then(ensureBuild) },
  "nats-server": { strand: "go", ensure: ensureNatsServer },
  "proto-tools": { strand: "go", ensure: () => ensureGoTools("protoc-gen-go", "protoc-gen-go-grpc") },
  go: { strand: "go", ensure: ensureGoModules },
  grpcurl: { strand: "go", ensure: () => ensureGoTools("grpcurl") },
  "chart-tools": {
    strand: "go",
    ensure: () => ensureGoTools("helm", "kube-score").then(ensureCustomResources),
  },
  "python-tools": { strand: "python", ensure: ensurePythonTools },
  python: { strand: "python", ensure: ensurePython },
  prometheus: { strand: "debian", ensure: ensurePrometheus },
};

/** Does what is needed, and tells what could not be done: need -> UserError. */
export async function ensure(names) {
  if (Number(process.versions.node.split(".")[0]) < oldestNode) {
    throw new UserError(`Drover needs Node.js ${oldestNode} or later; this is ${process.version}.`);
  }
  const failures = new Map();
  const strandNames = [...new Set(names.map((name) => needs[name].strand))];
  const runStrand = async (strand) => {
    for (const name of names.filter((each) => needs[each].strand === strand)) {
      try {
        await needs[name].ensure();
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        failures.set(name, error);
      }
    }
  };
  await withLock(() => Promise.all(strandNames.map(runStrand)));
  return failures;
}

async function main(args) {
  const optional = new Set(args.filter((arg) => arg.endsWith("?")).map((arg) => arg.slice(0, -1)));
  const names = args.map((arg) => arg.replace("?", ""));
  const unknown = names.filter((name) => !Object.hasOwn(needs, name));
  if (unknown.length > 0) throw new UserError(`Unknown: ${unknown}. Known: ${Object.keys(needs).join(", ")}`);
  for (const [name, error] of await ensure(names)) {
    const wished = optional.has(name);
    console.error((wished ? yellow : red)(wished ? `Going on without ${name}.` : `Missing: ${name}.`));
    console.error(error.message);
    if (!wished) process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(red(error.message));
    process.exitCode = 1;
  }
}
