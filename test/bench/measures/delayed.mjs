// How late delayed jobs begin, by this machine's clock, which nats-server shares. Below 0 would be early.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@drover/client";
import { inBatches, nowMs, percentile, withBroker } from "../load.mjs";
import { NatsForBench } from "../nats.mjs";
import { BenchBroker, BenchWorker } from "../processes.mjs";

const sizes = { full: { spread: 5_000, burst: 20_000 }, quick: { spread: 2_000, burst: 5_000 } };

export const figures = {
  delayed_late_p50_ms: {
    unit: "ms",
    what: "5,000 jobs due over 5 s: late by, median (quick: 2,000 over 2 s)",
  },
  delayed_late_p99_ms: { unit: "ms", below: 50, what: "the same, 99th percentile" },
  delayed_earliest_ms: { unit: "ms", notBelow: 0, what: "the same, the earliest: below 0 would be early" },
  delayed_burst_done_ms: {
    unit: "ms",
    below: 3_000,
    what: "20,000 jobs due in the same second: until the last has started (quick: 5,000)",
  },
  delayed_killed_earliest_ms: { unit: "ms", notBelow: 0, what: "their broker killed: the earliest" },
  delayed_killed_p50_ms: { unit: "ms", what: "5,000 due over 5 s, their broker killed: late by, median" },
  delayed_killed_max_ms: {
    unit: "ms",
    below: 8_200,
    what: "the same, the last: 6 s and what the server takes to fire 5,000",
  },
};
export const seconds = { quick: 26, full: 45 };

export async function run({ quick, say }) {
  const { spread, burst } = quick ? sizes.quick : sizes.full;
  const living = await withBroker(async (broker, client) => {
    const worker = await BenchWorker.start(broker);
    await warm(client, worker);
    say(`${spread} jobs due one every millisecond`);
    const even = await lateness(client, worker, spread, (i, begin) => begin + i);
    say(`${burst} jobs due in the same second`);
    const atOnce = await lateness(client, worker, burst, (i, begin) => begin + (i % 1_000));
    await worker.stop();
    return {
      delayed_late_p50_ms: percentile(even, 0.5),
      delayed_late_p99_ms: percentile(even, 0.99),
      delayed_earliest_ms: Math.min(percentile(even, 0), percentile(atOnce, 0)),
      delayed_burst_done_ms: percentile(atOnce, 1),
    };
  });
  say(`${spread} jobs due one every millisecond, their broker killed`);
  return { ...living, ...(await killed(spread)) };
}

async function warm(client, worker) {
  await lateness(client, worker, 1_000, (_, begin) => begin);
}

/** ms between the due time and the start of each of `jobs`. They are due from 2 s after they are stored on. */
async function lateness(client, worker, jobs, dueAt) {
  await worker.samples();
  await store(client, jobs, dueAt);
  return samplesOf(worker, jobs);
}

async function store(client, jobs, dueAt) {
  // Some time to store them all before the first is due.
  const begin = Math.ceil(nowMs()) + 2_000 + jobs / 8;
  await inBatches(client, jobs, (i) => {
    const at = dueAt(i, begin);
    return { task: "late", payload: { at, text: "x".repeat(160) }, runAt: new Date(at) };
  });
  if (nowMs() > begin) throw new Error("the jobs were not stored before the first was due");
}

async function samplesOf(worker, jobs) {
  const late = [];
  while (late.length < jobs) {
    await sleep(100);
    late.push(...(await worker.samples()));
  }
  return late;
}

async function killed(spread) {
  const nats = await NatsForBench.start();
  const env = { DROVER_NATS_URL: nats.url };
  const [doomed, other] = [await BenchBroker.start(env), await BenchBroker.start(env)];
  const client = new Client({ address: doomed.address, timeout: 60_000 });
  try {
    const worker = await BenchWorker.start(other);
    await warm(client, worker);
    await store(client, spread, (i, begin) => begin + i);
    await doomed.kill();
    const late = await samplesOf(worker, spread);
    await worker.stop();
    return {
      delayed_killed_earliest_ms: percentile(late, 0),
      delayed_killed_p50_ms: percentile(late, 0.5),
      delayed_killed_max_ms: percentile(late, 1),
    };
  } finally {
    client.close();
    await doomed.stop();
    await other.stop();
    await nats.stop();
  }
}
