// The test fixture that is measured: says after how many ms its broker and worker are there and have done a first job.
import { Client } from "@drover/client";
import { defineTask } from "@drover/worker";
import { startDrover } from "@drover/worker/testing";

const noop = defineTask({ name: "noop", handler: () => null });
const began = performance.now();
const drover = await startDrover({ tasks: [noop] });
const client = new Client({ address: drover.address });
await (await client.submit(noop, {})).result({ timeout: 60_000 });
console.log(`ready ${performance.now() - began}`);
client.close();
await drover.stop();
