// The Grafana dashboard, as code: what is shown stands here, and `npm run dashboard` writes drover.json from it, which
// Grafana is provisioned with. test/deploy/dashboard.test.ts holds the file against this, and runs every query against a
// Prometheus that scraped a broker under a known load.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = fileURLToPath(new URL("drover.json", import.meta.url));
/** Grafana fills it in, as everything that begins with a dollar. */
const datasource = { type: "prometheus", uid: "$datasource" };
const width = 24;

/** What the variables at the top narrow down to. */
const broker = 'instance=~"$instance"';
const line = `${broker},task=~"$task",queue=~"$queue"`;

const per = (labels, rated) => `sum by (${labels}) (${rated})`;
const rate = (metric, where = broker) => `rate(${metric}{${where}}[$__rate_interval])`;
const quantile = (share, metric, labels = "", where = broker) =>
  `histogram_quantile(${share}, sum by (le${labels}) (${rate(`${metric}_bucket`, where)}))`;
/** Brokers that look at the same store see the same: the highest of them, not their sum. */
const seen = (labels, metric, where = line) => `max by (${labels}) (${metric}{${where}})`;

/** `queries`: legend -> query. */
const graph = (title, unit, description, queries, more = {}) => ({
  kind: "timeseries",
  title,
  unit,
  description,
  queries,
  ...more,
});
const stat = (title, unit, description, query, more = {}) => ({
  kind: "stat",
  title,
  unit,
  description,
  queries: { [title]: query },
  width: 4,
  height: 4,
  ...more,
});
const bad = (above) => ({
  thresholds: [
    ["green", null],
    ["red", above],
  ],
});

export const rows = {
  Overview: [
    stat("Brokers that serve", "none", "Brokers that say they can.", `sum(drover_broker_ready{${broker}})`, {
      thresholds: [
        ["red", null],
        ["green", 1],
      ],
    }),
    stat("Workers", "none", "With a session.", `sum(drover_workers{${broker}})`),
    stat("Finished", "ops", "Jobs that ended, a second.", `sum(${rate("drover_jobs_finished_total")})`),
    stat(
      "Oldest ready job",
      "s",
      "For how long it waits. `drover explain` says why.",
      `max(drover_oldest_ready_age_seconds{${broker}})`,
      bad(600),
    ),
    stat(
      "Dead letters",
      "none",
      "Failed jobs that are kept. `drover list --state failed`",
      `sum(${seen("task, queue", "drover_jobs_failed", broker)})`,
      bad(1),
    ),
    stat(
      "Storage used",
      "percentunit",
      "From 90 % on submits are refused.",
      `max(drover_storage_used_bytes{${broker}} / drover_storage_limit_bytes{${broker}})`,
      bad(0.8),
    ),
    graph("Jobs in and out", "ops", "A second, over all tasks and queues.", {
      submitted: `sum(${rate("drover_jobs_submitted_total")})`,
      started: `sum(${rate("drover_job_wait_seconds_count")})`,
      finished: `sum(${rate("drover_jobs_finished_total")})`,
    }),
    graph("Jobs now", "none", "By state.", {
      ready: `sum(${seen("task, queue, priority", "drover_lane_ready_jobs", broker)})`,
      running: `sum(drover_jobs_running{${broker}})`,
      scheduled: `sum(${seen("task, queue", "drover_jobs_scheduled", broker)})`,
      blocked: `sum(${seen("task, queue", "drover_jobs_blocked", broker)})`,
    }),
  ],
  "Queues and tasks": [
    graph("Submitted", "ops", "A second.", {
      "{{task}} in {{queue}}": per("task, queue", rate("drover_jobs_submitted_total", line)),
    }),
    graph("Finished by outcome", "ops", "A second.", {
      "{{task}} {{outcome}} {{reason}}": per(
        "task, outcome, reason",
        rate("drover_jobs_finished_total", line),
      ),
    }),
    graph("Ready jobs", "none", "Jobs that wait for a worker.", {
      "{{task}} in {{queue}}": `sum by (task, queue) (${seen("task, queue, priority", "drover_lane_ready_jobs")})`,
    }),
    graph("Age of the oldest ready job", "s", "0 = none waits.", {
      "{{task}} in {{queue}}": seen("task, queue", "drover_oldest_ready_age_seconds"),
    }),
    graph("Wait", "s", "From being due to the begin of an attempt.", {
      "p50 {{task}}": quantile(0.5, "drover_job_wait_seconds", ", task", line),
      "p95 {{task}}": quantile(0.95, "drover_job_wait_seconds", ", task", line),
    }),
    graph("Run", "s", "Length of a job's last attempt.", {
      "p50 {{task}}": quantile(0.5, "drover_job_run_seconds", ", task", line),
      "p95 {{task}}": quantile(0.95, "drover_job_run_seconds", ", task", line),
    }),
    graph("Share that fails for good", "percentunit", "Of the jobs that ended.", {
      "{{task}}":
        `sum by (task) (${rate("drover_jobs_finished_total", `${line},outcome="failed"`)}) / ` +
        `sum by (task) (${rate("drover_jobs_finished_total", line)})`,
    }),
    graph("Dead letters", "none", "Failed jobs that are kept.", {
      "{{task}} in {{queue}}": seen("task, queue", "drover_jobs_failed"),
    }),
    graph("Scheduled and blocked", "none", "Jobs that wait for their time, and for others.", {
      "{{task}} scheduled": `sum by (task) (${seen("task, queue", "drover_jobs_scheduled")})`,
      "{{task}} blocked": `sum by (task) (${seen("task, queue", "drover_jobs_blocked")})`,
    }),
    graph(
      "Retries and repeats",
      "ops",
      "A second: failed attempts that are followed by another; submits of a known key.",
      {
        "{{task}} retried": per("task", rate("drover_jobs_retried_total", line)),
        "{{task}} deduplicated": per("task", rate("drover_jobs_deduplicated_total", line)),
      },
    ),
    graph("Held back by limits", "none", "Ready jobs that a worker would take, were it not for a limit.", {
      "{{task}} in {{queue}}": seen("task, queue", "drover_jobs_held_back"),
    }),
    graph("Limits", "none", "Starts that a rate allows now; places of a limit, and how many are taken.", {
      "{{queue}}{{task}} tokens": `min by (queue, task) (drover_limit_tokens{${broker}})`,
      "{{queue}}{{task}} places": `max by (queue, task) (drover_limit_places{${broker}})`,
      "{{queue}}{{task}} taken": `sum by (queue, task) (drover_limit_places_taken{${broker}})`,
    }),
    graph(
      "Firings of schedules",
      "none",
      "Planned times in the time shown by a point, by what became of them.",
      {
        "{{outcome}}": `sum by (outcome) (increase(drover_schedule_firings_total{${broker}}[$__rate_interval]))`,
      },
    ),
    graph("Overdue schedules", "none", "Their time passed over 30 s ago, and nobody dealt with it.", {
      overdue: `max(drover_schedules_overdue{${broker}})`,
    }),
  ],
  Workers: [
    graph("Sessions", "none", "Workers on each broker.", { "{{instance}}": `drover_workers{${broker}}` }),
    graph("Slots", "none", "Jobs that run, and that workers could take besides.", {
      running: `sum(drover_jobs_running{${broker}})`,
      free: `sum(drover_worker_free_slots{${broker}})`,
    }),
    graph("Running jobs", "none", "Leases, by task.", {
      "{{task}}": `sum by (task) (drover_jobs_running{${line}})`,
    }),
    graph("Lost leases", "ops", "Attempts that ended without a report, a second.", {
      "{{task}}": per("task", rate("drover_leases_lost_total", line)),
    }),
    graph("Refused reports", "ops", "Of workers that had been given up, mostly; a second.", {
      "{{reason}}": per("reason", rate("drover_reports_refused_total")),
    }),
    graph("Tickets written anew", "ops", "Because they reached no worker; a second.", {
      "{{why}}": per("why", rate("drover_jobs_reissued_total", line)),
    }),
  ],
  "Broker internals": [
    graph("Calls", "ops", "gRPC calls that ended, a second.", {
      "{{method}}": per("method", rate("drover_grpc_calls_total")),
    }),
    graph("Calls that failed", "ops", "By code, a second.", {
      "{{method}} {{code}}": per("method, code", rate("drover_grpc_calls_total", `${broker},code!="OK"`)),
    }),
    graph("Length of calls", "s", "p99; sessions and long polls last.", {
      "{{method}}": quantile(0.99, "drover_grpc_call_seconds", ", method"),
    }),
    graph("Journal: time of a write", "s", "From sending a write to its answer.", {
      p50: quantile(0.5, "drover_journal_write_seconds"),
      p99: quantile(0.99, "drover_journal_write_seconds"),
    }),
    graph("Journal: changes in a write", "none", "The mean, and what waits to be sent.", {
      "in a write": `sum(${rate("drover_journal_batch_changes_sum")}) / sum(${rate("drover_journal_batch_changes_count")})`,
      waiting: `sum(drover_journal_waiting_changes{${broker}})`,
    }),
    graph("Journal: conflicts and unknown ends", "ops", "A second.", {
      conflicts: `sum(${rate("drover_journal_conflicts_total")})`,
      unknown: `sum(${rate("drover_journal_unknown_total")})`,
    }),
    graph("Sweeps", "ops", "Messages removed, a second.", {
      "{{kind}}": per("kind", rate("drover_swept_messages_total")),
    }),
    graph("Delays: how late", "s", "p99, from a delay's time to its job being ready.", {
      "by the {{by}}": quantile(0.99, "drover_due_late_seconds", ", by"),
    }),
    graph("Event loop", "s", "Lag, p99 of Node.js's own look.", {
      "{{instance}}": `nodejs_eventloop_lag_p99_seconds{${broker}}`,
    }),
    graph("CPU", "percentunit", "Share of a core.", { "{{instance}}": rate("process_cpu_seconds_total") }),
    graph("Memory", "bytes", "Resident.", { "{{instance}}": `process_resident_memory_bytes{${broker}}` }),
    graph("Versions", "none", "Brokers of each.", {
      "{{version}}": `count by (version) (drover_build_info{${broker}})`,
    }),
  ],
  JetStream: [
    graph("Requests", "ops", "A second, without the journal's writes.", {
      "{{operation}}": per("operation", rate("drover_jetstream_requests_total")),
    }),
    graph("Requests that failed", "ops", "A second.", {
      "{{operation}} {{outcome}}": per(
        "operation, outcome",
        rate("drover_jetstream_requests_total", `${broker},outcome!="ok"`),
      ),
    }),
    graph("Time of a request", "s", "p99.", {
      "{{operation}}": quantile(0.99, "drover_jetstream_request_seconds", ", operation"),
    }),
    graph("Storage", "bytes", "What is stored, the most that may be, and the disk of an embedded server.", {
      used: `max(drover_storage_used_bytes{${broker}})`,
      limit: `min(drover_storage_limit_bytes{${broker}})`,
      "free on disk": `min(drover_storage_disk_free_bytes{${broker}})`,
    }),
    graph("Messages", "none", "By stream.", {
      "{{stream}}": seen("stream", "drover_stream_messages", broker),
    }),
    graph("Size", "bytes", "By stream.", { "{{stream}}": seen("stream", "drover_stream_bytes", broker) }),
    graph("Consumers", "none", "By stream: its lanes, and a few more.", {
      "{{stream}}": seen("stream", "drover_stream_consumers", broker),
    }),
    stat(
      "Submits refused",
      "none",
      "1 while they are for want of space.",
      `max(drover_storage_full{${broker}})`,
      {
        ...bad(1),
        width: 8,
        height: 8,
      },
    ),
  ],
};

const variable = (name, label) => ({
  name,
  label: name,
  type: "query",
  datasource,
  query: { query: `label_values(${label}, ${name})`, refId: name },
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: ".*",
  current: { selected: true, text: "All", value: "$__all" },
});

const letters = "ABCDEFGH";

function panelOf({ kind, title, description, unit, queries, thresholds }, id, gridPos) {
  const steps = (thresholds ?? [["green", null]]).map(([color, value]) => ({ color, value }));
  const shown = kind === "stat" ? { colorMode: thresholds === undefined ? "none" : "value" } : {};
  return {
    id,
    type: kind,
    title,
    description,
    datasource,
    gridPos,
    fieldConfig: { defaults: { unit, min: 0, thresholds: { mode: "absolute", steps } }, overrides: [] },
    options:
      kind === "stat"
        ? {
            ...shown,
            graphMode: "area",
            reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
          }
        : { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
    targets: Object.entries(queries).map(([legendFormat, expr], i) => ({
      refId: letters[i],
      datasource,
      expr,
      legendFormat,
      exemplar: kind === "timeseries" && expr.includes("histogram_quantile"),
    })),
  };
}

export function dashboard() {
  const panels = [];
  let y = 0;
  for (const [title, row] of Object.entries(rows)) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: width, h: 1 },
    });
    y += 1;
    let x = 0;
    let tallest = 0;
    for (const panel of row) {
      const { width: w = 8, height: h = 8 } = panel;
      if (x + w > width) {
        x = 0;
        y += tallest;
        tallest = 0;
      }
      panels.push(panelOf(panel, panels.length + 1, { x, y, w, h }));
      x += w;
      tallest = Math.max(tallest, h);
    }
    y += tallest;
  }
  return {
    uid: "drover",
    title: "Drover",
    tags: ["drover"],
    timezone: "browser",
    schemaVersion: 39,
    editable: false,
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    templating: {
      list: [
        { name: "datasource", label: "data source", type: "datasource", query: "prometheus", current: {} },
        variable("instance", "drover_build_info"),
        variable("queue", "drover_lane_ready_jobs"),
        variable("task", "drover_lane_ready_jobs"),
      ],
    },
    annotations: { list: [] },
    panels,
  };
}

export const text = () => `${JSON.stringify(dashboard(), undefined, 2)}\n`;

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(file, text());
