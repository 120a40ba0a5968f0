// Processes that stand still for longer than anybody waits for them, and then go on as if nothing had been.

import type { Client } from "@drover/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Cluster } from "./cluster.js";
import { FollowedJobs } from "./followed-jobs.js";
import { ticketsOut } from "./job-records.js";
import { until } from "./waiting.js";

const minutes = 60_000;
const count = 10;

let cluster: Cluster;
let client: Client;

beforeEach(async () => {
  // Shorter than by default, so that the test is.
  cluster = await Cluster.start({ env: { DROVER_SESSION_TIMEOUT: "5s" } });
});
afterEach(() => cluster.stop());

const runs = () => cluster.journal.read();

describe("a frozen worker loses its leases, and has no say when it goes on", () => {
  test.each([
    ["after its jobs have ended elsewhere", 1_000, (jobs: FollowedJobs) => jobs.succeeded()],
    ["while its jobs run elsewhere", 12_000, () => runningIn(1)],
  ])(
    "%s",
    async (_when, ms, wakeUp) => {
      client = cluster.client();
      const frozen = await cluster.worker();
      const jobs = await FollowedJobs.submit(cluster, client, count, () => ({ does: "sleep", ms }));
      await runningIn(0);
      frozen.signal("SIGSTOP");
      const second = await cluster.worker();
      await wakeUp(jobs);

      frozen.signal("SIGCONT");
      // It sees that its session is gone, and attaches again without the leases.
      await frozen.attached(2);
      expect(frozen.attachedTo?.held).toBe(0);
      await until("its handlers end", () => runs().open(new Set([frozen.pid])).length === 0);
      const records = await jobs.succeeded();
      expect(records.map(({ outcome, crashes }) => ({ outcome, crashes }))).toEqual(
        jobs.ids.map(() => ({ outcome: `success of attempt 2 by ${second.pid}`, crashes: 1 })),
      );
      expect(runs().settlements.filter(({ pid }) => pid === frozen.pid)).toEqual([]);
      expect(runs().afterTheEnd()).toEqual([]);

      const further = await FollowedJobs.submit(cluster, client, count, () => ({ does: "nothing" }));
      await further.succeeded();
    },
    3 * minutes,
  );

  function runningIn(n: number): Promise<unknown> {
    const running = () => runs().open(new Set(cluster.workers.slice(n, n + 1).map(({ pid }) => pid)));
    return until("all jobs run", () => running().length === count);
  }
});

describe("a frozen broker", () => {
  test(
    "loses its workers to the other one, and disturbs nothing when it goes on",
    async () => {
      const [frozen, other] = [cluster.broker(0), cluster.broker(1)];
      client = cluster.client([other.address]);
      const worker = await cluster.worker({ addresses: [frozen.address] });
      const mobile = await cluster.worker({ concurrency: count });
      if (cluster.attachedTo(frozen).length < 2) {
        await other.kill();
        await mobile.attached(2);
        await other.restart();
      }
      const times = mobile.attachments;
      const long = await FollowedJobs.submit(cluster, client, 2 * count, () => ({
        does: "sleep",
        ms: 8_000,
      }));
      await until("all jobs run", () => runs().open(cluster.pids).length === 2 * count);
      const ofMobile = runs().open(new Set([mobile.pid]));
      process.kill(frozen.pid, "SIGSTOP");
      // Its open requests take some of these, which come back when they have waited for their ack long enough.
      const during = await FollowedJobs.submit(cluster, client, count, () => ({ does: "nothing" }));
      await mobile.attached(times + 1);
      expect(mobile.attachedTo?.address).toBe(other.address);
      const records = await during.succeeded();
      expect(records.map(({ crashes }) => crashes)).toEqual(during.ids.map(() => 0));
      await cluster.worker({ addresses: [other.address] });

      process.kill(frozen.pid, "SIGCONT");
      await long.succeeded();
      await until("every ticket is acked", async () => (await ticketsOut(cluster.nats.url)) === 0, {
        every: 200,
        within: 2 * minutes,
      });
      expect(runs().afterTheEnd()).toEqual([]);
      // What had a worker that could take it to the other broker ran once.
      expect(ofMobile.filter(({ job }) => runs().of(job).length !== 1)).toEqual([]);
      expect(await during.records()).toEqual(records);

      const further = cluster.client([frozen.address]);
      await (await FollowedJobs.submit(cluster, further, count, () => ({ does: "nothing" }))).succeeded();
      expect(worker.running).toBe(true);
    },
    4 * minutes,
  );
});
