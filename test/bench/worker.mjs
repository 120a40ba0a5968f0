// The worker that is measured: `noop` returns at once, `pause` after the payload's ms, `late` notes how long after the
// payload's time it began. Asked by its parent for `samples`, it sends what was noted since it was asked last.
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "@drover/worker";

const quiet = { debug() {}, info() {}, warn() {}, error: console.error };
const worker = new Worker({
  concurrency: Number(process.env.BENCH_CONCURRENCY ?? 1_000),
  logger: quiet,
  ...(process.env.BENCH_QUEUES === undefined ? {} : { queues: process.env.BENCH_QUEUES.split(",") }),
});
let samples = [];
worker.task("noop", () => null);
worker.task("pause", async ({ ms }) => {
  await sleep(ms);
  return null;
});
worker.task("late", ({ at }) => {
  samples.push(performance.timeOrigin + performance.now() - at);
  return null;
});
for (let i = 0; i < Number(process.env.BENCH_TASKS ?? 0); i++) worker.task(`lane.${i}`, () => null);
process.on("message", () => {
  process.send(samples);
  samples = [];
});
await worker.start();
console.log("attached");
const stop = () => worker.stop().then(() => process.exit(0));
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
process.on("disconnect", () => process.exit(0));
