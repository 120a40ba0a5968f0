// Memory of broker and nats-server with jobs that wait, with delayed ones, and with finished ones. What nats-server has
// in use is read after a garbage collection: its resident memory tells as much of the collector as of jobs.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@drover/client";
import { inBatches, untilFinished } from "../load.mjs";
import { NatsForBench } from "../nats.mjs";
import { BenchBroker, BenchWorker, residentBytes } from "../processes.mjs";

const day = 24 * 60 * 60 * 1_000;

export const figures = {
  broker_rss_mb: {
    unit: "MB",
    below: 200,
    what: "broker memory with that many ready and delayed jobs, at rest",
  },
  broker_busy_rss_mb: { unit: "MB", what: "the same while they were being submitted, garbage included" },
  backlog_ready: { unit: "jobs", what: "ready jobs in the store meanwhile" },
  backlog_delayed: { unit: "jobs", what: "delayed jobs in the store meanwhile" },
  nats_rss_mb: { unit: "MB", what: "nats-server memory meanwhile, garbage included" },
  nats_bytes_per_ready: { unit: "B", what: "nats-server memory per ready job" },
  nats_bytes_per_delayed: { unit: "B", below: 1_000, what: "nats-server memory per delayed job" },
  nats_bytes_per_finished: { unit: "B", what: "nats-server memory per finished job, its record kept" },
  disk_bytes_per_ready: {
    unit: "B",
    what: "nats-server's files per ready job, 200 bytes of payload included",
  },
  disk_bytes_per_delayed: { unit: "B", what: "nats-server's files per delayed job, the same" },
  disk_bytes_per_finished: {
    unit: "B",
    what: "nats-server's files per finished job, as they grew by its run",
  },
};
export const rounds = 1;
export const seconds = { quick: 32, full: 95 };

export async function run({ quick, say }) {
  const each = quick ? 20_000 : 200_000;
  const nats = await NatsForBench.start();
  const broker = await BenchBroker.start({ DROVER_NATS_URL: nats.url });
  const client = new Client({ address: broker.address, timeout: 60_000 });
  try {
    const fill = async (what, options) => {
      const before = { memory: await nats.liveBytes(), disk: nats.diskBytes() };
      await inBatches(
        client,
        each,
        () => options,
        (done) => say(`${done} of ${each} ${what} jobs`),
      );
      return {
        memory: ((await nats.liveBytes()) - before.memory) / each,
        disk: (nats.diskBytes() - before.disk) / each,
      };
    };
    // What a server and a first thousand jobs take is not a job's.
    await inBatches(client, 1_000, () => ({ task: "ready" }));
    const ready = await fill("ready", { task: "noop" });
    const delayed = await fill("delayed", { task: "later", delay: day });
    const busy = residentBytes(broker.pid) / 1e6;
    say("waiting until the broker idles");
    await sleep(20_000);
    const resident = { broker: residentBytes(broker.pid) / 1e6, nats: residentBytes(nats.pid) / 1e6 };
    const withDelayed = { memory: await nats.liveBytes(), disk: nats.diskBytes() };
    const worker = await BenchWorker.start(broker);
    await untilFinished(broker, each, (done) => say(`${done} of ${each} finished`), 100);
    while ((await broker.swept("lane")) < each) await sleep(200);
    await worker.stop();
    const finished = (await nats.liveBytes()) - (withDelayed.memory - ready.memory * each);
    return {
      broker_rss_mb: resident.broker,
      broker_busy_rss_mb: busy,
      backlog_ready: each,
      backlog_delayed: each,
      nats_rss_mb: resident.nats,
      nats_bytes_per_ready: ready.memory,
      nats_bytes_per_delayed: delayed.memory,
      nats_bytes_per_finished: Math.max(0, finished) / each,
      disk_bytes_per_ready: ready.disk,
      disk_bytes_per_delayed: delayed.disk,
      disk_bytes_per_finished: (nats.diskBytes() - withDelayed.disk) / each + ready.disk,
    };
  } finally {
    client.close();
    await broker.stop();
    await nats.stop();
  }
}
