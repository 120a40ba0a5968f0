// Load by one TypeScript client, as its users would write it, and what is read off the processes meanwhile.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@drover/client";
import { BenchBroker, cpuSeconds } from "./processes.mjs";

/** 200 bytes, as in the comparison with other brokers. */
export const payload = { text: "x".repeat(188) };

/** A broker with an empty store and a client, for as long as `work` takes. */
export async function withBroker(work, env) {
  const broker = await BenchBroker.start(env);
  const client = new Client({ address: broker.address, timeout: 60_000 });
  try {
    return await work(broker, client);
  } finally {
    client.close();
    await broker.stop();
  }
}

/** Single submits, so many at once. */
export async function inFlight(client, width, jobs, task = "noop") {
  let left = jobs;
  const submitter = async () => {
    while (left-- > 0) await client.submit(task, payload);
  };
  await Promise.all(Array.from({ length: width }, submitter));
}

/** Submits in batches of 500, four in flight. `optionsOf(i)` gives the i-th job's task, payload and options. */
export async function inBatches(client, jobs, optionsOf, told = () => {}) {
  let next = 0;
  let done = 0;
  const submitter = async () => {
    while (next < jobs) {
      const first = next;
      next = Math.min(jobs, first + 500);
      const items = Array.from({ length: next - first }, (_, i) => ({ payload, ...optionsOf(first + i) }));
      const failed = (await client.submitBatch(items)).find((result) => !result.ok);
      if (failed !== undefined) throw failed.error;
      done += items.length;
      told(done);
    }
  };
  await Promise.all(Array.from({ length: 4 }, submitter));
}

export const noops = () => ({ task: "noop" });

/** Jobs per second that `work` gets through. */
export async function rate(jobs, work) {
  const started = performance.now();
  await work();
  return jobs / ((performance.now() - started) / 1_000);
}

export const finished = (broker) => broker.counter("drover_jobs_finished_total");

/** Until so many jobs have ended in all. */
export async function untilFinished(broker, jobs, told = () => {}, every = 20) {
  for (;;) {
    const done = await finished(broker);
    told(done);
    if (done >= jobs) return done;
    await sleep(every);
  }
}

/** CPU seconds of all that takes part, so far. */
export function cpu(broker, worker) {
  return {
    broker: cpuSeconds(broker.pid),
    nats: cpuSeconds(broker.natsPid),
    worker: worker === undefined ? 0 : cpuSeconds(worker.pid),
    client: cpuSeconds(process.pid),
  };
}

/** Microseconds of each per job between two looks. */
export function cpuPerJob(from, to, jobs) {
  const share = (who) => ((to[who] - from[who]) / jobs) * 1e6;
  return { broker: share("broker"), nats: share("nats"), worker: share("worker"), client: share("client") };
}

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** ms since 1970, with fractions, by this machine's clock. */
export const nowMs = () => performance.timeOrigin + performance.now();
