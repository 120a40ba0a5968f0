// A worker in TypeScript (written as plain JavaScript, so that Node runs it as it stands): cuts documents into parts and
// submits what is to be done with each part.
//
//     DROVER_ADDRESS=localhost:50051 node split.mjs
import { Client } from "@drover/client";
import { defineTask, Worker } from "@drover/worker";

const client = new Client(); // as the worker: DROVER_ADDRESS, else 127.0.0.1:50051
const partLength = 1_500;

/** Parts of whole lines. Joined again they are the text. */
function partsOf(text) {
  const parts = [""];
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    if (parts.at(-1).length + line.length > partLength && parts.at(-1) !== "") parts.push("");
    parts[parts.length - 1] += line;
  }
  return parts;
}

const split = defineTask({
  name: "text.split",
  handler: async ({ document, text, tasks }, context) => {
    const parts = partsOf(text);
    const [, key] = context.jobId.split("~");
    const jobs = parts.flatMap((part, number) =>
      tasks.map((task) => ({
        task,
        payload: { document, number, text: part },
        // A name of its own for each: should this job run twice, the second run finds the jobs of the first.
        key: `${key}.${number}`,
      })),
    );
    const submitted = await client.submitBatch(jobs);
    const refused = submitted.find(({ ok }) => !ok);
    if (refused) throw refused.error;
    return { parts: parts.length, jobs: submitted.map(({ job }) => job.id) };
  },
});

const worker = new Worker({ tasks: [split], name: process.env.WORKER_NAME, onStop: () => client.close() });
await worker.run();
