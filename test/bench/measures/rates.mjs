// How exactly rates are kept by several brokers, and how much of them a backlog uses: by the time of each start in the
// jobs' records, which the brokers tell by nats-server's clock.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@drover/client";
import { inBatches } from "../load.mjs";
import { NatsForBench } from "../nats.mjs";
import { BenchBroker, BenchWorker } from "../processes.mjs";

const brokers = 3;
const workers = 10;
/** One limit for each task: short and long periods, few and many starts. */
const rates = ["10/s", "50/s", "600/m"];
const periods = { s: 1_000, m: 60_000 };
/** What the first workers take to come up is no share of anything, ms. */
const settling = 2_000;

export const figures = {
  rates_used_percent: {
    unit: "%",
    above: 95,
    what: "10/s, 50/s and 600/m over 3 brokers and 10 workers for a minute: the least that a backlog uses of one",
  },
  rates_over: {
    unit: "starts",
    below: 1,
    what: "the same: starts above the limit in the fullest period of any of them (quick: of 10 s)",
  },
};
export const rounds = 1;
export const seconds = { quick: 25, full: 80 };

export async function run({ quick, say, note }) {
  const length = quick ? 10_000 : 60_000;
  const nats = await NatsForBench.start();
  const all = await Promise.all(
    Array.from({ length: brokers }, () => BenchBroker.start({ DROVER_NATS_URL: nats.url })),
  );
  const client = new Client({ address: all[0].address, timeout: 60_000 });
  try {
    const limits = rates.map((rate, i) => ({ task: `lane.${i}`, ...parsed(rate) }));
    for (const [i, { task }] of limits.entries()) await client.tasks.limit(task, { rate: rates[i] });
    for (const { task, count, period } of limits) {
      await inBatches(client, Math.ceil((count * (length + 15_000)) / period), () => ({ task }));
    }
    const crew = await Promise.all(
      Array.from({ length: workers }, (_, i) =>
        BenchWorker.start(all[i % brokers], { BENCH_TASKS: String(rates.length), BENCH_CONCURRENCY: "10" }),
      ),
    );
    say(`${rates.join(", ")} for ${length / 1_000} s`);
    await sleep(settling + length + 1_000);
    await Promise.all(crew.map((worker) => worker.stop()));
    const kept = [];
    for (const limit of limits) kept.push(judged(limit, await startsOf(client, limit.task), length));
    for (const [i, { used, over }] of kept.entries())
      note(`${rates[i]}: ${used.toFixed(1)} % used, ${over} over`);
    return {
      rates_used_percent: Math.min(...kept.map(({ used }) => used)),
      rates_over: Math.max(...kept.map(({ over }) => over)),
    };
  } finally {
    client.close();
    for (const broker of all) await broker.stop();
    await nats.stop();
  }
}

function parsed(rate) {
  const [count, unit] = rate.split("/");
  return { count: Number(count), period: periods[unit] };
}

async function startsOf(client, task) {
  const starts = [];
  for await (const { startedAt } of client.list({ task, state: "SUCCEEDED", pageSize: 1_000 }))
    starts.push(startedAt.getTime());
  return starts.sort((a, b) => a - b);
}

/** `over` may be negative: so many starts the fullest period had left. */
function judged({ count, period }, starts, length) {
  const begin = starts[0] + settling;
  const counted = starts.filter((at) => at >= begin && at < begin + length).length;
  let [first, most] = [0, 0];
  for (const [i, at] of starts.entries()) {
    while (starts[first] <= at - period) first++;
    most = Math.max(most, i - first + 1);
  }
  return { used: (counted / ((length / period) * count)) * 100, over: most - count };
}
