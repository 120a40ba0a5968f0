// What several broker processes behind one port bring: the same jobs by two worker processes, through one and through
// two of them. On two cores they share the machine with nats-server and the workers, so this shows that it works and what
// it costs rather than what it would bring on eight.
import { inBatches, noops, rate, untilFinished, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

const counts = [1, 2];

export const figures = {
  ...Object.fromEntries(
    counts.map((n) => [
      `processes_${n}_drain_per_s`,
      { unit: "/s", what: `drained by two worker processes through ${n} broker process${n > 1 ? "es" : ""}` },
    ]),
  ),
  processes_2_ratio: { unit: "", what: "the second to the first" },
};
export const seconds = { quick: 20, full: 30 };

export async function run({ quick, say }) {
  const jobs = quick ? 10_000 : 30_000;
  const result = {};
  for (const n of counts) {
    await withBroker(
      async (broker, client) => {
        // Everybody learns their own code first.
        for (const round of [jobs / 5, jobs]) {
          await inBatches(client, round, noops);
          const before = await broker.counter("drover_jobs_finished_total");
          const workers = [await BenchWorker.start(broker), await BenchWorker.start(broker)];
          say(`${round} jobs through ${n} broker processes`);
          // Not until the lanes are swept: who has the last sweep and when is chance, and it may take as long as the jobs.
          result[`processes_${n}_drain_per_s`] = await rate(round, () =>
            untilFinished(broker, before + round),
          );
          for (const worker of workers) await worker.stop();
        }
      },
      { DROVER_PROCESSES: String(n) },
    );
  }
  result.processes_2_ratio = result.processes_2_drain_per_s / result.processes_1_drain_per_s;
  return result;
}
