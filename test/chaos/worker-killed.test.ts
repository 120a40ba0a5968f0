import { afterEach, beforeEach, expect, test } from "vitest";
import { Cluster } from "./cluster.js";
import { scrape } from "./counters.js";
import { recordsOf } from "./job-records.js";
import { until } from "./waiting.js";

const minutes = 60_000;
const jobs = 1_000;
const killAfter = 400;
const concurrency = 10;

let cluster: Cluster;

beforeEach(async () => {
  cluster = await Cluster.start({ brokers: 1 });
});
afterEach(() => cluster.stop());

test(
  "a killed worker's jobs are run by the next one within seconds, not when their tickets time out",
  async () => {
    const first = await cluster.worker({ concurrency });
    const client = cluster.client();
    const submitted = await client.submitBatch(
      Array.from({ length: jobs }, (_, n) => ({
        task: "chaos.0",
        payload: { does: "sleep", ms: 50 },
        key: `job-${n}`,
      })),
    );
    expect(submitted.filter(({ ok }) => !ok)).toEqual([]);
    // Its ten slots go in step, so there are moments when all of them wait: the kill is to hit runs, and so finds the
    // worker standing still.
    const running = () => cluster.journal.read().open(new Set([first.pid])).length;
    await until(
      `${killAfter} jobs are done and others run`,
      () => {
        if (cluster.journal.read().done < killAfter) return false;
        first.signal("SIGSTOP");
        if (running() > 0) return true;
        first.signal("SIGCONT");
        return false;
      },
      { every: 5 },
    );

    const killedAt = performance.now();
    const dead = first.kill();
    const inFlight = cluster.journal.read().open(new Set([first.pid]));
    await dead;
    const second = cluster.spawnWorker({ concurrency });
    const ids = submitted.flatMap((item) => (item.ok ? [item.job.id] : []));
    await until("all jobs are done", () => cluster.journal.read().done >= jobs, { within: minutes });
    const recovery = performance.now() - killedAt;
    await until("all jobs have succeeded", async () => {
      const states = await Promise.all(ids.map((id) => client.job(id).status()));
      return states.every(({ state }) => state === "SUCCEEDED");
    });
    console.log(
      `worker killed with ${inFlight.length} jobs in flight, all done ${Math.round(recovery)} ms later`,
    );

    expect(inFlight.length).toBeGreaterThan(0);
    const runs = cluster.journal.read();
    expect(runs.afterTheEnd()).toEqual([]);
    const lost = new Set(inFlight.map(({ job }) => job));
    const records = await recordsOf(cluster.nats.url);
    const crashed = ids.filter((id) => records.get(id)?.[0]?.crashes === 1);
    // What it was running, and what was on its way to it: no more than it had credit for.
    expect(crashed).toEqual(expect.arrayContaining([...lost].filter((id) => !hadEnded(id))));
    expect(crashed.length).toBeLessThanOrEqual(concurrency);
    // Nothing had to wait for JetStream to deliver it again.
    const redelivered = await scrape(cluster.broker(0), 'why="redelivered"');
    expect(redelivered.get("drover_jobs_reissued_total") ?? 0).toBe(0);
    expect((await scrape(cluster.broker(0))).get("drover_leases_lost_total") ?? 0).toBe(crashed.length);
    expect(second.running).toBe(true);

    /** Its report had come through after all. */
    function hadEnded(id: string): boolean {
      return records.get(id)?.[0]?.outcome.endsWith(` by ${first.pid}`) === true;
    }
  },
  3 * minutes,
);
