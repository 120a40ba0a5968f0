// The stages of `npm test`: what each needs of the bootstrap, and how it is run. A stage answers with its counts and
// with what was said; a check that is no test counts as one.
import { existsSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "./commands.mjs";
import { build } from "./node-modules.mjs";
import { cache, npmBin, root, venvPython } from "./paths.mjs";
import {
  atLeastOneFailure,
  goTestCounts,
  goTestText,
  junitCounts,
  none,
  sum,
  vitestCounts,
} from "./test-reports.mjs";

const minutes = 60;
const present = (folders, file) => folders.filter((folder) => existsSync(join(root, folder, file)));
const pythonProjects = () => present(["worker-sdk/python", "client-sdk/python"], "pyproject.toml");
const goModules = () =>
  present(
    ["proto/gen/go", "worker-sdk/go", "client-sdk/go", "test/polyglot/parity/go", "examples/nethttp"],
    "go.mod",
  );

const reportFile = (name) => join(cache, "reports", name);

/** Output is told of what failed only. */
async function check(command, args, { accept = (result) => result.code === 0, ...options } = {}) {
  const result = await run(command, args, { timeLimit: 5 * minutes, ...options });
  if (accept(result)) return { counts: { ...none, passed: 1 }, output: "" };
  const output = `$ ${[basename(command), ...args].join(" ")}\n${result.output}`;
  return { counts: { ...none, failed: 1 }, output };
}

/** Runs one after another, and adds up. */
async function all(works) {
  const results = [];
  for (const work of works) results.push(await work());
  return {
    counts: sum(results.map(({ counts }) => counts)),
    output: results
      .map(({ output }) => output)
      .filter(Boolean)
      .join("\n"),
  };
}

async function compile() {
  try {
    await build();
    return { counts: { ...none, passed: 1 }, output: "" };
  } catch (error) {
    return { counts: { ...none, failed: 1 }, output: error.message };
  }
}

async function breaking() {
  if (!existsSync(join(root, "proto/baseline.binpb"))) {
    const output =
      "proto/baseline.binpb is missing: there is nothing to compare with (npm run proto:baseline).";
    return { counts: { ...none, failed: 1 }, output };
  }
  return check(npmBin("buf"), ["breaking", "proto", "--against", "proto/baseline.binpb"]);
}

async function vitest(project, limit) {
  const file = reportFile(`${project}.json`);
  rmSync(file, { force: true });
  const args = ["run", "--config", "test/vitest.config.ts", "--project", project, "--passWithNoTests"];
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const { code, output } = await run(npmBin("vitest"), [...args, ...reporters], { timeLimit: limit });
  return { counts: atLeastOneFailure(vitestCounts(file), code !== 0), output };
}

const vitestStage = (name, title, limit, needs = []) => ({
  name,
  title,
  needs: ["modules", ...needs],
  built: true,
  run: () => vitest(name, limit),
});

/** Format, lint and types. */
function checksOf(project) {
  const checkIn = (...args) => check(venvPython, ["-m", ...args], { cwd: join(root, project) });
  return [
    () => checkIn("ruff", "check", "."),
    () => checkIn("ruff", "format", "--check", "."),
    () => checkIn("mypy", "--cache-dir", join(cache, "mypy")),
  ];
}

async function pytest(project) {
  const file = reportFile(`${project.replaceAll("/", "-")}.xml`);
  rmSync(file, { force: true });
  const args = ["-m", "pytest", "-q", "--color=no", `--junit-xml=${file}`];
  const options = { cwd: join(root, project), timeLimit: 10 * minutes };
  const { code, output } = await run(venvPython, args, options);
  const noTests = 5;
  return { counts: atLeastOneFailure(junitCounts(file), code !== 0 && code !== noTests), output };
}

async function goTest(module) {
  const options = { cwd: join(root, module), timeLimit: 10 * minutes };
  const { code, stdout, output } = await run("go", ["test", "-json", "./..."], options);
  return { counts: atLeastOneFailure(goTestCounts(stdout), code !== 0), output: goTestText(output) };
}

function goStage() {
  const modules = goModules();
  // gofmt names the files that it would change, and calls that a success.
  const unformatted = ({ code, output }) => code === 0 && output.trim() === "";
  return all([
    () => check("gofmt", ["-l", ...modules], { accept: unformatted }),
    ...modules.map((module) => () => check("go", ["vet", "./..."], { cwd: join(root, module) })),
    ...modules.map((module) => () => goTest(module)),
  ]);
}

export const stages = [
  {
    name: "lint",
    title: "format and lint",
    needs: ["modules"],
    run: () => check(npmBin("biome"), ["ci", "--colors=off", "--max-diagnostics=100"]),
  },
  {
    name: "types",
    title: "types",
    needs: ["modules"],
    run: () => all([compile, () => check(npmBin("tsc"), ["-p", "test/tsconfig.json"])]),
  },
  {
    name: "proto",
    title: "protos: lint, breaking changes",
    needs: ["modules"],
    run: () => all([() => check(npmBin("buf"), ["lint", "proto"]), breaking]),
  },
  {
    name: "generated",
    title: "generated code",
    needs: ["modules", "proto-tools", "python-tools"],
    run: () => check(process.execPath, ["proto/generate.mjs", "--check"]),
  },
  vitestStage("unit", "unit tests", 10 * minutes),
  vitestStage("integration", "integration tests", 20 * minutes, ["nats-server", "grpcurl"]),
  vitestStage("polyglot", "polyglot tests", 15 * minutes, ["nats-server", "python", "go", "grpcurl"]),
  vitestStage("chaos", "chaos tests", 20 * minutes, ["nats-server"]),
  vitestStage("deploy", "deployment: image, chart, alerts", 10 * minutes, [
    "nats-server",
    "python-tools",
    "chart-tools",
    "prometheus",
  ]),
  {
    name: "python",
    title: "Python SDKs: ruff, mypy, pytest",
    needs: ["python"],
    run: () =>
      all([
        ...checksOf("proto/gen/python"),
        ...pythonProjects().flatMap((project) => [...checksOf(project), () => pytest(project)]),
      ]),
  },
  {
    name: "go",
    title: "Go SDKs: gofmt, vet, tests",
    needs: ["modules", "nats-server", "go"],
    built: true,
    run: goStage,
  },
];
