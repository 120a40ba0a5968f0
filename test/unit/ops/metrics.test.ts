import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { createMetrics, type MetricSources, type Metrics } from "../../../broker/src/ops/metrics.js";

const line = { task: "mail.send", queue: "default" };

const sources: MetricSources = {
  version: "1.2.3",
  ready: () => true,
  lanes: () => [{ key: { ...line, priority: 5 }, pending: 7 }],
  oldest: () => [
    { key: { ...line, priority: 5 }, seconds: 2.5 },
    { key: { ...line, priority: 9 }, seconds: 0 },
  ],
  running: () => Array.from({ length: 9 }, () => line),
  freeSlots: () => 4,
  counts: () => [
    { line, state: "scheduled", jobs: 6 },
    { line, state: "blocked", jobs: 1 },
    { line, state: "failed", jobs: 0 },
    { line: { task: "other", queue: "other" }, state: "failed", jobs: 2 },
  ],
  heldBack: () => [
    { key: { ...line, priority: 5 }, jobs: 3 },
    { key: { ...line, priority: 9 }, jobs: 1 },
  ],
  limits: () => [
    { limit: { kind: "queue", name: "default" }, tokens: 2, places: 8, running: 5 },
    { limit: { kind: "task", name: "mail.send" }, tokens: undefined, places: 3, running: 1 },
    { limit: { kind: "task", name: "mail.rated" }, tokens: 1, places: undefined, running: undefined },
  ],
  storage: () => ({
    used: 700,
    limit: 1_000,
    disk: { available: 300 },
    full: true,
    streams: [{ stream: "DROVER_default_0", messages: 12, bytes: 650, consumers: 3 }],
  }),
};

const metrics = () => createMetrics(sources);

const text = async (of: Metrics) => (await of.scrape()).body;

/** All that there is to tell, told once or more. */
function told(): Metrics {
  const counting = metrics();
  const { telemetry } = counting;
  telemetry.submitted(line);
  telemetry.submitted(line);
  telemetry.deduplicated(line);
  telemetry.started(line, 0.2);
  telemetry.finished(line, "failed", "TIME_LIMIT", 3);
  telemetry.finished(line, "cancelled", "", undefined);
  telemetry.retried(line);
  telemetry.leaseLost(line);
  telemetry.reissued(line, "moved");
  telemetry.refused("LEASE_LOST");
  telemetry.workers(3);
  telemetry.journalBatch(100, 0.004);
  telemetry.journalQueue(12);
  telemetry.journalConflict();
  telemetry.journalUnknown(5);
  telemetry.sweep("lane", 1_000);
  telemetry.rpc("JobService/Submit", 3, 0.001);
  telemetry.jetstream("STREAM.INFO", "unanswered", 5);
  telemetry.fired("misfire", 2, 1_790_000_000_000);
  telemetry.schedulesOverdue(4);
  telemetry.promoted(line, "alarm", 1);
  return counting;
}

test("what the use cases tell is counted by task and queue", async () => {
  const counting = told();
  const said = await text(counting);
  const labels = 'task="mail.send",queue="default"';
  for (const expected of [
    `drover_jobs_submitted_total{${labels}} 2`,
    `drover_jobs_deduplicated_total{${labels}} 1`,
    `drover_job_wait_seconds_count{${labels}} 1`,
    `drover_jobs_finished_total{${labels},outcome="failed",reason="TIME_LIMIT"} 1`,
    `drover_jobs_finished_total{${labels},outcome="cancelled",reason=""} 1`,
    `drover_job_run_seconds_sum{${labels}} 3`,
    `drover_jobs_retried_total{${labels}} 1`,
    `drover_leases_lost_total{${labels}} 1`,
    `drover_jobs_reissued_total{${labels},why="moved"} 1`,
    'drover_reports_refused_total{reason="LEASE_LOST"} 1',
    "drover_workers 3",
    `drover_jobs_running{${labels}} 9`,
    `drover_oldest_ready_age_seconds{${labels}} 2.5`,
    "drover_worker_free_slots 4",
    "drover_storage_used_bytes 700",
    "drover_storage_limit_bytes 1000",
    "drover_storage_disk_free_bytes 300",
    "drover_storage_full 1",
    'drover_stream_messages{stream="DROVER_default_0"} 12',
    'drover_stream_bytes{stream="DROVER_default_0"} 650',
    'drover_stream_consumers{stream="DROVER_default_0"} 3',
    "drover_journal_batch_changes_sum 100",
    "drover_journal_waiting_changes 12",
    "drover_journal_conflicts_total 1",
    "drover_journal_unknown_total 5",
    'drover_sweeps_total{kind="lane"} 1',
    'drover_swept_messages_total{kind="lane"} 1000',
    'drover_grpc_calls_total{method="JobService/Submit",code="INVALID_ARGUMENT"} 1',
    'drover_jetstream_requests_total{operation="STREAM.INFO",outcome="unanswered"} 1',
    'drover_jetstream_request_seconds_bucket{operation="STREAM.INFO",le="10"} 1',
    'drover_schedule_firings_total{outcome="misfire"} 2',
    'drover_schedule_firings_total{outcome="submitted"} 0',
    "drover_schedule_last_missed_timestamp_seconds 1790000000",
    "drover_schedules_overdue 4",
    `drover_lane_ready_jobs{${labels},priority="5"} 7`,
    `drover_jobs_scheduled{${labels}} 6`,
    `drover_jobs_failed{${labels}} 0`,
    'drover_jobs_failed{task="other",queue="other"} 2',
    `drover_jobs_held_back{${labels}} 4`,
    'drover_limit_tokens{queue="default"} 2',
    'drover_limit_places{queue="default"} 8',
    'drover_limit_places_taken{queue="default"} 5',
    'drover_limit_places{task="mail.send"} 3',
    "drover_broker_ready 1",
    'drover_build_info{version="1.2.3"} 1',
    "process_cpu_seconds_total",
  ]) {
    expect(said).toContain(expected);
  }
});

test("lanes of tasks beyond that bound are one lane for each priority: no series is there twice", async () => {
  const lanes = Array.from({ length: 2_010 }, (_, i) => ({
    key: { task: `t${i}`, queue: "q", priority: i % 2 },
    pending: 3,
  }));
  const said = await text(createMetrics({ ...sources, lanes: () => lanes, oldest: () => [] }));
  const other = 'drover_lane_ready_jobs{task="other",queue="other",priority';
  expect(said.split("\n").filter((row) => row.startsWith(other))).toEqual([
    `${other}="0"} 15`,
    `${other}="1"} 15`,
  ]);
});

test("tasks beyond a bound are counted together", async () => {
  const counting = metrics();
  for (let i = 0; i < 2_010; i++) counting.telemetry.submitted({ task: `t${i}`, queue: "q" });
  expect(await text(counting)).toContain('drover_jobs_submitted_total{task="other",queue="other"} 10');
});

test("deploy/prometheus/metrics.md names each metric, its type, its labels and what it is", async () => {
  const documented = readFileSync(
    fileURLToPath(new URL("../../../deploy/prometheus/metrics.md", import.meta.url)),
    "utf8",
  );
  const table = [...documented.matchAll(/^\| `(\w+)` +\| (\w+) +\| ([^|]*?) *\| (.*?) *\|$/gm)]
    .map(([, name, type, labels, what]) => ({ name, type, labels, what }))
    .sort(byName);
  expect(table).toEqual(described(await text(told())).sort(byName));
});

interface Named {
  name: string | undefined;
}
const byName = (a: Named, b: Named) => String(a.name).localeCompare(String(b.name));

function described(said: string) {
  return [...said.matchAll(/^# HELP (drover_\w+) (.*)$/gm)].map(([, name = "", what]) => {
    const type = new RegExp(`^# TYPE ${name} (\\w+)$`, "m").exec(said)?.[1];
    const rows = said.matchAll(new RegExp(`^${name}(?:_bucket)?\\{(.*)\\} `, "gm"));
    const labels = [...rows].flatMap(([, shown = ""]) =>
      [...shown.matchAll(/(\w+)="/g)].map(([, label]) => label),
    );
    return { name, type, labels: [...new Set(labels)].filter((label) => label !== "le").join(", "), what };
  });
}

test("every metric of ours is named and described alike", async () => {
  const said = await text(metrics());
  const helps = [...said.matchAll(/^# HELP (drover_\w+) (.*)$/gm)];
  expect(helps.length).toBeGreaterThan(20);
  for (const [, name, help] of helps) {
    expect(name).toMatch(/^drover_[a-z_]+$/);
    expect(help).toMatch(/^[A-Z1].*\.$/);
    if (said.includes(`# TYPE ${name} counter`)) expect(name).toMatch(/_total$/);
  }
});

test("scrapes that meet share one answer", () => {
  const { scrape } = metrics();
  expect(scrape()).toBe(scrape());
});

const trace = "0af7651916cd43dd8448eb211c80319c";
const sampled = `00-${trace}-b7ad6b7169203331-01`;
const openMetrics = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

test("OpenMetrics is spoken with those who ask for it: families without _total, an end, and no empty line", async () => {
  const counting = metrics();
  counting.telemetry.submitted(line);
  const { type, body } = await counting.scrape(openMetrics);
  expect(type).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
  expect(body).toContain("# TYPE drover_jobs_submitted counter\ndrover_jobs_submitted_total{");
  expect(body).toContain("# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total ");
  expect(body).not.toContain("\n\n");
  expect(body).toMatch(/\n# EOF\n$/);
  const plain = await counting.scrape("text/plain");
  expect(plain.type).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(plain.body).toContain("# TYPE drover_jobs_submitted_total counter\n");
  expect(plain.body).toContain("# TYPE process_cpu_seconds_total counter\n");
});

test("a bucket names the latest trace in it, to those who speak OpenMetrics", async () => {
  const counting = metrics();
  counting.telemetry.started(line, 0.02, `00-${"1".repeat(32)}-b7ad6b7169203331-01`);
  counting.telemetry.started(line, 0.02, sampled);
  counting.telemetry.finished(line, "succeeded", "", 4, sampled);
  const labels = 'task="mail.send",queue="default"';
  const exemplar = (value: string) => ` # \\{trace_id="${trace}"\\} ${value} \\d+\\.?\\d*\n`;
  const { body } = await counting.scrape(openMetrics);
  expect(body).toMatch(new RegExp(`job_wait_seconds_bucket{${labels},le="0.025"} 2${exemplar("0.02")}`));
  expect(body).toMatch(new RegExp(`job_run_seconds_bucket{${labels},le="5"} 1${exemplar("4")}`));
  expect(await text(counting)).not.toContain("trace_id");
});

test.each(["", "mine", `00-${"x".repeat(32)}-b7ad6b7169203331-01`, sampled.replace(/01$/, "00"), '"} 1\n'])(
  "%j is no trace that anybody keeps, and makes no exemplar",
  async (traceParent) => {
    const counting = metrics();
    counting.telemetry.started(line, 0.02, traceParent);
    expect((await counting.scrape(openMetrics)).body).not.toContain("trace_id");
  },
);

test("a trace that nobody keeps takes no exemplar's place", async () => {
  const counting = metrics();
  counting.telemetry.started(line, 0.02, sampled);
  counting.telemetry.started(line, 0.02, sampled.replace(/01$/, "00"));
  expect((await counting.scrape(openMetrics)).body).toContain(trace);
});

test("each scrape says what was counted since the one before, whatever the format of either", async () => {
  const counting = metrics();
  const labels = 'task="mail.send",queue="default"';
  for (const [i, accept] of [openMetrics, openMetrics, "text/plain", "text/plain"].entries()) {
    counting.telemetry.started(line, 1);
    const { body } = await counting.scrape(accept);
    expect(body).toContain(`drover_job_wait_seconds_bucket{${labels},le="1"} ${i + 1}`);
  }
});

test("a value at a bound is within its bucket, one above all bounds in the last", async () => {
  const counting = metrics();
  for (const waited of [0.005, 0.0051, 7_200, 7_201, -1]) counting.telemetry.started(line, waited);
  const said = await text(counting);
  const bucket = (le: string) =>
    new RegExp(`job_wait_seconds_bucket{.*,le="${le.replace("+", "\\+")}"} (\\d+)`).exec(said)?.[1];
  expect([bucket("0.005"), bucket("0.025"), bucket("7200"), bucket("+Inf")]).toEqual(["2", "3", "4", "5"]);
  expect(said).toContain('drover_job_wait_seconds_count{task="mail.send",queue="default"} 5');
});
