import { expect, test } from "vitest";
import { createMetrics } from "../../../broker/src/ops/metrics.js";

const line = { task: "mail.send", queue: "default" };

function metrics() {
  return createMetrics({
    version: "1.2.3",
    ready: () => true,
    lanes: () => [{ key: { ...line, priority: 5 }, pending: 7 }],
    oldest: () => [
      { key: { ...line, priority: 5 }, seconds: 2.5 },
      { key: { ...line, priority: 9 }, seconds: 0 },
    ],
    running: () => Array.from({ length: 9 }, () => line),
    freeSlots: () => 4,
    storage: () => ({
      used: 700,
      limit: 1_000,
      disk: { available: 300 },
      full: true,
      streams: [{ stream: "DROVER_default_0", messages: 12, bytes: 650, consumers: 3 }],
    }),
  });
}

test("what the use cases tell is counted by task and queue", async () => {
  const { telemetry, text } = metrics();
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
  const said = await text();
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
    `drover_lane_ready_jobs{${labels},priority="5"} 7`,
    "drover_broker_ready 1",
    'drover_build_info{version="1.2.3"} 1',
    "process_cpu_seconds_total",
  ]) {
    expect(said).toContain(expected);
  }
});

test("tasks beyond a bound are counted together", async () => {
  const { telemetry, text } = metrics();
  for (let i = 0; i < 2_010; i++) telemetry.submitted({ task: `t${i}`, queue: "q" });
  expect(await text()).toContain('drover_jobs_submitted_total{task="other",queue="other"} 10');
});

test("every metric of ours is named and described alike", async () => {
  const said = await metrics().text();
  const helps = [...said.matchAll(/^# HELP (drover_\w+) (.*)$/gm)];
  expect(helps.length).toBeGreaterThan(20);
  for (const [, name, help] of helps) {
    expect(name).toMatch(/^drover_[a-z_]+$/);
    expect(help).toMatch(/^[A-Z1].*\.$/);
    if (said.includes(`# TYPE ${name} counter`)) expect(name).toMatch(/_total$/);
  }
});

test("scrapes that meet share one answer", () => {
  const { text } = metrics();
  expect(text()).toBe(text());
});
