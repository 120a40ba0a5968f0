// npm run bench: the project's figures, on this machine, as medians of three. Everything runs here at once (client,
// broker, nats-server, worker), so absolute figures are the machine's as much as Drover's; each run measures what
// JetStream alone takes, too.
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { figures, measures } from "./measures.mjs";
import { bold, dim, green, yellow } from "./paint.mjs";

const help = `npm run bench -- [--quick] [--only NAME,...] [--rounds N] [--json FILE]

  --quick        a tenth of everything, one round: under two minutes, for a first look
  --only NAMES   of ${Object.keys(measures).join(", ")}
  --rounds N     rounds of each, of which the median counts (default 3)
  --json FILE    writes the figures, and those of each round

Exit codes: 0 measured (whatever the figures), 1 something failed, 2 wrong usage.
`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        only: { type: "string" },
        rounds: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const names = values.only?.split(",") ?? Object.keys(measures);
    const unknown = names.find((name) => !(name in measures));
    if (unknown !== undefined)
      throw new Error(`--only ${unknown}: there are ${Object.keys(measures).join(", ")}`);
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds takes a whole number from 1");
    return { ...values, names, rounds };
  } catch (error) {
    console.error(`bench: ${error.message}\n\n${help}`);
    process.exit(2);
  }
}

/** One line that changes on a terminal; elsewhere a line every few seconds. */
function progress(label) {
  let last = performance.now();
  return (text) => {
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${dim(`${label}: ${text}`)}`);
    else if (performance.now() - last > 5_000) {
      last = performance.now();
      console.log(`  ${label}: ${text}`);
    }
  };
}

async function measure(name, { rounds, quick }) {
  const all = [];
  for (let round = 1; round <= rounds; round++) {
    const label = rounds > 1 ? `${name}, round ${round} of ${rounds}` : name;
    const started = performance.now();
    all.push(await measures[name]({ quick, say: progress(label) }));
    if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
    console.log(`${green("✓")} ${label} ${dim(`(${((performance.now() - started) / 1_000).toFixed(1)} s)`)}`);
  }
  return all;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function said(value) {
  if (value >= 1_000) return Math.round(value).toLocaleString("en");
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function table(result, rounds) {
  const rows = Object.entries(figures)
    .filter(([name]) => name in result)
    .map(([name, [unit, target, what]]) => [
      what,
      said(result[name]),
      unit,
      target,
      verdict(result[name], target),
    ]);
  const width = (column) => Math.max(...rows.map((row) => row[column].length));
  console.log(`\n${bold(rounds > 1 ? `medians of ${rounds}` : "one round")}`);
  for (const [what, value, unit, target, met] of rows) {
    console.log(
      `${what.padEnd(width(0))}  ${value.padStart(width(1))} ${unit.padEnd(width(2))}  ${target.padEnd(width(3))} ${met}`,
    );
  }
}

function verdict(value, target) {
  if (target === "") return "";
  return value < Number(target.slice(2)) ? green("met") : yellow("not met here");
}

const chosen = options();
if (chosen.help) {
  console.log(help);
  process.exit(0);
}
console.log(
  `${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
);
const rounds = {};
const result = {};
for (const name of chosen.names) {
  rounds[name] = await measure(name, chosen);
  for (const figure of Object.keys(rounds[name][0])) {
    result[figure] = median(rounds[name].map((round) => round[figure]));
  }
}
table(result, chosen.rounds);
if (chosen.json !== undefined) {
  const machine = { cores: cpus().length, model: cpus()[0]?.model, node: process.version };
  const report = { at: new Date().toISOString(), quick: chosen.quick, machine, figures: result, rounds };
  writeFileSync(chosen.json, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(dim(`written to ${chosen.json}`));
}
process.exit(0);
