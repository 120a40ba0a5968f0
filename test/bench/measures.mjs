// What there is to measure, in the order of a run: the quick and the most asked for first. Each file gives `figures`
// (what its numbers are, and what the project promised of them), `seconds` (how long a round takes here) and `run`.
import * as delayed from "./measures/delayed.mjs";
import * as flows from "./measures/flows.mjs";
import * as idle from "./measures/idle.mjs";
import * as keys from "./measures/keys.mjs";
import * as latency from "./measures/latency.mjs";
import * as limited from "./measures/limited.mjs";
import * as memory from "./measures/memory.mjs";
import * as metrics from "./measures/metrics.mjs";
import * as operators from "./measures/operators.mjs";
import * as processes from "./measures/processes.mjs";
import * as rates from "./measures/rates.mjs";
import * as roundTrip from "./measures/round-trip.mjs";
import * as scaling from "./measures/scaling.mjs";
import * as schedules from "./measures/schedules.mjs";
import * as steady from "./measures/steady.mjs";
import * as throughput from "./measures/throughput.mjs";
import * as workerKilled from "./measures/worker-killed.mjs";
import * as workers from "./measures/workers.mjs";

export const measures = {
  roundTrip,
  throughput,
  latency,
  delayed,
  flows,
  schedules,
  workerKilled,
  workers,
  memory,
  operators,
  processes,
  steady,
  scaling,
  idle,
  limited,
  rates,
  keys,
  metrics,
};

/** Left out of --quick, which has two minutes for all. */
export const slow = [
  "schedules",
  "operators",
  "processes",
  "workerKilled",
  "workers",
  "scaling",
  "idle",
  "limited",
  "rates",
  "keys",
  "metrics",
];

export const figures = Object.assign({}, ...Object.values(measures).map((measure) => measure.figures));

export function secondsOf(name, options) {
  const { seconds } = measures[name];
  return typeof seconds === "function" ? seconds(options) : options.quick ? seconds.quick : seconds.full;
}

/** What is long, or says the same each time, is measured once. */
export const roundsOf = (name, rounds) => Math.min(rounds, measures[name].rounds ?? rounds);
