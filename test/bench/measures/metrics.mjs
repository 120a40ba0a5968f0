// What metrics cost. Per job: what a broker tells of it (stored, started, finished; and of one that is submitted alone, its
// call and its write) is told to a broker's own metrics and to none, in turns, and the differences count. A whole broker's
// CPU per job wanders by ten times as much. Per scrape: with many queues and lanes, of which every series has been used.
import { setTimeout as sleep } from "node:timers/promises";
import { silent } from "../../../broker/dist/app/telemetry.js";
import { createMetrics } from "../../../broker/dist/ops/metrics.js";
import { inBatches, percentile, untilFinished, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

export const figures = {
  metrics_bulk_us: { unit: "us", below: 3, what: "CPU per job that metrics cost, jobs in batches" },
  metrics_single_us: { unit: "us", below: 3, what: "the same, jobs one by one" },
  metrics_traced_us: { unit: "us", below: 3, what: "the same, one by one and each with a trace" },
  scrape_p50_ms: { unit: "ms", below: 50, what: "a scrape with 100 queues and 1,000 lanes" },
  scrape_p99_ms: { unit: "ms", what: "the same, 99th percentile of 100" },
  scrape_mb: { unit: "MB", what: "its size" },
};
export const rounds = 1;
export const seconds = { quick: 40, full: 60 };

const queues = 100;
const lanes = 1_000;
const scrapes = 100;
const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

export async function run({ quick, say }) {
  const pairs = quick ? 15 : 51;
  say("telling metrics of jobs");
  return {
    metrics_bulk_us: cost(pairs, (told, i) => aJob(told, i, "")),
    metrics_single_us: cost(pairs, (told, i) => aJobAlone(told, i, "")),
    metrics_traced_us: cost(pairs, (told, i) => aJobAlone(told, i, trace)),
    ...(await scrape(say)),
  };
}

/** us of CPU that telling of a job costs, the median over pairs of runs. */
function cost(pairs, tell) {
  const { telemetry } = createMetrics({
    version: "bench",
    ready: () => true,
    lanes: () => [],
    oldest: () => [],
    running: () => [],
    freeSlots: () => 0,
    storage: () => undefined,
  });
  const jobs = 20_000;
  const differences = [];
  for (let pair = 0; pair < pairs; pair++) {
    const took = new Map();
    for (const told of pair % 2 === 0 ? [telemetry, silent] : [silent, telemetry]) {
      const before = process.cpuUsage();
      for (let i = 0; i < jobs; i++) tell(told, i);
      const { user, system } = process.cpuUsage(before);
      took.set(told, (user + system) / jobs);
    }
    differences.push(took.get(telemetry) - took.get(silent));
  }
  return percentile(differences, 0.5);
}

const names = Buffer.from(
  Array.from({ length: 30 }, (_, i) => `task.${String(i).padStart(3, "0")}`).join(""),
);
const nameLength = 8;

/** A task and queue as a message brings them: strings that nobody has seen yet. */
function lineOf(i) {
  const at = (i % 30) * nameLength;
  return { task: names.toString("utf8", at, at + nameLength), queue: names.toString("utf8", 0, nameLength) };
}

function aJob(told, i, traceParent) {
  told.submitted(lineOf(i));
  told.started(lineOf(i), (i % 7) / 100, traceParent);
  told.finished(lineOf(i), "succeeded", "", (i % 50) / 300, traceParent);
}

function aJobAlone(told, i, traceParent) {
  aJob(told, i, traceParent);
  told.rpc("JobService/Submit", 0, 0.002);
  told.journalQueue(0);
  told.journalBatch(1, 0.001);
}

function scrape(say) {
  return withBroker(async (broker, client) => {
    const perQueue = lanes / queues;
    const names = Array.from({ length: queues }, (_, i) => `q${i}`);
    const worker = await BenchWorker.start(broker, {
      BENCH_TASKS: String(perQueue),
      BENCH_QUEUES: names.join(","),
    });
    say(`running jobs in ${lanes} lanes`);
    const each = 3;
    await inBatches(client, lanes * each, (i) => ({
      task: `lane.${i % perQueue}`,
      queue: names[Math.floor(i / perQueue) % queues],
    }));
    await untilFinished(broker, lanes * each, undefined, 1_000);
    // All that is looked up now and then has been.
    await sleep(6_000);
    say(`scraping ${scrapes} times`);
    const took = [];
    let size = 0;
    for (let i = 0; i < scrapes; i++) {
      const started = performance.now();
      const { body } = await broker.scraped();
      took.push(performance.now() - started);
      size = body.byteLength;
      await sleep(20);
    }
    await worker.stop();
    return {
      scrape_p50_ms: percentile(took, 0.5),
      scrape_p99_ms: percentile(took, 0.99),
      scrape_mb: size / 1e6,
    };
  });
}
