// How fast jobs are taken in and how fast one worker process gets through them, each beside what JetStream alone and gRPC
// alone do in the same minute on the same machine.
import { setTimeout as sleep } from "node:timers/promises";
import { grpcLimit } from "../grpc-limit.mjs";
import { jetStreamLimit } from "../jetstream-limit.mjs";
import { cpu, cpuPerJob, inBatches, inFlight, noops, rate, untilFinished, withBroker } from "../load.mjs";
import { BenchWorker } from "../processes.mjs";

const rates = (what, more = {}) => ({ unit: "/s", what, ...more });
const cost = (what) => ({ unit: "us", what });

export const figures = {
  limit_jetstream_submit_per_s: rates("JetStream alone: submits in batches of 1,000, two in flight"),
  limit_jetstream_drain_per_s: rates("JetStream alone: pull, outcome, ack, sweep"),
  limit_grpc_inflight1000_per_s: rates("gRPC and the SDK alone, 1,000 submits in flight"),
  limit_grpc_batch500_per_s: rates("gRPC and the SDK alone, batches of 500"),
  submit_inflight1_per_s: rates("single submits, one at a time"),
  submit_inflight64_per_s: rates("single submits, 64 in flight", { above: 10_000 }),
  submit_inflight1000_per_s: rates("single submits, 1,000 in flight", {
    above: 35_000,
    of: "limit_jetstream_submit_per_s",
  }),
  submit_batch500_per_s: rates("submits in batches of 500, 4 in flight", {
    above: 50_000,
    of: "limit_jetstream_submit_per_s",
  }),
  drain_per_s: rates("run and reported by one worker process, acks settled and lanes swept", {
    above: 16_000,
    of: "limit_jetstream_drain_per_s",
  }),
  submit_broker_cpu_us: cost("broker CPU per job submitted in batches of 500"),
  submit_nats_cpu_us: cost("nats-server CPU per job submitted in batches of 500"),
  submit_client_cpu_us: cost("client CPU per job submitted in batches of 500"),
  broker_cpu_us_per_job: cost("broker CPU per job drained"),
  nats_cpu_us_per_job: cost("nats-server CPU per job drained"),
  worker_cpu_us_per_job: cost("worker CPU per job drained"),
};
export const seconds = { quick: 15, full: 30 };

export async function run({ quick, say }) {
  const count = quick ? 20_000 : 60_000;
  say("JetStream alone");
  const jetStream = await jetStreamLimit(count);
  say("gRPC alone");
  const grpc = await grpcLimit(count);
  return withBroker(async (broker, client) => {
    // Client and broker learn their own code first: the first thousand jobs tell of compilers only.
    await inFlight(client, 64, 3_000);
    say("one submit at a time");
    const single = await rate(500, () => inFlight(client, 1, 500));
    say("64 submits in flight");
    const at64 = await rate(count / 4, () => inFlight(client, 64, count / 4));
    say("1,000 submits in flight");
    await inFlight(client, 1_000, 5_000);
    const at1000 = await rate(count / 2, () => inFlight(client, 1_000, count / 2));
    say("batches of 500");
    const before = cpu(broker);
    const batches = await rate(count, () => inBatches(client, count, noops));
    const submits = cpuPerJob(before, cpu(broker), count);
    const total = 3_000 + 500 + count / 4 + 5_000 + count / 2 + count;
    const drained = await drain(broker, total, say);
    return {
      ...jetStream,
      ...grpc,
      submit_inflight1_per_s: single,
      submit_inflight64_per_s: at64,
      submit_inflight1000_per_s: at1000,
      submit_batch500_per_s: batches,
      submit_broker_cpu_us: submits.broker,
      submit_nats_cpu_us: submits.nats,
      submit_client_cpu_us: submits.client,
      ...drained,
    };
  });
}

/** From the worker's first lease until all outcomes are stored, all tickets acked and all lanes swept. */
async function drain(broker, total, say) {
  const worker = await BenchWorker.start(broker);
  const before = cpu(broker, worker);
  const perSecond = await rate(total, async () => {
    await untilFinished(broker, total, (done) => say(`${done} of ${total} drained`), 250);
    while ((await broker.swept("lane")) < total) await sleep(50);
  });
  const costs = cpuPerJob(before, cpu(broker, worker), total);
  await worker.stop();
  return {
    drain_per_s: perSecond,
    broker_cpu_us_per_job: costs.broker,
    nats_cpu_us_per_job: costs.nats,
    worker_cpu_us_per_job: costs.worker,
  };
}
