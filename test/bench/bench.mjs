// npm run bench: the project's figures, on this machine, as medians of three. Everything runs here at once (client,
// broker, nats-server, worker), so absolute figures are the machine's as much as Drover's; each run measures what
// JetStream and gRPC alone do, too.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../support/paths.mjs";
import { measures, roundsOf, secondsOf, slow } from "./measures.mjs";
import { dim, green, yellow } from "./paint.mjs";
import { printPeers, runPeers } from "./peers/peers.mjs";
import { plot } from "./plot.mjs";
import { killAll } from "./processes.mjs";
import { medians, printTable, ratios } from "./report.mjs";

const help = `npm run bench -- [--quick] [--only NAME,...] [--rounds N] [--steady SECONDS] [--idle SECONDS]
             [--json FILE] [--plot FILE] [--peers]

  --quick           smaller, one round, without ${slow.join(", ")}: under two minutes, for a first look
  --only NAMES      of ${Object.keys(measures).join(", ")}
  --rounds N        rounds of each, of which the median counts (default 3; memory, steady, scaling, schedules, idle,
                    limited, rates, keys, metrics and workers: 1)
  --steady SECONDS  how long steady lasts (default 60, quick 10; for the promise: 600)
  --idle SECONDS    how long the workers of "workers" have nothing to do (default 60, quick 15; for the promise: 3600)
  --json FILE       writes the figures, their shares of the run's limits, and each round
  --plot FILE       writes the picture there (default .drover/bench/figures.svg)
  --peers           the same jobs through BullMQ and Celery on Redis as well (needs redis-server; see the README)

Exit codes: 0 measured (whatever the figures), 1 something failed, 2 wrong usage.
`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        only: { type: "string" },
        rounds: { type: "string" },
        steady: { type: "string" },
        idle: { type: "string" },
        json: { type: "string" },
        plot: { type: "string" },
        peers: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const all = Object.keys(measures);
    const names = values.only?.split(",") ?? all.filter((name) => !values.quick || !slow.includes(name));
    const unknown = names.find((name) => !(name in measures));
    if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${all.join(", ")}`);
    const rounds = whole("--rounds", values.rounds) ?? (values.quick ? 1 : 3);
    return {
      ...values,
      names,
      rounds,
      steadySeconds: whole("--steady", values.steady),
      idleSeconds: whole("--idle", values.idle),
    };
  } catch (error) {
    console.error(`bench: ${error.message}\n\n${help}`);
    process.exit(2);
  }
}

function whole(name, value) {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} takes a whole number from 1`);
  return number;
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

/** What each round of a measure gave. A round that fails is told and made once more: one stumble of the machine must not
 *  cost an hour of figures. */
async function measure(name, chosen) {
  const all = [];
  const rounds = roundsOf(name, chosen.rounds);
  for (let round = 1; round <= rounds; round++) {
    const label = rounds > 1 ? `${name}, round ${round} of ${rounds}` : name;
    const started = performance.now();
    const attempt = () => measures[name].run({ ...chosen, say: progress(label), note: noted(name) });
    const figures = await attempt().catch(async (error) => {
      console.log(yellow(`${label} failed and is made again: ${error.message}`));
      await killAll();
      return attempt();
    });
    all.push(figures);
    if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
    console.log(`${green("✓")} ${label} ${dim(`(${((performance.now() - started) / 1_000).toFixed(1)} s)`)}`);
  }
  return all;
}

const notes = {};
const noted = (name) => (line) => {
  notes[name] = [...(notes[name] ?? []), line];
};

function write(file, text) {
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, text);
  console.log(dim(`written to ${file}`));
}

const chosen = options();
if (chosen.help) {
  console.log(help);
  process.exit(0);
}
const machine = {
  cores: cpus().length,
  model: cpus()[0]?.model ?? "unknown",
  gib: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  load: loadavg()[0],
};
console.log(`${machine.cores} cores (${machine.model}), ${machine.gib} GiB, Node ${machine.node}`);
if (machine.load > 0.5) {
  console.log(
    yellow(
      `other programs are at work (load ${machine.load.toFixed(1)}): figures will be lower than they could be`,
    ),
  );
}
const estimate = chosen.names.reduce(
  (sum, name) => sum + roundsOf(name, chosen.rounds) * secondsOf(name, chosen),
  chosen.peers ? (chosen.quick ? 30 : 40 + chosen.rounds * 60) : 0,
);
console.log(
  `about ${estimate < 120 ? `${estimate} s` : `${Math.round(estimate / 60)} min`}: ${chosen.names.join(", ")}`,
);

const rounds = {};
for (const name of chosen.names) rounds[name] = await measure(name, chosen);
const result = medians(rounds);
const title = chosen.rounds > 1 ? `medians of ${chosen.rounds}` : "one round";
printTable(result, title);
// Before the others are asked: what may fail there must not cost the figures.
writeReport(undefined);
write(
  chosen.plot ?? join(root, ".drover/bench/figures.svg"),
  plot(result, `Drover, ${machine.cores} cores, ${title}, ${new Date().toISOString().slice(0, 10)}`),
);
if (chosen.peers) {
  const peers = await runPeers({ ...chosen, say: progress("peers") });
  printPeers(peers, result);
  writeReport(peers);
}
process.exit(0);

function writeReport(peers) {
  if (chosen.json === undefined) return;
  const report = {
    at: new Date().toISOString(),
    quick: chosen.quick,
    machine,
    figures: result,
    of_limit: ratios(result),
    ...(peers === undefined ? {} : { peers }),
    rounds,
    notes,
  };
  write(chosen.json, `${JSON.stringify(report, undefined, 2)}\n`);
}
