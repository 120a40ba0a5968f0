// Schedules that are all due in the same second; and jobs by the second out of many that wait, delayed ones and those of
// schedules. Lateness is taken by this machine's clock, which nats-server shares.
import { setTimeout as sleep } from "node:timers/promises";
import { inBatches, nowMs, percentile, withBroker } from "../load.mjs";
import { BenchWorker, residentBytes } from "../processes.mjs";

const sizes = {
  full: { burst: 10_000, delayed: 100_000, schedules: 10_000, window: 60 },
  quick: { burst: 1_000, delayed: 10_000, schedules: 1_000, window: 6 },
};
/** Falling due by the second: delayed jobs evenly, schedules on the second, as those of cron are. */
const perSecond = { delayed: 400, schedules: 100 };
const declared = 400;
const day = 24 * 60 * 60 * 1_000;

export const figures = {
  schedules_burst_submitted_ms: {
    unit: "ms",
    below: 8_000,
    what: "10,000 schedules due in the same second: until all jobs are submitted (quick: 1,000)",
  },
  schedules_burst_lost: { unit: "jobs", below: 1, what: "the same: lost" },
  schedules_burst_twice: { unit: "jobs", below: 1, what: "the same: submitted twice" },
  due_late_p50_ms: {
    unit: "ms",
    what: "500 due per second out of 100,000 delayed jobs and 10,000 schedules: late by, median (quick: a tenth)",
  },
  due_late_p99_ms: { unit: "ms", below: 400, what: "the same, 99th percentile" },
  due_earliest_ms: { unit: "ms", notBelow: 0, what: "the same, the earliest: below 0 would be early" },
  due_broker_growth_mb: {
    unit: "MB",
    below: 32,
    what: "the same: how much the broker's memory grew meanwhile",
  },
};
export const rounds = 1;
export const seconds = { quick: 26, full: 130 };

export async function run({ quick, say }) {
  const size = quick ? sizes.quick : sizes.full;
  const first = await withBroker((broker, client) => burst(broker, client, size.burst, say));
  return { ...first, ...(await withBroker((broker, client) => steady(broker, client, size, say))) };
}

/** In declarations of 400. */
async function declare(client, count, scheduleOf, say) {
  for (let i = 0; i < count; i += declared) {
    const length = Math.min(declared, count - i);
    await client.schedules.put(
      "bench",
      Array.from({ length }, (_, n) => scheduleOf(i + n)),
    );
    say(`${i + length} of ${count} schedules declared`);
  }
}

async function burst(broker, client, count, say) {
  const at = (Math.ceil(nowMs() / 1_000) + 4 + Math.ceil(count / 400)) * 1_000;
  const scheduleOf = (i) => ({
    name: `burst-${i}`,
    task: "late",
    payload: { at, i },
    every: day,
    startAt: new Date(at),
  });
  await declare(client, count, scheduleOf, say);
  if (nowMs() > at - 500) throw new Error("the schedules were not declared before they were due");
  const submitted = () => broker.counter("drover_jobs_submitted_total");
  while ((await submitted()) < count && nowMs() < at + 60_000) await sleep(20);
  const took = nowMs() - at;
  // What there is then is run: one job for each, as many as that.
  const worker = await BenchWorker.start(broker);
  const ran = [];
  const until = nowMs() + 30_000;
  while (ran.length < count && nowMs() < until) {
    await sleep(100);
    ran.push(...(await worker.samples()));
  }
  await sleep(1_000);
  ran.push(...(await worker.samples()));
  await worker.stop();
  return {
    schedules_burst_submitted_ms: took,
    schedules_burst_lost: Math.max(0, count - ran.length),
    schedules_burst_twice: Math.max(0, ran.length - count),
  };
}

async function steady(broker, client, { delayed, schedules, window }, say) {
  const worker = await BenchWorker.start(broker);
  const begin = (Math.ceil(nowMs() / 1_000) + 6 + Math.ceil(schedules / 300 + delayed / 10_000)) * 1_000;
  const due = { delayed: perSecond.delayed * window, schedules: perSecond.schedules * window };
  await declare(
    client,
    schedules,
    (i) => {
      const at = i < due.schedules ? begin + Math.floor(i / perSecond.schedules) * 1_000 : begin + day;
      return { name: `due-${i}`, task: "late", payload: { at }, every: day, startAt: new Date(at) };
    },
    say,
  );
  await inBatches(
    client,
    delayed,
    (i) => {
      const at =
        i < due.delayed ? Math.floor(begin + (i * 1_000) / perSecond.delayed) : begin + day + (i % 1_000);
      return { task: "late", payload: { at, text: "x".repeat(160) }, runAt: new Date(at) };
    },
    (done) => say(`${done} of ${delayed} delayed jobs stored`),
  );
  if (nowMs() > begin) throw new Error("not all was stored before the first was due");
  const late = [];
  let before = 0;
  while (late.length < due.delayed + due.schedules) {
    await sleep(250);
    late.push(...(await worker.samples()));
    // By then it has done each of the things once that it does all the time.
    if (before === 0 && nowMs() > begin + window * 200) before = residentBytes(broker.pid);
    if (nowMs() > begin + window * 1_000 + 60_000) throw new Error("not all that was due has run");
    say(`${late.length} of ${due.delayed + due.schedules} have run`);
  }
  const growth = (residentBytes(broker.pid) - before) / 1e6;
  await worker.stop();
  return {
    due_late_p50_ms: percentile(late, 0.5),
    due_late_p99_ms: percentile(late, 0.99),
    due_earliest_ms: percentile(late, 0),
    due_broker_growth_mb: growth,
  };
}
