// Every metric of the broker. What happens for each job or each call is counted in plain numbers (line-counts.ts,
// call-counts.ts, journal-counts.ts); the rest is prom-client's. Labels are bounded: tasks and queues by Lines, all
// others by what they are.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { LimitUsage } from "../app/limits.js";
import { firedAs, type Telemetry } from "../app/telemetry.js";
import { CallCounts } from "./call-counts.js";
import { asOpenMetrics, contentTypes, type Format, formatFor } from "./exposition.js";
import { JournalCounts } from "./journal-counts.js";
import { type LaneSources, laneGauges } from "./lane-gauges.js";
import { Lines } from "./line-counts.js";

/** What is looked up at each scrape. */
export interface MetricSources extends LaneSources {
  version: string;
  ready(): boolean;
  /** Jobs that its workers could take now. */
  freeSlots(): number;
  /** As last looked at. */
  limits(): Iterable<LimitUsage>;
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

export interface Scrape {
  /** Of its content. */
  type: string;
  body: string;
}

export interface Metrics {
  telemetry: Telemetry;
  /** `accept`: the header of the request. */
  scrape(accept?: string): Promise<Scrape>;
}

/** One of the two. */
const limited = ["queue", "task"] as const;
const latencies = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

function list(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name: `drover_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name: `drover_${name}`, help, labelNames, registers });
  return {
    promoted: new Histogram({
      name: "drover_due_late_seconds",
      help: "From a delay's due time to its job being made ready: by the broker in bulk, or by the store's alarm.",
      buckets: latencies,
      labelNames: ["by"],
      registers,
    }),
    refused: counter("reports_refused_total", "Reports of workers that were refused.", ["reason"]),
    workers: gauge("workers", "Workers with a session on this broker."),
    freeSlots: gauge("worker_free_slots", "Jobs that this broker's workers could take now."),
    storageUsed: gauge("storage_used_bytes", "What JetStream stores for the account."),
    storageLimit: gauge("storage_limit_bytes", "The most it may store; infinite when no limit is known."),
    storageFree: gauge("storage_disk_free_bytes", "Free on an embedded server's disk; NaN for any other."),
    storageFull: gauge("storage_full", "1 while submits are refused for want of space, else 0."),
    streamMessages: gauge("stream_messages", "Messages in a stream of the namespace.", ["stream"]),
    streamBytes: gauge("stream_bytes", "Size of a stream of the namespace.", ["stream"]),
    streamConsumers: gauge("stream_consumers", "Consumers of a stream: its lanes, and a few more.", [
      "stream",
    ]),
    sweeps: counter("sweeps_total", "Purges of what is done with.", ["kind"]),
    swept: counter("swept_messages_total", "Messages removed by them.", ["kind"]),
    fired: counter("schedule_firings_total", "Planned times of schedules that were dealt with.", ["outcome"]),
    missedAt: gauge(
      "schedule_last_missed_timestamp_seconds",
      "When a planned time was last found to be missed, or its job to be refused; 0 = never.",
    ),
    overdue: gauge(
      "schedules_overdue",
      "Schedules whose time passed over 30 s ago without anybody dealing with it, as looked at each minute.",
    ),
    tokens: gauge("limit_tokens", "Starts that a rate limit would allow right now.", limited),
    places: gauge("limit_places", "How many jobs a limit lets run at a time.", limited),
    placesTaken: gauge("limit_places_taken", "Leases of this broker that such a limit counts.", limited),
    serving: gauge("broker_ready", "1 when this broker can serve, else 0."),
    build: gauge("build_info", "Always 1; the version is the label.", ["version"]),
  };
}

/** Counted in plain numbers. */
class Counted {
  readonly lines = new Lines();
  readonly journal = new JournalCounts();
  readonly calls = new CallCounts({
    label: "method",
    end: "code",
    total: { name: "drover_grpc_calls_total", help: "Calls that ended." },
    seconds: { name: "drover_grpc_call_seconds", help: "Length of a call; sessions and long polls last." },
  });

  readonly jetstream = new CallCounts({
    label: "operation",
    end: "outcome",
    total: {
      name: "drover_jetstream_requests_total",
      help: "Requests to JetStream that ended, apart from the journal's writes.",
    },
    seconds: { name: "drover_jetstream_request_seconds", help: "From such a request to its answer." },
  });

  text(format: Format): string {
    const { lines, journal, calls, jetstream } = this;
    return [lines, journal, calls, jetstream].map((counted) => counted.text(format)).join("");
  }
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  // By default the loop is woken 100 times a second to measure its lag: half of what an idle broker would use.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  for (const name of misnamed) registry.removeSingleMetric(name);
  const metrics = list(registry);
  metrics.build.set({ version: sources.version }, 1);
  // What has not happened yet is 0: else the first time would be no increase.
  for (const outcome of firedAs) metrics.fired.inc({ outcome }, 0);
  const counted = new Counted();
  const write = async (format: Format): Promise<Scrape> => {
    lookUp(metrics, sources);
    const others = await registry.metrics();
    const own = counted.text(format) + laneGauges(format, sources, counted.lines);
    const body = format === "openmetrics" ? `${asOpenMetrics(others)}${own}# EOF\n` : `${others}${own}`;
    return { type: contentTypes[format], body };
  };
  const underWay = new Map<Format, Promise<Scrape>>();
  return {
    telemetry: telemetryOf(metrics, counted),
    // Whoever asks while a scrape is under way gets its answer.
    scrape: (accept) => {
      const format = formatFor(accept);
      let scrape = underWay.get(format);
      if (scrape === undefined) {
        scrape = write(format).finally(() => underWay.delete(format));
        underWay.set(format, scrape);
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

function lookUp(metrics: ReturnType<typeof list>, sources: MetricSources): void {
  metrics.serving.set(sources.ready() ? 1 : 0);
  metrics.freeSlots.set(sources.freeSlots());
  for (const gauge of [metrics.tokens, metrics.places, metrics.placesTaken]) gauge.reset();
  for (const { limit, tokens, places, running } of sources.limits()) {
    const labels = { [limit.kind]: limit.name };
    if (tokens !== undefined) metrics.tokens.set(labels, tokens);
    if (places !== undefined) metrics.places.set(labels, places);
    if (running !== undefined) metrics.placesTaken.set(labels, running);
  }
  const storage = sources.storage();
  if (storage !== undefined) lookUpStorage(metrics, storage);
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

function telemetryOf(metrics: ReturnType<typeof list>, counted: Counted): Telemetry {
  const { lines, journal, calls, jetstream } = counted;
  return {
    submitted: (line) => {
      lines.of(line).submitted++;
    },
    deduplicated: (line) => {
      lines.of(line).deduplicated++;
    },
    started: (line, waited, traceParent) => lines.of(line).waited.observe(waited, traceParent),
    finished: (line, outcome, reason, ran, traceParent) => {
      const counts = lines.of(line);
      counts.finished(outcome, reason);
      if (ran !== undefined) counts.ran.observe(ran, traceParent);
    },
    retried: (line) => {
      lines.of(line).retried++;
    },
    promoted: (_, by, late) => metrics.promoted.observe({ by }, Math.max(0, late)),
    leaseLost: (line) => {
      lines.of(line).leasesLost++;
    },
    reissued: (line, why) => lines.of(line).countReissued(why),
    refused: (reason) => metrics.refused.inc({ reason }),
    workers: (count) => metrics.workers.set(count),
    journalBatch: (changes, seconds) => journal.wrote(changes, seconds),
    journalQueue: (waiting) => {
      journal.waiting = waiting;
    },
    journalConflict: () => {
      journal.conflicts++;
    },
    journalUnknown: (changes) => {
      journal.unknown += changes;
    },
    sweep: (kind, purged) => {
      metrics.sweeps.inc({ kind });
      metrics.swept.inc({ kind }, purged);
    },
    rpc: (method, code, seconds) => calls.ended(method, codeNames[code] ?? String(code), seconds),
    jetstream: (operation, outcome, seconds) => jetstream.ended(operation, outcome, seconds),
    fired: (outcome, count, at) => {
      metrics.fired.inc({ outcome }, count);
      if (outcome === "misfire" || outcome === "refused") metrics.missedAt.set(at / 1_000);
    },
    schedulesOverdue: (count) => metrics.overdue.set(count),
    traces: undefined,
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
