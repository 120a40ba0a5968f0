// A worker in TypeScript with room for one job at a time: a press that prints whatever is most urgent.
//
//     DROVER_ADDRESS=localhost:50051 node press.mjs
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "@drover/worker";

const worker = new Worker({ queues: ["press"], concurrency: 1, name: process.env.WORKER_NAME });
let printed = 0;

worker.task("press.print", async ({ title, milliseconds = 20 }, context) => {
  const number = ++printed;
  context.logger.info({ title, number }, "printing");
  await sleep(milliseconds, undefined, { signal: context.signal });
  return { title, number };
});

await worker.run();
