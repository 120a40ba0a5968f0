// Workers and brokers that are told to stop while they are busy: nothing is lost, nothing counts as a crash.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "@drover/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { isAlive } from "../support/child-processes.js";
import { Cluster } from "./cluster.js";
import { scrape } from "./counters.js";
import { FollowedJobs } from "./followed-jobs.js";
import { RunJournal } from "./run-journal.js";
import { until } from "./waiting.js";
import { WorkerProcess } from "./worker-process.js";

const minutes = 60_000;
const count = 3_000;
const some = 200;
const short = (n: number) => ({ does: "sleep", ms: n % 30 });
const each = (ids: readonly string[], value: number) => ids.map(() => value);

describe("under load", () => {
  let cluster: Cluster;
  let client: Client;

  beforeEach(async () => {
    cluster = await Cluster.start();
    client = cluster.client();
  });
  afterEach(() => cluster.stop());

  const underWay = () => until("the load is on", () => cluster.journal.read().done >= some, { every: 5 });

  test(
    "a worker told to stop finishes what it runs, gives back what it has not begun, and exits with 0",
    async () => {
      const [leaving] = [await cluster.worker({ prefetch: 50 }), await cluster.worker()];
      const jobs = await FollowedJobs.submit(cluster, client, count, short);
      await underWay();
      expect(await leaving.stop()).toBe(0);
      const runs = cluster.journal.read();
      expect(runs.open(new Set([leaving.pid]))).toEqual([]);

      const records = await jobs.succeeded();
      expect(records.map(({ crashes }) => crashes)).toEqual(each(jobs.ids, 0));
      expect(jobs.runs()).toEqual(each(jobs.ids, 1));
      expect(runs.afterTheEnd()).toEqual([]);
    },
    3 * minutes,
  );

  test(
    "a handler that outlasts the drain timeout has its job given back, without a crash",
    async () => {
      const leaving = await cluster.worker({ stall: true, drainTimeout: 300, concurrency: 20 });
      const jobs = await FollowedJobs.submit(cluster, client, 10, short);
      await until("all jobs run", () => cluster.journal.read().open(new Set([leaving.pid])).length === 10);
      expect(await leaving.stop()).toBe(0);
      await cluster.worker();
      const records = await jobs.succeeded();
      expect(records.map(({ crashes }) => crashes)).toEqual(each(jobs.ids, 0));
      expect(jobs.runs()).toEqual(each(jobs.ids, 2));
    },
    3 * minutes,
  );

  test(
    "the workers of a broker told to stop take their jobs to the other one",
    async () => {
      const leaving = cluster.broker(0);
      for (let n = 0; n < 3; n++) await cluster.worker({ prefetch: 5 });
      // Whichever broker they chose: at least one is to be attached to the one that leaves.
      if (cluster.attachedTo(leaving).length === 0) {
        await cluster.broker(1).kill();
        for (const worker of cluster.workers) await worker.attached(2);
        await cluster.broker(1).restart();
      }
      const moving = cluster.attachedTo(leaving).map((worker) => ({ worker, times: worker.attachments }));
      const jobs = await FollowedJobs.submit(cluster, client, count, short);
      await underWay();
      // Throws unless it exits with 0.
      await leaving.stop();
      for (const { worker, times } of moving) await worker.attached(times + 1);

      const records = await jobs.succeeded();
      expect(records.map(({ crashes }) => crashes)).toEqual(each(jobs.ids, 0));
      expect(jobs.runs()).toEqual(each(jobs.ids, 1));
      expect(cluster.journal.read().afterTheEnd()).toEqual([]);
      // It gave back what it had not handed out: nothing had to wait for JetStream to deliver it again.
      const reissued = await scrape(cluster.broker(1), 'why="redelivered"');
      expect(reissued.get("drover_jobs_reissued_total") ?? 0).toBe(0);
    },
    3 * minutes,
  );
});

describe("a broker with a nats-server of its own", () => {
  let broker: Broker;
  let worker: WorkerProcess | undefined;
  let client: Client;
  let journal: RunJournal;

  beforeEach(async () => {
    journal = new RunJournal();
    broker = await Broker.start({ dataDir: join(journal.dir, "data") });
    client = new Client({ address: broker.address });
  });
  afterEach(async () => {
    client.close();
    await worker?.kill();
    await broker.kill();
    journal.remove();
  });

  test(
    "takes it down with itself when told to stop under load, and finds everything again",
    async () => {
      worker = await WorkerProcess.start({ addresses: [broker.address], journal: journal.file });
      const items = Array.from({ length: count }, (_, n) => ({ task: "chaos.0", payload: short(n) }));
      const submitted = await client.submitBatch(items);
      await until("the load is on", () => journal.read().done >= some, { every: 5 });
      const child = childOf(broker.pid);
      // Throws unless it exits with 0. The data stays.
      await broker.stop();
      expect(isAlive(child)).toBe(false);

      await broker.restart();
      const ids = submitted.flatMap((item) => (item.ok ? [item.job.id] : []));
      expect(ids.length).toBe(count);
      const jobs = await until(
        "all jobs end",
        async () => {
          const seen = await Promise.all(ids.map((id) => client.job(id).status({ timeout: minutes })));
          return seen.every(({ finished }) => finished) && seen;
        },
        { within: 2 * minutes, every: 100 },
      );
      expect(jobs.filter(({ state }) => state !== "SUCCEEDED")).toEqual([]);
      expect(jobs.filter(({ crashes }) => crashes > 0)).toEqual([]);
      expect(ids.filter((id) => journal.read().of(id).length !== 1)).toEqual([]);
    },
    3 * minutes,
  );
});

/** The only child of a process: a broker's nats-server. */
function childOf(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  if (!child) throw new Error(`process ${pid} has no child`);
  return Number(child);
}
