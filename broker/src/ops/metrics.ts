// Every metric of the broker, in one list. Labels are bounded: tasks and queues by `mostLines`, all others by what they
// are.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { LaneKey } from "../app/ports.js";
import type { Line, Telemetry } from "../app/telemetry.js";

/** What is looked up at each scrape. */
export interface MetricSources {
  version: string;
  ready(): boolean;
  /** Jobs that wait, by lane. */
  lanes(): Iterable<{ key: LaneKey; pending: number }>;
  /** For how many seconds the oldest of them has been waiting, by lane; 0 where none waits. */
  oldest(): Iterable<{ key: LaneKey; seconds: number }>;
  /** The leases this broker holds, one entry each. */
  running(): Iterable<Line>;
  /** Jobs that its workers could take now. */
  freeSlots(): number;
  /** As last polled. Undefined before that. */
  storage(): StorageLook | undefined;
}

/** Bytes and counts. */
export interface StorageLook {
  used: number;
  /** Undefined: none is known. */
  limit: number | undefined;
  disk: { available: number } | undefined;
  /** Submits are refused for want of space. */
  full: boolean;
  streams: readonly { stream: string; messages: number; bytes: number; consumers: number }[];
}

export interface Metrics {
  telemetry: Telemetry;
  contentType: string;
  /** In the text format of Prometheus. */
  text(): Promise<string>;
}

const line = ["task", "queue"] as const;
const waits = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200];
const latencies = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
const batches = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000];

function list(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name: `drover_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name: `drover_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly L[] = [],
  ) => new Histogram({ name: `drover_${name}`, help, buckets, labelNames, registers });

  return {
    submitted: counter("jobs_submitted_total", "Jobs stored.", line),
    deduplicated: counter("jobs_deduplicated_total", "Submits that met a job of the same key.", line),
    finished: counter("jobs_finished_total", "Jobs that ended.", [...line, "outcome", "reason"]),
    retried: counter("jobs_retried_total", "Failed attempts that are followed by another.", line),
    promoted: histogram(
      "due_late_seconds",
      "From a delay's due time to its job being made ready: by the broker in bulk, or by the store's alarm.",
      latencies,
      ["by"],
    ),
    leasesLost: counter("leases_lost_total", "Attempts that ended without a report.", line),
    reissued: counter("jobs_reissued_total", "Tickets written anew because they reached no worker.", [
      ...line,
      "why",
    ]),
    refused: counter("reports_refused_total", "Reports of workers that were refused.", ["reason"]),
    waited: histogram("job_wait_seconds", "From being due to the begin of an attempt.", waits, line),
    ran: histogram("job_run_seconds", "Length of a job's last attempt.", waits, line),
    workers: gauge("workers", "Workers with a session on this broker."),
    freeSlots: gauge("worker_free_slots", "Jobs that this broker's workers could take now."),
    running: gauge("jobs_running", "Leases this broker holds for its workers.", line),
    oldest: gauge(
      "oldest_ready_age_seconds",
      "For how long the oldest ready job waits; 0 = none does.",
      line,
    ),
    storageUsed: gauge("storage_used_bytes", "What JetStream stores for the account."),
    storageLimit: gauge("storage_limit_bytes", "The most it may store; infinite when no limit is known."),
    storageFree: gauge("storage_disk_free_bytes", "Free on an embedded server's disk; NaN for any other."),
    storageFull: gauge("storage_full", "1 while submits are refused for want of space, else 0."),
    streamMessages: gauge("stream_messages", "Messages in a stream of the namespace.", ["stream"]),
    streamBytes: gauge("stream_bytes", "Size of a stream of the namespace.", ["stream"]),
    streamConsumers: gauge("stream_consumers", "Consumers of a stream: its lanes, and a few more.", [
      "stream",
    ]),
    ready: gauge("lane_ready_jobs", "Jobs that wait for a worker.", [...line, "priority"]),
    batch: histogram("journal_batch_changes", "Changes stored by one write.", batches),
    write: histogram("journal_write_seconds", "From sending a write to its answer.", latencies),
    journalQueue: gauge("journal_waiting_changes", "Changes that wait for a write to be sent."),
    conflicts: counter("journal_conflicts_total", "Changes refused because the job had moved on.", []),
    unknown: counter("journal_unknown_total", "Changes whose write was never answered.", []),
    sweeps: counter("sweeps_total", "Purges of what is done with.", ["kind"]),
    swept: counter("swept_messages_total", "Messages removed by them.", ["kind"]),
    calls: counter("grpc_calls_total", "Calls that ended.", ["method", "code"]),
    call: histogram("grpc_call_seconds", "Length of a call; sessions and long polls last.", latencies, [
      "method",
    ]),
    serving: gauge("broker_ready", "1 when this broker can serve, else 0."),
    build: gauge("build_info", "Always 1; the version is the label.", ["version"]),
  };
}

/** More tasks and queues than this are counted together as `other`. */
const mostLines = 2_000;

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  // By default the loop is woken 100 times a second to measure its lag: half of what an idle broker would use.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  for (const name of misnamed) registry.removeSingleMetric(name);
  const metrics = list(registry);
  metrics.build.set({ version: sources.version }, 1);
  let scrape: Promise<string> | undefined;
  const labels = boundedLines();
  return {
    telemetry: telemetryOf(metrics, labels),
    contentType: registry.contentType,
    // Whoever asks while a scrape is under way gets its answer.
    text: () => {
      if (scrape === undefined) {
        lookUp(metrics, sources, labels);
        scrape = registry.metrics().finally(() => {
          scrape = undefined;
        });
      }
      return scrape;
    },
  };
}

/** Gauges of the library under the names of counters. Each has a twin by type, without `_total`. */
const misnamed = [
  "nodejs_active_resources_total",
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
];

type Labels = (line: Line) => Line;

function lookUp(metrics: ReturnType<typeof list>, sources: MetricSources, labels: Labels): void {
  metrics.serving.set(sources.ready() ? 1 : 0);
  metrics.ready.reset();
  for (const { key, pending } of sources.lanes()) {
    metrics.ready.set({ task: key.task, queue: key.queue, priority: key.priority }, pending);
  }
  const oldest = new Map<Line, number>();
  for (const { key, seconds } of sources.oldest()) {
    const of = labels(key);
    oldest.set(of, Math.max(oldest.get(of) ?? 0, seconds));
  }
  setAll(metrics.oldest, oldest);
  // A line where nothing runs any more says 0 from then on, instead of vanishing.
  const running = new Map<Line, number>([...oldest.keys()].map((of) => [of, 0]));
  for (const lease of sources.running()) {
    const of = labels(lease);
    running.set(of, (running.get(of) ?? 0) + 1);
  }
  setAll(metrics.running, running);
  metrics.freeSlots.set(sources.freeSlots());
  const storage = sources.storage();
  if (storage !== undefined) lookUpStorage(metrics, storage);
}

function setAll(gauge: Gauge<"task" | "queue">, values: ReadonlyMap<Line, number>): void {
  gauge.reset();
  for (const [{ task, queue }, value] of values) gauge.set({ task, queue }, value);
}

function lookUpStorage(metrics: ReturnType<typeof list>, look: StorageLook): void {
  metrics.storageUsed.set(look.used);
  metrics.storageFull.set(look.full ? 1 : 0);
  // An unknown limit is no limit: not 0, of which every share would be too much.
  metrics.storageLimit.set(look.limit ?? Number.POSITIVE_INFINITY);
  metrics.storageFree.set(look.disk?.available ?? Number.NaN);
  for (const { stream, messages, bytes, consumers } of look.streams) {
    metrics.streamMessages.set({ stream }, messages);
    metrics.streamBytes.set({ stream }, bytes);
    metrics.streamConsumers.set({ stream }, consumers);
  }
}

function telemetryOf(metrics: ReturnType<typeof list>, labels: Labels): Telemetry {
  return {
    submitted: (line) => metrics.submitted.inc(labels(line)),
    deduplicated: (line) => metrics.deduplicated.inc(labels(line)),
    started: (line, waited) => metrics.waited.observe(labels(line), Math.max(0, waited)),
    finished: (line, outcome, reason, ran) => {
      metrics.finished.inc({ ...labels(line), outcome, reason });
      if (ran !== undefined) metrics.ran.observe(labels(line), Math.max(0, ran));
    },
    retried: (line) => metrics.retried.inc(labels(line)),
    promoted: (_, by, late) => metrics.promoted.observe({ by }, Math.max(0, late)),
    leaseLost: (line) => metrics.leasesLost.inc(labels(line)),
    reissued: (line, why) => metrics.reissued.inc({ ...labels(line), why }),
    refused: (reason) => metrics.refused.inc({ reason }),
    workers: (count) => metrics.workers.set(count),
    journalBatch: (changes, seconds) => {
      metrics.batch.observe(changes);
      metrics.write.observe(seconds);
    },
    journalQueue: (waiting) => metrics.journalQueue.set(waiting),
    journalConflict: () => metrics.conflicts.inc(),
    journalUnknown: (changes) => metrics.unknown.inc(changes),
    sweep: (kind, purged) => {
      metrics.sweeps.inc({ kind });
      metrics.swept.inc({ kind }, purged);
    },
    rpc: (method, code, seconds) => {
      metrics.calls.inc({ method, code: codeNames[code] ?? String(code) });
      metrics.call.observe({ method }, seconds);
    },
    traces: undefined,
  };
}

/** The labels of a line, the same object each time; those of lines beyond `mostLines` are `other`. */
function boundedLines(): Labels {
  const tasks = new Map<string, Map<string, Line>>();
  const other: Line = { task: "other", queue: "other" };
  let known = 0;
  return ({ task, queue }) => {
    const found = tasks.get(task)?.get(queue);
    if (found !== undefined) return found;
    if (known >= mostLines) return other;
    known++;
    const queues = tasks.get(task) ?? new Map<string, Line>();
    tasks.set(task, queues);
    const labels = { task, queue };
    queues.set(queue, labels);
    return labels;
  };
}

/** Names of google.rpc.Code, by number. */
const codeNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];
