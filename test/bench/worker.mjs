// The worker that is measured: `noop` returns at once, `pause` after the payload's ms.
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "@drover/worker";

const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
const worker = new Worker({
  concurrency: Number(process.env.BENCH_CONCURRENCY ?? 1_000),
  logger: quiet,
});
worker.task("noop", () => null);
worker.task("pause", async ({ ms }) => {
  await sleep(ms);
  return null;
});
for (let i = 0; i < Number(process.env.BENCH_TASKS ?? 0); i++) worker.task(`idle.${i}`, () => null);
await worker.start();
console.log("attached");
const stop = () => worker.stop().then(() => process.exit(0));
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
