// Jobs at a constant rate, whatever becomes of them (open loop): a system that stalls is not asked less. From the moment
// a job was meant to be submitted to the moment its handler began.
import { setTimeout as sleep } from "node:timers/promises";
import { nowMs, percentile, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

const perSecond = 1_000;
const tick = 5;

export const figures = {
  start_p50_ms_at_1000_per_s: { unit: "ms", what: "submit to start at a constant 1,000 jobs/s, median" },
  start_p99_ms_at_1000_per_s: { unit: "ms", below: 15, what: "the same, 99th percentile" },
  start_max_ms_at_1000_per_s: { unit: "ms", what: "the same, the worst" },
};
export const seconds = { quick: 9, full: 15 };

export function run({ quick, say }) {
  const length = quick ? 4_000 : 10_000;
  return withBroker(async (broker, client) => {
    const worker = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "100" });
    const late = [];
    await atRate(client, 2_000);
    await worker.samples();
    say(`${perSecond} jobs/s for ${length / 1_000} s`);
    await atRate(client, length);
    while (late.length < (length / 1_000) * perSecond) {
      await sleep(100);
      late.push(...(await worker.samples()));
    }
    await worker.stop();
    return {
      start_p50_ms_at_1000_per_s: percentile(late, 0.5),
      start_p99_ms_at_1000_per_s: percentile(late, 0.99),
      start_max_ms_at_1000_per_s: percentile(late, 1),
    };
  });
}

/** Each job bears the moment it was due to be submitted: what was late here counts as well. */
async function atRate(client, length) {
  const begin = nowMs();
  const submits = [];
  for (let sent = 0; sent < (length / 1_000) * perSecond; ) {
    const due = Math.min((length / 1_000) * perSecond, Math.floor(((nowMs() - begin) / 1_000) * perSecond));
    for (; sent < due; sent++) {
      submits.push(client.submit("late", { at: begin + (sent / perSecond) * 1_000, text: "x".repeat(160) }));
    }
    await sleep(tick);
  }
  await Promise.all(submits);
}
