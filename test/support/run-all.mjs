// `npm test`: every check and every test, stage by stage, on after a failure; the last line is the verdict.
//   npm test -- --only unit,lint    runs these stages alone
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensure } from "./bootstrap.mjs";
import { MissingTool, UserError } from "./commands.mjs";
import { cache, root } from "./paths.mjs";
import { dim, red, step, yellow } from "./progress.mjs";
import { stages } from "./stages.mjs";
import { none, sum } from "./test-reports.mjs";

// Where the result counts, nothing may be passed over for want of a tool.
const strict = !["", "0", "false"].includes(process.env.CI ?? "");
const shownLines = 300;

function selected(args) {
  const [option, names, ...rest] = args;
  if (option === undefined) return stages;
  const known = stages.map(({ name }) => name);
  const wanted = names?.split(",") ?? [];
  if (option !== "--only" || rest.length > 0 || wanted.some((name) => !known.includes(name))) {
    throw new UserError(`npm test -- --only <stage>,...   with the stages ${known.join(", ")}`);
  }
  return stages.filter(({ name }) => wanted.includes(name));
}

function bootstrap(chosen) {
  const needs = chosen.flatMap((stage) => stage.needs);
  // The types stage builds what the tests import; without it the bootstrap has to.
  const build = chosen.some(({ built }) => built) && !chosen.some(({ name }) => name === "types");
  return ensure([...new Set([...needs, ...(build ? ["build"] : [])])]);
}

/** A stage that could not run: for want of a tool it is skipped, where that is allowed. */
function unable(errors) {
  const skip = !strict && errors.every((error) => error instanceof MissingTool);
  const output = errors.map(({ message }) => message).join("\n");
  return { counts: { ...none, [skip ? "skipped" : "failed"]: 1 }, output };
}

async function runStage(stage, missing) {
  const needs = stage.built ? [...stage.needs, "build"] : stage.needs;
  const errors = needs.flatMap((need) => missing.get(need) ?? []);
  const work = async () => (errors.length > 0 ? unable(errors) : await stage.run());
  const started = performance.now();
  const { counts, output } = await step(stage.title, work, ({ counts }) => ({
    ok: counts.failed === 0,
    text: told(counts),
  }));
  writeFileSync(join(cache, "reports", `${stage.name}.log`), output);
  if (counts.failed > 0) show(output, `.drover/reports/${stage.name}.log`);
  else if (errors.length > 0) console.log(yellow(output));
  return { title: stage.title, counts, seconds: (performance.now() - started) / 1000 };
}

const told = ({ passed, failed, skipped }) =>
  [
    `${passed} passed`,
    failed > 0 ? red(`${failed} failed`) : "",
    skipped > 0 ? yellow(`${skipped} skipped`) : "",
  ]
    .filter((text) => text !== "")
    .join(", ");

function show(output, file) {
  const lines = output.trim().split("\n");
  if (lines.length > shownLines) console.log(dim(`    (the last ${shownLines} lines; all of it in ${file})`));
  console.log(
    lines
      .slice(-shownLines)
      .map((line) => `    ${line}`)
      .join("\n"),
  );
}

function table(results) {
  const row = (title, ...cells) =>
    console.log(title.padEnd(34) + cells.map((cell) => String(cell).padStart(10)).join(""));
  console.log("");
  row("", "passed", "failed", "skipped", "seconds");
  for (const { title, counts, seconds } of results) {
    row(title, counts.passed, counts.failed, counts.skipped, seconds.toFixed(1));
  }
  console.log("");
}

async function main() {
  const chosen = selected(process.argv.slice(2));
  mkdirSync(join(cache, "reports"), { recursive: true });
  process.chdir(root);
  const missing = await bootstrap(chosen);
  const results = [];
  for (const stage of chosen) results.push(await runStage(stage, missing));
  table(results);
  return sum(results.map(({ counts }) => counts));
}

let total;
try {
  total = await main();
} catch (error) {
  console.log(red(error instanceof UserError ? error.message : error.stack));
  total = { ...none, failed: 1 };
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
