// What Prometheus makes of the broker: a real one scrapes a broker that does known work, and answers with what was done,
// also to every query of the Grafana dashboard. The alerts are tried by promtool: what each fires on, and what it stays
// silent on.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Dashboard, text } from "../../deploy/grafana/dashboard.mjs";
import { Broker } from "../support/broker.js";
import { Prometheus, promtool } from "../support/prometheus.js";
import { Stranger } from "../support/stranger.js";
import { until } from "../support/until.js";
import { expectations, missing, window } from "./dashboard-values.js";
import { KnownLoad, traceId } from "./known-load.js";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const patience = 60_000;

test.each([
  ["check", "rules", "alerts.yaml"],
  ["test", "rules", "alerts.test.yaml"],
])("promtool %s %s %s", async (...args) => {
  await exec(promtool, args, { cwd: join(root, "deploy/prometheus") });
});

const file = readFileSync(join(root, "deploy/grafana/drover.json"), "utf8");
const dashboard = JSON.parse(file) as Dashboard;
const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, legendFormat }) => ({ name: `${title} / ${legendFormat}`, expr, legendFormat })),
);

describe("the dashboard", () => {
  test("is what its code makes of it: npm run dashboard", () => {
    expect(file).toBe(text());
  });

  test("has something that each of its queries is held against, and nothing besides", () => {
    expect(queries.map(({ name }) => name).sort()).toEqual(Object.keys(expectations).sort());
  });
});

describe("a broker that Prometheus scrapes", () => {
  let broker: Broker;
  let stranger: Stranger;
  let prometheus: Prometheus;
  let load: KnownLoad;

  beforeAll(async () => {
    broker = await Broker.start();
    stranger = new Stranger(broker.address);
    load = new KnownLoad(stranger);
    await load.round();
    await load.hold();
    await load.fire("first");
    // From here on what is counted is an increase.
    prometheus = await Prometheus.start(`127.0.0.1:${broker.httpPort}`);
    await load.round();
    await load.fire("second");
  }, 180_000);

  afterAll(async () => {
    await prometheus?.stop();
    await broker?.stop();
    await load?.end();
    stranger?.close();
  });

  const mail = 'task="mail",queue="default"';
  test.each([
    [`drover_jobs_submitted_total{${mail}}`, 14],
    [`drover_jobs_deduplicated_total{${mail}}`, 2],
    [`drover_job_wait_seconds_count{${mail}}`, 11],
    [`drover_job_run_seconds_count{${mail}}`, 8],
    [`drover_jobs_finished_total{${mail},outcome="succeeded"}`, 6],
    [`drover_jobs_finished_total{${mail},outcome="failed",reason="PERMANENT"}`, 2],
    [`drover_jobs_retried_total{${mail}}`, 2],
    ['drover_leases_lost_total{task="crash"}', 2],
    ["sum(drover_reports_refused_total)", 2],
    [`drover_jobs_running{${mail}}`, 1],
    [`sum(drover_lane_ready_jobs{${mail}})`, 3],
    [`drover_jobs_scheduled{${mail}}`, 2],
    [`drover_jobs_failed{${mail}}`, 2],
    ['drover_jobs_blocked{task="step"}', 2],
    ['drover_jobs_blocked{task="mail"}', 0],
    ['drover_jobs_held_back{task="report",queue="slow"}', 2],
    ['drover_limit_tokens{queue="slow"}', 0],
    ['drover_limit_places{queue="slow"}', 4],
    ['drover_limit_places_taken{queue="slow"}', 1],
    ['drover_schedule_firings_total{outcome="submitted"}', 8],
    ['drover_schedule_firings_total{outcome="misfire"}', 0],
    ["drover_schedule_last_missed_timestamp_seconds", 0],
    ["drover_schedules_overdue", 0],
    ['drover_grpc_calls_total{method="JobService/Submit",code="OK"}', 21],
    ['drover_grpc_calls_total{method="JobService/Submit",code="INVALID_ARGUMENT"}', 2],
    ['drover_jetstream_requests_total{operation="DIRECT.GET",outcome="ok"} > bool 0', 1],
    ["drover_broker_ready", 1],
    ["drover_storage_full", 0],
    ["drover_storage_used_bytes > bool 0", 1],
    ["drover_storage_used_bytes < bool drover_storage_limit_bytes", 1],
  ])("%s is %d", async (query, value) => {
    const said = async () => (await prometheus.values(query)).join();
    await until(`${query} to be ${value}`, async () => (await said()) === String(value), patience).catch(
      async () => expect(await said()).toBe(String(value)),
    );
  });

  test("a bucket's exemplar names a trace that a job was submitted with", async () => {
    const query = "drover_job_wait_seconds_bucket";
    const found = await until(
      "an exemplar",
      async () => {
        const all = await prometheus.exemplars(query);
        return all.length > 0 && all;
      },
      patience,
    );
    expect(found).toContainEqual({ trace_id: traceId });
  });

  test.each(queries)("the dashboard shows $name as it is", async ({ name, expr, legendFormat }) => {
    const expected = expectations[name];
    if (expected === undefined) throw new Error(`nothing is expected of ${name}`);
    const query = expr.replaceAll(/\$(instance|task|queue)\b/g, ".*").replaceAll("$__rate_interval", window);
    const unmet = async () => {
      const samples = await prometheus.ask(query);
      const shown = samples.map(({ labels, value }): [string, number] => [
        legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? ""),
        value,
      ]);
      return missing(expected, new Map(shown));
    };
    await until(name, async () => (await unmet()).length === 0, patience).catch(async () =>
      expect(await unmet()).toEqual([]),
    );
  });

  test("the age of the oldest ready job grows as it waits, and is 0 once all are handed out", async () => {
    const age = `drover_oldest_ready_age_seconds{${mail}}`;
    const now = async () => (await prometheus.values(age))[0] ?? 0;
    await until("an age", async () => (await now()) > 0, patience);
    const first = await now();
    await until("it to grow", async () => (await now()) > first + 1, patience);
    const { leases } = await stranger.call("WorkerService/Lease", {
      worker: "w",
      tasks: ["mail"],
      maxJobs: 3,
      leaseDuration: { seconds: 600 },
    });
    expect(leases).toHaveLength(3);
    await until("it to be 0", async () => (await prometheus.values(age)).join() === "0", patience);
  });

  // How they are written for those who ask for OpenMetrics, the server itself has judged by now.
  test("promtool finds nothing to say about the metrics", async () => {
    const scraped = await (await fetch(`${broker.httpUrl}/metrics`)).text();
    const checking = exec(promtool, ["check", "metrics"]);
    checking.child.stdin?.end(scraped);
    expect(await checking).toMatchObject({ stdout: "", stderr: "" });
  });
});
