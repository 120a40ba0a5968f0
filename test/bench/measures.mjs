// What is measured. Each takes `{ quick, say }` and returns figures by name; `targets` says what the project promised.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@drover/client";
import { jetStreamLimit } from "./limits.mjs";
import { NatsForBench } from "./nats.mjs";
import { BenchBroker, BenchWorker, cpuSeconds, residentBytes } from "./processes.mjs";

/** 200 bytes, as in the comparison with other brokers. */
const payload = { text: "x".repeat(188) };

export const measures = { roundTrip, throughput, workerKilled, memory, idle };

/** name -> [unit, what the project promised, what it is] */
export const figures = {
  roundtrip_p50_ms: ["ms", "< 4", "submit -> run -> result at an idle client, median"],
  roundtrip_p99_ms: ["ms", "< 15", "the same, 99th percentile"],
  submit_inflight64_per_s: ["/s", "", "single submits, 64 in flight"],
  submit_inflight1000_per_s: ["/s", "", "single submits, 1,000 in flight"],
  submit_batch500_per_s: ["/s", "", "submits in batches of 500, 4 in flight"],
  drain_per_s: ["/s", "", "no-op jobs run and reported by one worker process"],
  limit_jetstream_submit_per_s: ["/s", "", "JetStream alone: batches of 1,000, two in flight"],
  submit_batch500_of_limit: ["", "", "share of that limit that batches of 500 reach"],
  drain_of_limit: ["", "", "share of that limit that draining reaches"],
  submit_broker_cpu_us: ["us", "", "broker CPU per job submitted in batches of 500"],
  broker_cpu_us_per_job: ["us", "", "broker CPU per job drained"],
  nats_cpu_us_per_job: ["us", "", "nats-server CPU per job drained"],
  worker_cpu_us_per_job: ["us", "", "worker CPU per job drained"],
  worker_killed_done_s: [
    "s",
    "< 4.5",
    "1,000 jobs of 50 ms, worker killed at 400: until all are done (3 s of work)",
  ],
  broker_rss_mb: ["MB", "< 200", "broker memory with the backlog of the next two lines"],
  backlog_ready: ["jobs", "", "ready jobs in the store meanwhile"],
  backlog_delayed: ["jobs", "", "delayed jobs in the store meanwhile"],
  idle_broker_cpu_percent: [
    "%",
    "< 2",
    "CPU of an idle broker with 50 lanes and 10 workers, share of a core",
  ],
};

async function roundTrip({ quick, say }) {
  return withBroker(async (broker, client) => {
    const worker = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "10" });
    const took = [];
    const rounds = quick ? 100 : 500;
    for (let i = -20; i < rounds; i++) {
      const started = performance.now();
      const job = await client.submit("noop", payload);
      await job.result({ timeout: 30_000 });
      if (i >= 0) took.push(performance.now() - started);
      if (i % 100 === 0) say(`${Math.max(0, i)} of ${rounds} round trips`);
    }
    await worker.stop();
    took.sort((a, b) => a - b);
    return { roundtrip_p50_ms: percentile(took, 0.5), roundtrip_p99_ms: percentile(took, 0.99) };
  });
}

async function throughput({ quick, say }) {
  const count = quick ? 20_000 : 60_000;
  say("JetStream alone");
  const nats = await NatsForBench.start();
  const limit = await jetStreamLimit(nats.url, nats.auth, count).finally(() => nats.stop());
  return withBroker(async (broker, client) => {
    const rate = async (what, jobs, submit) => {
      say(what);
      const started = performance.now();
      await submit();
      return jobs / ((performance.now() - started) / 1_000);
    };
    // The client and the broker learn their own code first: the first thousand jobs tell of compilers only.
    await inFlight(client, 64, 2_000);
    const at64 = await rate("64 submits in flight", count / 4, () => inFlight(client, 64, count / 4));
    const at1000 = await rate("1,000 submits in flight", count / 2, () => inFlight(client, 1_000, count / 2));
    const before = broker.cpu();
    const batches = await rate("batches of 500", count, () => inBatches(client, "noop", count, {}));
    const submitted = broker.cpu();
    const total = 2_000 + count / 4 + count / 2 + count;
    const worker = await BenchWorker.start(broker);
    const first = { at: performance.now(), ...broker.cpu(), worker: cpuSeconds(worker.pid) };
    for (;;) {
      const done = await broker.counter("drover_jobs_finished_total");
      say(`${done} of ${total} drained`);
      if (done >= total) break;
      await sleep(20);
    }
    const drain = total / ((performance.now() - first.at) / 1_000);
    const last = { ...broker.cpu(), worker: cpuSeconds(worker.pid) };
    await worker.stop();
    const perJob = (from, to, jobs) => ((to - from) / jobs) * 1e6;
    return {
      limit_jetstream_submit_per_s: limit,
      submit_inflight64_per_s: at64,
      submit_inflight1000_per_s: at1000,
      submit_batch500_per_s: batches,
      drain_per_s: drain,
      submit_batch500_of_limit: batches / limit,
      drain_of_limit: drain / limit,
      submit_broker_cpu_us: perJob(before.broker, submitted.broker, count),
      broker_cpu_us_per_job: perJob(first.broker, last.broker, total),
      nats_cpu_us_per_job: perJob(first.nats, last.nats, total),
      worker_cpu_us_per_job: perJob(first.worker, last.worker, total),
    };
  });
}

async function workerKilled({ say }) {
  return withBroker(async (broker, client) => {
    await inBatches(client, "pause", 1_000, {}, { ms: 50 });
    const first = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "10" });
    const finished = () => broker.counter("drover_jobs_finished_total");
    while ((await finished()) < 400) await sleep(10);
    say("killing the worker");
    const killed = performance.now();
    await first.kill();
    const second = await BenchWorker.start(broker, { BENCH_CONCURRENCY: "10" });
    while ((await finished()) < 1_000) await sleep(10);
    const took = (performance.now() - killed) / 1_000;
    await second.stop();
    return { worker_killed_done_s: took };
  });
}

async function memory({ quick, say }) {
  const each = quick ? 20_000 : 200_000;
  return withBroker(async (broker, client) => {
    await inBatches(client, "ready", each, {}, payload, (done) => say(`${done} of ${each} ready jobs`));
    const delay = 24 * 60 * 60 * 1_000;
    await inBatches(client, "later", each, { delay }, payload, (done) =>
      say(`${done} of ${each} delayed jobs`),
    );
    await sleep(2_000);
    return {
      broker_rss_mb: residentBytes(broker.pid) / 1e6,
      backlog_ready: each,
      backlog_delayed: each,
    };
  });
}

async function idle({ quick, say }) {
  const seconds = quick ? 10 : 60;
  return withBroker(async (broker, client) => {
    const workers = await Promise.all(
      Array.from({ length: 10 }, () =>
        BenchWorker.start(broker, { BENCH_TASKS: "50", BENCH_CONCURRENCY: "10" }),
      ),
    );
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => (await client.submit(`idle.${i}`)).result()),
    );
    await sleep(6_000);
    say(`watching an idle broker for ${seconds} s`);
    const before = cpuSeconds(broker.pid);
    await sleep(seconds * 1_000);
    const percent = ((cpuSeconds(broker.pid) - before) / seconds) * 100;
    await Promise.all(workers.map((worker) => worker.stop()));
    return { idle_broker_cpu_percent: percent };
  });
}

async function withBroker(work) {
  const broker = await BenchBroker.start();
  const client = new Client({ address: broker.address, timeout: 60_000 });
  try {
    return await work(broker, client);
  } finally {
    client.close();
    await broker.stop();
  }
}

async function inFlight(client, width, jobs) {
  let left = jobs;
  const submitter = async () => {
    while (left-- > 0) await client.submit("noop", payload);
  };
  await Promise.all(Array.from({ length: width }, submitter));
}

async function inBatches(client, task, jobs, options, body = payload, told = () => {}) {
  let left = jobs / 500;
  let done = 0;
  const submitter = async () => {
    while (left-- > 0) {
      const items = Array.from({ length: 500 }, () => ({ task, payload: body, ...options }));
      const failed = (await client.submitBatch(items)).find((result) => !result.ok);
      if (failed !== undefined) throw failed.error;
      done += 500;
      told(done);
    }
  };
  await Promise.all(Array.from({ length: 4 }, submitter));
}

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
