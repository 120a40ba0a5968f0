// What a broker uses that has nothing to do.
import { setTimeout as sleep } from "node:timers/promises";
import { withBroker } from "../load.mjs";
import { BenchWorker, cpuPercents } from "../processes.mjs";

export const figures = {
  idle_broker_cpu_percent: {
    unit: "%",
    below: 2,
    what: "CPU of an idle broker with 50 lanes and 10 workers, share of a core",
  },
};
export const rounds = 1;
export const seconds = { quick: 20, full: 75 };

export function run({ quick, say }) {
  const length = quick ? 8 : 60;
  return withBroker(async (broker, client) => {
    const workers = await Promise.all(
      Array.from({ length: 10 }, () =>
        BenchWorker.start(broker, { BENCH_TASKS: "50", BENCH_CONCURRENCY: "10" }),
      ),
    );
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => (await client.submit(`lane.${i}`)).result()),
    );
    await sleep(6_000);
    say(`watching an idle broker for ${length} s`);
    const [percent] = await cpuPercents([broker.pid], length);
    await Promise.all(workers.map((worker) => worker.stop()));
    return { idle_broker_cpu_percent: percent };
  });
}
