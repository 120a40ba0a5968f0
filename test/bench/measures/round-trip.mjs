// One job at a time through an idle system: submit, run, result back at the client. Node compiles a function properly
// only once it has run often: broker, worker and client that have just been started take about twice as long as those
// that have been up for a while. Both are measured.

import { payload, percentile, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

export const figures = {
  roundtrip_p50_ms: {
    unit: "ms",
    below: 2.5,
    what: "submit -> run -> result at an idle client, median (warm: after 3,000 jobs)",
  },
  roundtrip_p99_ms: { unit: "ms", below: 8, what: "the same, 99th percentile" },
  roundtrip_cold_p50_ms: { unit: "ms", what: "the same of the first 500 jobs, all processes just started" },
  roundtrip_cold_p99_ms: { unit: "ms", what: "the same, 99th percentile" },
};
export const seconds = { quick: 12, full: 20 };

export function run({ quick, say }) {
  return withBroker(async (broker, client) => {
    const worker = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "10" });
    const roundTrips = async (n) => {
      const took = [];
      for (let i = 0; i < n; i++) {
        const started = performance.now();
        const job = await client.submit("noop", payload);
        await job.result({ timeout: 30_000 });
        took.push(performance.now() - started);
        if (i % 100 === 0) say(`${i} of ${n} round trips`);
      }
      return took;
    };
    const cold = await roundTrips(500);
    await roundTrips(quick ? 1_000 : 2_500);
    const warm = await roundTrips(500);
    await worker.stop();
    return {
      roundtrip_p50_ms: percentile(warm, 0.5),
      roundtrip_p99_ms: percentile(warm, 0.99),
      roundtrip_cold_p50_ms: percentile(cold, 0.5),
      roundtrip_cold_p99_ms: percentile(cold, 0.99),
    };
  });
}
