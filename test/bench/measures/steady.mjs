// Submit and drain together, for minutes: what is left when everything that is put off has to be paid for, sweeps and
// retention included. The client submits as fast as it may while the backlog stays small. Records stay at least ten
// minutes by age, so the queue is told to keep a number of them: most of the run is lived through with old ones going.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@drover/client";
import { Queue } from "@drover/proto/storage";
import { connect } from "nats";
import { cpu, cpuPerJob, finished, inBatches, noops } from "../load.mjs";
import { NatsForBench } from "../nats.mjs";
import { BenchBroker, BenchWorker, diskBytes, residentBytes } from "../processes.mjs";

const backlog = 20_000;
const chunk = 2_000;
const windows = 10;
/** Records kept: those of a minute at 12,000 jobs/s; in a short run fewer, so that a third of it fills them even at a
 *  quarter of that speed. */
const mostKept = 12_000 * 60;
const keptPerMs = 1;

export const figures = {
  steady_per_s: {
    unit: "/s",
    above: 12_000,
    of: "limit_jetstream_drain_per_s",
    what: "submit and drain together",
  },
  steady_last_of_first: { unit: "", what: "speed of the last third as a share of the first third's" },
  steady_broker_cpu_us: { unit: "us", what: "broker CPU per job, submit and drain" },
  steady_nats_cpu_us: { unit: "us", what: "nats-server CPU per job, submit and drain" },
  steady_broker_rss_mb: { unit: "MB", what: "broker memory at the end" },
  steady_broker_rss_growth_mb: { unit: "MB", what: "grown since a third of the time" },
  steady_nats_rss_mb: { unit: "MB", what: "nats-server memory at the end" },
  steady_nats_rss_growth_mb: { unit: "MB", what: "grown since a third of the time" },
  steady_disk_mb: { unit: "MB", what: "disk at the end" },
  steady_disk_growth_mb: { unit: "MB", what: "grown since a third of the time" },
};
export const rounds = 1;
export const seconds = ({ quick, steadySeconds }) => 6 + (steadySeconds ?? (quick ? 10 : 60));

export async function run({ quick, steadySeconds, say, note }) {
  const length = (steadySeconds ?? (quick ? 10 : 60)) * 1_000;
  const nats = await NatsForBench.start();
  const broker = await BenchBroker.start({ DROVER_NATS_URL: nats.url });
  broker.natsPid = nats.pid;
  const client = new Client({ address: broker.address, timeout: 60_000 });
  try {
    await keep(nats, Math.min(mostKept, length * keptPerMs));
    const worker = await BenchWorker.start(broker);
    const state = { over: false, submitted: 0, done: 0 };
    const submitting = submit(client, state);
    // Told when it is awaited; until then something else may fail first.
    submitting.catch(() => undefined);
    await sleep(3_000);
    const looks = [await look(broker, nats, worker, state)];
    for (let i = 1; i <= windows; i++) {
      const until = performance.now() + length / windows;
      while (performance.now() < until) {
        await sleep(Math.min(100, Math.max(1, until - performance.now())));
        state.done = await finished(broker);
      }
      looks.push(await look(broker, nats, worker, state));
      const last = between(looks.at(-2), looks.at(-1));
      const [memory, disk] = [Math.round(last.nats), Math.round(last.disk)];
      const line = `${Math.round(last.perSecond)}/s, nats-server ${memory} MB, disk ${disk} MB`;
      say(`${Math.round((i * length) / windows / 1_000)} s: ${line}`);
      note(line);
    }
    state.over = true;
    await submitting;
    await worker.stop();
    return figuresOf(looks);
  } finally {
    client.close();
    await broker.stop();
    await nats.stop();
  }
}

/** How many records of succeeded jobs the queue keeps: its settings, where brokers read them. */
async function keep(nats, keepSucceededCount) {
  const nc = await connect({ servers: nats.url });
  const settings = Queue.encode(Queue.fromPartial({ name: "default", keepSucceededCount })).finish();
  const answer = (await nc.request("drover.default.0.queue.default", settings)).json();
  await nc.close();
  if (answer.error !== undefined) throw new Error(answer.error.description);
}

async function submit(client, state) {
  const submitter = async () => {
    while (!state.over) {
      if (state.submitted - state.done > backlog) {
        await sleep(5);
        continue;
      }
      state.submitted += chunk;
      await inBatches(client, chunk, noops);
    }
  };
  await Promise.all([submitter(), submitter()]);
}

async function look(broker, nats, worker, state) {
  state.done = await finished(broker);
  return {
    at: performance.now(),
    done: state.done,
    cpu: cpu(broker, worker),
    broker: residentBytes(broker.pid) / 1e6,
    nats: residentBytes(nats.pid) / 1e6,
    disk: diskBytes(nats.dir) / 1e6,
  };
}

function between(from, to) {
  return { ...to, perSecond: (to.done - from.done) / ((to.at - from.at) / 1_000) };
}

function figuresOf(looks) {
  const third = looks[Math.floor(looks.length / 3)];
  const [first, last] = [looks[0], looks.at(-1)];
  const costs = cpuPerJob(first.cpu, last.cpu, last.done - first.done);
  return {
    steady_per_s: between(first, last).perSecond,
    steady_last_of_first:
      between(looks.at(-1 - Math.floor(looks.length / 3)), last).perSecond / between(first, third).perSecond,
    steady_broker_cpu_us: costs.broker,
    steady_nats_cpu_us: costs.nats,
    steady_broker_rss_mb: last.broker,
    steady_broker_rss_growth_mb: last.broker - third.broker,
    steady_nats_rss_mb: last.nats,
    steady_nats_rss_growth_mb: last.nats - third.nats,
    steady_disk_mb: last.disk,
    steady_disk_growth_mb: last.disk - third.disk,
  };
}
