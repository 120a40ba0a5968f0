// What is so now in each lane and each line, looked up at a scrape.

import type { LaneKey } from "../app/ports.js";
import type { Line } from "../app/telemetry.js";
import { type Format, family, row } from "./exposition.js";
import type { LineCounts, Lines } from "./line-counts.js";

export interface LaneSources {
  /** Jobs that wait, by lane. */
  lanes(): Iterable<{ key: LaneKey; pending: number }>;
  /** For how many seconds the oldest of them has been waiting, by lane; 0 where none waits. */
  oldest(): Iterable<{ key: LaneKey; seconds: number }>;
  /** The leases this broker holds, one entry each. */
  running(): Iterable<Line>;
  /** Jobs that are in none of these, by line, as last counted; those of all lines that have no lane as `other`. */
  counts(): Iterable<{ line: Line; state: "scheduled" | "blocked" | "failed"; jobs: number }>;
  /** Ready jobs that a limit keeps back from this broker's workers, by lane; only lanes that have one. */
  heldBack(): Iterable<{ key: LaneKey; jobs: number }>;
}

const states = {
  scheduled: { name: "drover_jobs_scheduled", help: "Jobs that wait for their time, retries among them." },
  blocked: { name: "drover_jobs_blocked", help: "Jobs that wait for others." },
  failed: { name: "drover_jobs_failed", help: "Dead letters that are kept." },
};

export function laneGauges(format: Format, sources: LaneSources, lines: Lines): string {
  const ready = new Map<string, number>();
  for (const { key, pending } of sources.lanes()) {
    // Lines beyond the bound are one.
    const labels = `${lines.of(key).labels},priority="${key.priority}"`;
    ready.set(labels, (ready.get(labels) ?? 0) + pending);
  }
  const oldest = new Map<LineCounts, number>();
  for (const { key, seconds } of sources.oldest()) {
    const line = lines.of(key);
    oldest.set(line, Math.max(oldest.get(line) ?? 0, seconds));
  }
  // A line where nothing runs any more says 0 from then on, instead of vanishing.
  const running = new Map<LineCounts, number>([...oldest.keys()].map((line) => [line, 0]));
  for (const lease of sources.running()) {
    const line = lines.of(lease);
    running.set(line, (running.get(line) ?? 0) + 1);
  }
  return [
    gauge(format, "drover_lane_ready_jobs", "Jobs that wait for a worker.", ready),
    byLine(
      format,
      "drover_oldest_ready_age_seconds",
      "For how long the oldest ready job waits; 0 = none does.",
      oldest,
    ),
    byLine(format, "drover_jobs_running", "Leases this broker holds for its workers.", running),
    byLine(
      format,
      "drover_jobs_held_back",
      "Ready jobs that a limit keeps back from this broker's workers.",
      sums(sources.heldBack(), ({ key, jobs }) => [lines.of(key), jobs]),
    ),
    ...Object.entries(states).map(([state, { name, help }]) =>
      byLine(
        format,
        name,
        help,
        sums(sources.counts(), (count) =>
          count.state === state ? [lines.of(count.line), count.jobs] : undefined,
        ),
      ),
    ),
  ].join("");
}

function sums<T>(
  all: Iterable<T>,
  of: (each: T) => [line: LineCounts, value: number] | undefined,
): Map<LineCounts, number> {
  const found = new Map<LineCounts, number>();
  for (const each of all) {
    const pair = of(each);
    if (pair === undefined) continue;
    const [line, value] = pair;
    found.set(line, (found.get(line) ?? 0) + value);
  }
  return found;
}

function byLine(format: Format, name: string, help: string, values: ReadonlyMap<LineCounts, number>): string {
  return gauge(format, name, help, new Map([...values].map(([line, value]) => [line.labels, value])));
}

/** `values`: by labels. */
function gauge(format: Format, name: string, help: string, values: ReadonlyMap<string, number>): string {
  let rows = "";
  for (const [labels, value] of values) rows += row(name, labels, value);
  return family(format, "gauge", name, help, rows);
}
