// A worker is killed in the middle of its work, and another started at once.
import { setTimeout as sleep } from "node:timers/promises";
import { finished, inBatches, untilFinished, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

export const figures = {
  worker_killed_done_s: {
    unit: "s",
    below: 4.5,
    what: "1,000 jobs of 50 ms, worker killed at 400: until all are done (3 s of work)",
  },
};
export const seconds = { quick: 9, full: 9 };

export function run({ say }) {
  return withBroker(async (broker, client) => {
    await inBatches(client, 1_000, () => ({ task: "pause", payload: { ms: 50 } }));
    const first = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "10" });
    while ((await finished(broker)) < 400) await sleep(10);
    say("killing the worker");
    const killed = performance.now();
    await first.kill();
    const second = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "10" });
    await untilFinished(broker, 1_000, () => {}, 10);
    const took = (performance.now() - killed) / 1_000;
    await second.stop();
    return { worker_killed_done_s: took };
  });
}
