// What a broker uses while rate limits keep all that waits from starting.
import { setTimeout as sleep } from "node:timers/promises";
import { withBroker } from "../load.mjs";
import { BenchWorker, cpuPercents } from "../processes.mjs";

const lanes = 50;
const backlog = 20;

export const figures = {
  limited_broker_cpu_percent: {
    unit: "%",
    below: 2,
    what: "CPU of a broker with 50 rate-limited lanes that have a backlog, and 10 workers, share of a core",
  },
};
export const rounds = 1;
export const seconds = { quick: 20, full: 75 };

export function run({ quick, say }) {
  const length = quick ? 8 : 60;
  return withBroker(async (broker, client) => {
    const tasks = Array.from({ length: lanes }, (_, i) => `lane.${i}`);
    for (const task of tasks) await client.tasks.limit(task, { rate: "1/h" });
    const workers = await Promise.all(
      Array.from({ length: 10 }, () =>
        BenchWorker.start(broker, { BENCH_TASKS: String(lanes), BENCH_CONCURRENCY: "10" }),
      ),
    );
    const jobs = tasks.flatMap((task) => Array.from({ length: backlog }, () => ({ task })));
    const submitted = await client.submitBatch(jobs);
    if (submitted.some(({ ok }) => !ok)) throw new Error("not all of the backlog was taken");
    await sleep(6_000);
    const waiting = await Promise.all(tasks.map((task) => client.tasks.get(task)));
    const started = waiting.reduce((sum, { ready }) => sum + backlog - ready, 0);
    if (started > lanes) throw new Error(`${started} jobs started, the limits allow ${lanes}`);
    say(`watching a broker that waits for ${length} s`);
    const [percent] = await cpuPercents([broker.pid], length);
    await Promise.all(workers.map((worker) => worker.stop()));
    return { limited_broker_cpu_percent: percent };
  });
}
