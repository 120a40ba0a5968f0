// What people wait for: a broker that starts on a full store, a look at a job from the command line, pages of a long list.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Client } from "@drover/client";
import { root } from "../../support/paths.mjs";
import { inBatches, noops, percentile, withBroker } from "../load.mjs";
import { BenchBroker, Running } from "../processes.mjs";

const drover = join(root, "client-sdk/typescript/dist/cli/main.js");
const perPage = 100;
const pages = 200;

export const figures = {
  list_jobs: { unit: "jobs", what: "jobs stored while their list was read" },
  list_page_p50_ms: { unit: "ms", below: 100, what: `a page of ${perPage} of the list of all jobs, median` },
  list_page_p99_ms: { unit: "ms", what: "the same, 99th percentile" },
  list_deep_page_p50_ms: { unit: "ms", below: 100, what: "pages from the middle of the list on, median" },
  status_cold_ms: { unit: "ms", below: 400, what: "`drover status ID` as a process, median of nine" },
  start_jobs: { unit: "jobs", what: "jobs stored when the broker was started" },
  start_ready_ms: {
    unit: "ms",
    below: 2_000,
    what: "from starting the broker's process, with its nats-server, to ready",
  },
};
export const rounds = 1;
export const seconds = { quick: 25, full: 200 };

export async function run({ quick, say }) {
  const result = {};
  const stored = quick ? 20_000 : 100_000;
  const listed = quick ? 40_000 : 1_000_000;
  await withBroker(async (broker, client) => {
    await inBatches(client, stored, noops, (done) => say(`${done} of ${stored} jobs`));
    // In good order, its data kept.
    await Running.prototype.stop.call(broker);
    say("starting a broker on them");
    const started = performance.now();
    const again = await BenchBroker.start({ DROVER_DATA_DIR: broker.data });
    result.start_jobs = stored;
    result.start_ready_ms = performance.now() - started;
    const reader = new Client({ address: again.address, timeout: 60_000 });
    try {
      await inBatches(reader, listed - stored, noops, (done) => say(`${stored + done} of ${listed} jobs`));
      const { id } = (await reader.listPage({ pageSize: 1 })).jobs[0];
      result.status_cold_ms = percentile(
        Array.from({ length: 9 }, () => statusOf(again.address, id)),
        0.5,
      );
      result.list_jobs = listed;
      say("reading pages");
      const first = [];
      let pageToken = await readPages(reader, undefined, pages, first);
      result.list_page_p50_ms = percentile(first, 0.5);
      result.list_page_p99_ms = percentile(first, 0.99);
      pageToken = await readPages(reader, pageToken, Math.floor(listed / 2 / 1_000), [], 1_000);
      const deep = [];
      await readPages(reader, pageToken, pages, deep);
      result.list_deep_page_p50_ms = percentile(deep, 0.5);
    } finally {
      reader.close();
      await again.stop();
    }
  });
  return result;
}

/** ms. */
function statusOf(address, id) {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [drover, "--address", address, "status", id]);
  if (status !== 0) throw new Error(`drover status ended with ${status}: ${stderr}`);
  return performance.now() - started;
}

/** Reads so many pages on; notes how long each took, ms. Returns where the next one begins. */
async function readPages(client, from, count, took, pageSize = perPage) {
  let pageToken = from;
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    const page = await client.listPage({ pageSize, ...(pageToken !== undefined && { pageToken }) });
    took.push(performance.now() - started);
    pageToken = page.nextPageToken;
    if (pageToken === undefined) break;
  }
  return pageToken;
}
