// Whether a job costs the same whatever else there is: with up to a million jobs waiting before it, and with its fellows
// spread over up to 300 lanes. CPU of broker and nats-server together, since speed is shared with what else runs here.
import { cpu, cpuPerJob, inBatches, rate, untilFinished, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

const lanes = [1, 30, 300];
const backlogs = { quick: [1_000, 20_000, 100_000], full: [1_000, 10_000, 100_000, 1_000_000] };
const name = (jobs) => (jobs >= 1_000_000 ? `${jobs / 1_000_000}m` : `${jobs / 1_000}k`);

export const figures = {
  ...Object.fromEntries(
    [...new Set([...backlogs.quick, ...backlogs.full])]
      .sort((a, b) => a - b)
      .flatMap((jobs) => [
        [
          `backlog_${name(jobs)}_submit_us`,
          {
            unit: "us",
            what: `submit with a backlog of ${jobs.toLocaleString("en")}: CPU of broker and nats-server`,
          },
        ],
        [`backlog_${name(jobs)}_drain_us`, { unit: "us", what: "drain, the same" }],
        [`backlog_${name(jobs)}_drain_per_s`, { unit: "/s", what: "drain, the same" }],
      ]),
  ),
  backlog_cost_ratio: {
    unit: "",
    below: 1.2,
    what: "cost of a job with the largest backlog to that with 1,000",
  },
  ...Object.fromEntries(
    lanes.flatMap((count) => [
      [
        `lanes_${count}_submit_us`,
        { unit: "us", what: `submit over ${count} lanes: CPU of broker and nats-server` },
      ],
      [`lanes_${count}_drain_us`, { unit: "us", what: "drain, the same" }],
      [`lanes_${count}_drain_per_s`, { unit: "/s", what: "drain, the same" }],
    ]),
  ),
  lanes_30_cost_ratio: { unit: "", below: 1.2, what: "cost of a job over 30 lanes to that over one" },
  lanes_300_cost_ratio: { unit: "", below: 3, what: "cost of a job over 300 lanes to that over one" },
};
export const rounds = 1;
export const seconds = { quick: 30, full: 110 };

export async function run({ quick, say }) {
  const probe = quick ? 10_000 : 30_000;
  const result = {};
  const total = {};
  await withBroker(async (broker, client) => {
    // The broker's code, and the worker's of the first probe, are to be as warm as those of the last.
    await costOf(broker, client, probe, "warm", () => ({ task: "noop" }));
    let stored = 0;
    for (const backlog of quick ? backlogs.quick : backlogs.full) {
      const more = backlog - stored;
      await inBatches(
        client,
        more,
        () => ({ task: "noop" }),
        (done) => say(`${stored + done} jobs of backlog`),
      );
      stored = backlog;
      say(`${probe} jobs with a backlog of ${backlog}`);
      const cost = await costOf(broker, client, probe, `backlog_${name(backlog)}`, () => ({ task: "noop" }));
      Object.assign(result, cost.figures);
      total[backlog] = cost.total;
    }
    const all = Object.values(total);
    result.backlog_cost_ratio = all.at(-1) / all[0];
  });
  const spread = {};
  for (const count of lanes) {
    await withBroker(async (broker, client) => {
      const taskOf = (i) => ({ task: `lane.${i % count}` });
      say(`${probe} jobs over ${count} lanes`);
      await costOf(broker, client, probe, "warm", taskOf, count);
      const cost = await costOf(broker, client, probe, `lanes_${count}`, taskOf, count);
      Object.assign(result, cost.figures);
      spread[count] = cost.total;
    });
  }
  result.lanes_30_cost_ratio = spread[30] / spread[1];
  result.lanes_300_cost_ratio = spread[300] / spread[1];
  return result;
}

/** Submits so many jobs and has so many run: in a backlog others than those, first in, first out. */
async function costOf(broker, client, jobs, label, optionsOf, tasks = 0) {
  const before = cpu(broker);
  await inBatches(client, jobs, optionsOf);
  const submit = cpuPerJob(before, cpu(broker), jobs);
  const done = await broker.counter("drover_jobs_finished_total");
  const worker = await BenchWorker.start(broker, { BENCH_TASKS: String(tasks) });
  const from = cpu(broker);
  let drained = 0;
  const perSecond = await rate(1, async () => {
    drained = (await untilFinished(broker, done + jobs, () => {}, 10)) - done;
  });
  const drain = cpuPerJob(from, cpu(broker), drained);
  await worker.kill();
  const figures = {
    [`${label}_submit_us`]: submit.broker + submit.nats,
    [`${label}_drain_us`]: drain.broker + drain.nats,
    [`${label}_drain_per_s`]: drained * perSecond,
  };
  return { figures, total: submit.broker + submit.nats + drain.broker + drain.nats };
}
