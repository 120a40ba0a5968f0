// A worker in TypeScript, to try the compose file with.
import { Worker } from "@drover/worker";

const worker = new Worker();
worker.task("hello.node", ({ name }) => `Hello, ${name}!`);
await worker.run();
