// BullMQ: one client and one worker process with a concurrency of 64, jobs and results kept (its default). Started with
// `work`, this file is that worker.
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { payload, percentile, rate } from "../load.mjs";
import { Running } from "../processes.mjs";

const queueName = "bench";
const perBulk = 500;

export async function measureBullMq({ port, scratch, quick, say }) {
  const { Queue, QueueEvents } = libraryIn(scratch);
  const connection = { host: "127.0.0.1", port };
  const queue = new Queue(queueName, { connection });
  const events = new QueueEvents(queueName, { connection });
  const count = quick ? 10_000 : 40_000;
  const add = () => queue.add("noop", payload);
  const inFlight = async (width, jobs) => {
    let left = jobs;
    const submitter = async () => {
      while (left-- > 0) await add();
    };
    await Promise.all(Array.from({ length: width }, submitter));
  };
  const inBulk = async (jobs) => {
    let left = jobs / perBulk;
    const bulk = Array.from({ length: perBulk }, () => ({ name: "noop", data: payload }));
    const submitter = async () => {
      while (left-- > 0) await queue.addBulk(bulk);
    };
    await Promise.all(Array.from({ length: 4 }, submitter));
  };
  try {
    await inFlight(64, 2_000);
    say("submits");
    const single = await rate(500, () => inFlight(1, 500));
    const at64 = await rate(count, () => inFlight(64, count));
    const at1000 = await rate(count, () => inFlight(1_000, count));
    const bulk = await rate(count, () => inBulk(count));
    const total = 2_500 + 3 * count;
    say(`draining ${total}`);
    const worker = new Running(process.execPath, [fileURLToPath(import.meta.url), "work"], {
      PEER_PORT: String(port),
      PEER_SCRATCH: scratch,
      PEER_JOBS: String(total),
    });
    const drain = Number((await worker.says("per second", 600_000)).split(" ")[2]);
    say("round trips");
    await events.waitUntilReady();
    const trips = [];
    for (let i = -50; i < (quick ? 200 : 500); i++) {
      const started = performance.now();
      await (await add()).waitUntilFinished(events);
      if (i >= 0) trips.push(performance.now() - started);
    }
    await worker.stop();
    return {
      submit_inflight1_per_s: single,
      submit_inflight64_per_s: at64,
      submit_inflight1000_per_s: at1000,
      submit_bulk_per_s: bulk,
      drain_per_s: drain,
      roundtrip_p50_ms: percentile(trips, 0.5),
      roundtrip_p99_ms: percentile(trips, 0.99),
    };
  } finally {
    await events.close();
    await queue.close();
  }
}

function libraryIn(scratch) {
  return createRequire(join(scratch, "package.json"))("bullmq");
}

/** Says how many jobs a second it got through once it had so many. */
async function work() {
  const { Worker } = libraryIn(process.env.PEER_SCRATCH);
  const connection = { host: "127.0.0.1", port: Number(process.env.PEER_PORT) };
  const jobs = Number(process.env.PEER_JOBS);
  let done = 0;
  let first = 0;
  const worker = new Worker(queueName, async () => null, { connection, concurrency: 64 });
  worker.on("completed", () => {
    done += 1;
    if (done === 1) first = performance.now();
    if (done === jobs) console.log(`per second ${(jobs - 1) / ((performance.now() - first) / 1_000)}`);
  });
  process.on("SIGTERM", () => worker.close(true).then(() => process.exit(0)));
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === "work") await work();
