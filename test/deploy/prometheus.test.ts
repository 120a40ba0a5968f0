// What Prometheus makes of the broker: a real one scrapes a broker that does known work, and answers with what was done.
// The alerts are tried by promtool: what each fires on, and what it stays silent on.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { freePort } from "../support/nats.js";
import { type Message, Stranger } from "../support/stranger.js";
import { until } from "../support/until.js";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const tools = join(root, ".drover/tools/bin");
const promtool = join(tools, "promtool");
const patience = 60_000;
/** No lease ends by itself, however slow the machine is. */
const lasting = { leaseDuration: { seconds: 600 } };

test.each([
  ["check", "rules", "alerts.yaml"],
  ["test", "rules", "alerts.test.yaml"],
])("promtool %s %s %s", async (...args) => {
  await exec(promtool, args, { cwd: join(root, "deploy/prometheus") });
});

describe("a broker that Prometheus scrapes", () => {
  let broker: Broker;
  let stranger: Stranger;
  let server: ChildProcess;
  let url: string;
  const dir = mkdtempSync(join(tmpdir(), "drover-prometheus-"));

  beforeAll(async () => {
    broker = await Broker.start();
    stranger = new Stranger(broker.address);
    await load();
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const target = `127.0.0.1:${broker.httpPort}`;
    const scrape = { job_name: "drover", scrape_interval: "1s", static_configs: [{ targets: [target] }] };
    // JSON is YAML.
    writeFileSync(join(dir, "prometheus.yml"), JSON.stringify({ scrape_configs: [scrape] }));
    server = spawn(
      join(tools, "prometheus"),
      [
        `--config.file=${join(dir, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(dir, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: "ignore" },
    );
    await until(
      "Prometheus to scrape",
      async () => (await ask("up").catch((): number[] => [])).includes(1),
      patience,
    );
  }, 120_000);

  afterAll(async () => {
    if (server?.exitCode === null) {
      server.kill();
      await once(server, "exit");
    }
    stranger?.close();
    await broker?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Of `mail`: 7 stored, one of them twice, 5 begun: 3 succeed, 1 fails for good, 1 runs; 2 wait. */
  async function load(): Promise<void> {
    for (let i = 0; i < 7; i++)
      await stranger.call("JobService/Submit", { job: { task: "mail", key: `k${i}` } });
    await stranger.call("JobService/Submit", { job: { task: "mail", key: "k0" } });
    const leases: Message[] = [];
    while (leases.length < 5) {
      const asked = {
        worker: "w",
        tasks: ["mail"],
        maxJobs: 5 - leases.length,
        wait: { seconds: 10 },
        ...lasting,
      };
      leases.push(...((await stranger.call("WorkerService/Lease", asked)).leases as Message[]));
    }
    const failure = { reason: "FAILURE_REASON_PERMANENT", message: "broken" };
    const outcomes = leases
      .slice(0, 4)
      .map(({ token }, i) => (i < 3 ? { token, success: {} } : { token, failure }));
    await stranger.call("WorkerService/Ack", { outcomes });
  }

  /** The values of an instant query. */
  async function ask(query: string): Promise<number[]> {
    const answer = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } };
    return data.result.map(({ value }) => Number(value[1]));
  }

  const mail = 'task="mail",queue="default"';
  test.each([
    [`drover_jobs_submitted_total{${mail}}`, 7],
    [`drover_jobs_deduplicated_total{${mail}}`, 1],
    [`drover_job_wait_seconds_count{${mail}}`, 5],
    [`drover_job_run_seconds_count{${mail}}`, 4],
    [`drover_jobs_finished_total{${mail},outcome="succeeded"}`, 3],
    [`sum(drover_jobs_finished_total{${mail},outcome="failed"})`, 1],
    [`drover_jobs_running{${mail}}`, 1],
    [`sum(drover_lane_ready_jobs{${mail}})`, 2],
    ['drover_grpc_calls_total{method="JobService/Submit",code="OK"}', 8],
    ["drover_broker_ready", 1],
    ["drover_storage_full", 0],
    ["drover_storage_used_bytes > bool 0", 1],
    ["drover_storage_used_bytes < bool drover_storage_limit_bytes", 1],
  ])("%s is %d", async (query, value) => {
    await until(`${query} to be ${value}`, async () => (await ask(query)).join() === String(value));
  });

  test("the age of the oldest ready job grows as it waits, and is 0 once all are handed out", async () => {
    const age = `drover_oldest_ready_age_seconds{${mail}}`;
    await until("an age", async () => ((await ask(age))[0] ?? 0) > 0, patience);
    const [first = 0] = await ask(age);
    await until("it to grow", async () => ((await ask(age))[0] ?? 0) > first + 1, patience);
    const { leases } = await stranger.call("WorkerService/Lease", {
      worker: "w",
      tasks: ["mail"],
      maxJobs: 2,
    });
    expect(leases).toHaveLength(2);
    await until("it to be 0", async () => (await ask(age)).join() === "0", patience);
  });

  test("promtool finds nothing to say about the metrics", async () => {
    const scraped = await (await fetch(`${broker.httpUrl}/metrics`)).text();
    const checking = exec(promtool, ["check", "metrics"]);
    checking.child.stdin?.end(scraped);
    expect(await checking).toMatchObject({ stdout: "", stderr: "" });
  });
});
