// One job at a time through an idle system: submit, run, result back at the client.

import { payload, percentile, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

export const figures = {
  roundtrip_p50_ms: { unit: "ms", below: 2.5, what: "submit -> run -> result at an idle client, median" },
  roundtrip_p99_ms: { unit: "ms", below: 8, what: "the same, 99th percentile" },
};
export const seconds = { quick: 4, full: 6 };

export function run({ quick, say }) {
  return withBroker(async (broker, client) => {
    const worker = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "10" });
    const took = [];
    const rounds = quick ? 200 : 500;
    for (let i = -100; i < rounds; i++) {
      const started = performance.now();
      const job = await client.submit("noop", payload);
      await job.result({ timeout: 30_000 });
      if (i >= 0) took.push(performance.now() - started);
      if (i % 100 === 0) say(`${Math.max(0, i)} of ${rounds} round trips`);
    }
    await worker.stop();
    return { roundtrip_p50_ms: percentile(took, 0.5), roundtrip_p99_ms: percentile(took, 0.99) };
  });
}
