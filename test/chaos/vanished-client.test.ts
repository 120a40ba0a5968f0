// Clients and workers whose connection is cut in the middle of something.

import type { Client } from "@drover/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Stranger } from "../support/stranger.js";
import { Cluster } from "./cluster.js";
import { scrape } from "./counters.js";
import { FollowedJobs } from "./followed-jobs.js";
import { SeverableLink } from "./severable-link.js";
import { until } from "./waiting.js";

const minutes = 60_000;
const count = 10;

let cluster: Cluster;
let link: SeverableLink;
let client: Client;

beforeEach(async () => {
  // Longer than by default: a machine that stands still for a second is not to cost a worker its leases.
  cluster = await Cluster.start({ env: { DROVER_SESSION_GRACE: "5s" } });
  link = await SeverableLink.to(cluster.broker(0).grpcPort);
  client = cluster.client([link.address]);
});
afterEach(async () => {
  await cluster.stop();
  await link.close();
});

const batches = 8;
const size = 300;

/** Sends a batch, and cuts the connection when it is time; the SDK sends it again. The ids of its jobs. */
async function sendBatch(n: number, timeToCut?: () => boolean | Promise<boolean>): Promise<string[]> {
  const items = Array.from({ length: size }, (_, i) => ({
    task: "chaos.0",
    payload: { does: "nothing" },
    key: `job-${n}-${i}`,
  }));
  link.up = 0;
  const answered = client.submitBatch(items, { timeout: minutes });
  if (timeToCut !== undefined) {
    await until("it is time to cut", timeToCut, { every: 1 });
    link.cut();
  }
  return (await answered).map((result) => {
    if (!result.ok) throw result.error;
    return result.job.id;
  });
}

test.each([
  ["while it is sent", false],
  ["after it was stored, before its answer comes", true],
])(
  "a batch whose connection is cut %s is stored once",
  async (_when, stored) => {
    const all = await sendBatch(0);
    const bytes = link.up;
    for (let n = 1; n < batches; n++) {
      link.muted = stored;
      const ids = await sendBatch(n, async () =>
        stored ? (await submitted()) >= (n + 1) * size : link.up >= (n / batches) * bytes,
      );
      all.push(...ids);
    }
    expect(new Set(all).size).toBe(batches * size);
    expect(await submitted()).toBe(batches * size);

    await cluster.worker();
    const listed = await until("all jobs succeed", async () => {
      const ids: string[] = [];
      for await (const { id } of client.list({ state: "SUCCEEDED", pageSize: 1_000 })) ids.push(id);
      return ids.length >= all.length && ids;
    });
    expect(listed.toSorted()).toEqual(all.toSorted());
    expect(all.filter((id) => cluster.journal.read().of(id).length !== 1)).toEqual([]);
  },
  3 * minutes,
);

async function submitted(): Promise<number> {
  return (await scrape(cluster.broker(0))).get("drover_jobs_submitted_total") ?? 0;
}

test("the broker is rid of watches and waits whose client is gone", async () => {
  const stranger = new Stranger(link.address);
  const jobs = await FollowedJobs.submit(cluster, client, count, () => ({ does: "nothing" }));
  const told = jobs.ids.map(
    (id) =>
      new Promise((resolve) => {
        const stream = stranger.stream("JobService/Watch", { id });
        stream.on("data", resolve);
        stream.on("error", () => undefined);
      }),
  );
  const waits = jobs.ids.map((id) =>
    stranger.call("JobService/Wait", { ids: [id], timeout: { seconds: 60 } }, { deadline: 60_000 }),
  );
  const refused = Promise.allSettled(waits);
  await Promise.all(told);
  // By then the waits have arrived, too: they went before it over the same connection.
  await stranger.call("JobService/Status", { id: jobs.ids[0] });
  const ended = async (method: string) =>
    (await scrape(cluster.broker(0), `method="JobService/${method}"`)).get("drover_grpc_calls_total") ?? 0;
  expect(await ended("Watch")).toBe(0);
  link.cut();
  stranger.close();
  await until("the watches end", async () => (await ended("Watch")) === count);
  await until("the waits end", async () => (await ended("Wait")) === count);
  await refused;

  // Their jobs are none the worse for it.
  await cluster.worker();
  await jobs.succeeded();
  expect(jobs.runs()).toEqual(jobs.ids.map(() => 1));
});

test("a worker whose connection is cut comes back in time and keeps its leases", async () => {
  const worker = await cluster.worker({ addresses: [link.address] });
  const jobs = await FollowedJobs.submit(cluster, client, count, () => ({ does: "sleep", ms: 3_000 }));
  await until("all jobs run", () => cluster.journal.read().open(cluster.pids).length === count);
  link.cut();
  await worker.attached(2);
  expect(worker.attachedTo?.held).toBe(count);
  const records = await jobs.succeeded();
  expect(records.map(({ attempts, crashes }) => ({ attempts, crashes }))).toEqual(
    jobs.ids.map(() => ({ attempts: 1, crashes: 0 })),
  );
  expect(jobs.runs()).toEqual(jobs.ids.map(() => 1));
});

test("a worker that is cut off from its broker takes its leases to another one, and the first lets go", async () => {
  const addresses = [link.address, cluster.broker(1).address];
  const worker = await until("a worker attaches to the broker behind the link", async () => {
    const some = await cluster.worker({ addresses, concurrency: 2 * count });
    if (some.attachedTo?.address === link.address) return some;
    await some.kill();
    return undefined;
  });
  // Longer than the first broker waits for it to come back.
  const jobs = await FollowedJobs.submit(cluster, client, count, () => ({ does: "sleep", ms: 10_000 }));
  await until("all jobs run", () => cluster.journal.read().open(cluster.pids).length === count);
  await link.close();
  await worker.attached(2);
  expect(worker.attachedTo).toEqual({ address: cluster.broker(1).address, held: count });

  const elsewhere = cluster.client([cluster.broker(1).address]);
  const records = await jobs.succeeded(elsewhere);
  expect(records.map(({ attempts, crashes }) => ({ attempts, crashes }))).toEqual(
    jobs.ids.map(() => ({ attempts: 1, crashes: 0 })),
  );
  expect(jobs.runs()).toEqual(jobs.ids.map(() => 1));
  await cluster.counters.look(cluster.broker(0));
  expect(cluster.counters.sum("drover_leases_lost_total")).toBe(0);
});
