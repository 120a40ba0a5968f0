// What is counted for each job, by task and queue: plain numbers in one object a line, found once for each count. Their
// text is written when somebody asks for it.

import type { EndState, Line } from "../app/telemetry.js";
import { Buckets, Distribution, type Format, family, labelled, row } from "./exposition.js";

/** More tasks and queues than this are counted together as `other`. */
const mostLines = 2_000;
const spans = new Buckets([0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200]);

export class LineCounts {
  /** As they are written. */
  readonly labels: string;
  submitted = 0;
  deduplicated = 0;
  retried = 0;
  leasesLost = 0;
  /** By why. */
  readonly reissued = new Map<string, number>();
  succeeded = 0;
  cancelled = 0;
  /** By reason. */
  readonly failed = new Map<string, number>();
  readonly waited = new Distribution(spans);
  readonly ran = new Distribution(spans);

  constructor(line: Line) {
    this.labels = labelled({ task: line.task, queue: line.queue });
  }

  finished(outcome: EndState, reason: string): void {
    if (outcome === "succeeded") this.succeeded++;
    else if (outcome === "cancelled") this.cancelled++;
    else addOne(this.failed, reason);
  }

  countReissued(why: string): void {
    addOne(this.reissued, why);
  }

  finishedRows(name: string): string {
    const rowOf = (outcome: EndState, reason: string, count: number) =>
      `${name}{${this.labels},outcome="${outcome}",reason="${reason}"} ${count}\n`;
    let rows = rowOf("succeeded", "", this.succeeded);
    if (this.cancelled > 0) rows += rowOf("cancelled", "", this.cancelled);
    for (const [reason, count] of this.failed) rows += rowOf("failed", reason, count);
    return rows;
  }

  reissuedRows(name: string): string {
    let rows = "";
    for (const [why, count] of this.reissued) rows += `${name}{${this.labels},why="${why}"} ${count}\n`;
    return rows;
  }
}

function addOne(counts: Map<string, number>, of: string): void {
  counts.set(of, (counts.get(of) ?? 0) + 1);
}

export class Lines {
  readonly #byTask = new Map<string, Map<string, LineCounts>>();
  readonly #all: LineCounts[] = [];
  #other: LineCounts | undefined;

  of({ task, queue }: Line): LineCounts {
    const queues = this.#byTask.get(task);
    return queues?.get(queue) ?? this.#new(task, queue, queues);
  }

  #new(task: string, queue: string, known: Map<string, LineCounts> | undefined): LineCounts {
    if (this.#all.length >= mostLines) {
      this.#other ??= new LineCounts({ task: "other", queue: "other" });
      return this.#other;
    }
    const queues = known ?? new Map<string, LineCounts>();
    if (known === undefined) this.#byTask.set(task, queues);
    const line = new LineCounts({ task, queue });
    queues.set(queue, line);
    this.#all.push(line);
    return line;
  }

  text(format: Format): string {
    const lines = this.#other === undefined ? this.#all : [...this.#all, this.#other];
    const all = (rowsOf: (line: LineCounts) => string) => {
      let rows = "";
      for (const line of lines) rows += rowsOf(line);
      return rows;
    };
    const counter = (name: string, help: string, rowsOf: (name: string, line: LineCounts) => string) =>
      family(
        format,
        "counter",
        name,
        help,
        all((line) => rowsOf(name, line)),
      );
    const count = (name: string, help: string, of: (line: LineCounts) => number) =>
      counter(name, help, (named, line) => row(named, line.labels, of(line)));
    const histogram = (name: string, help: string, of: (line: LineCounts) => Distribution) =>
      family(
        format,
        "histogram",
        name,
        help,
        all((line) => (of(line).isEmpty ? "" : of(line).rows(format, name, line.labels))),
      );
    return [
      count("drover_jobs_submitted_total", "Jobs stored.", (line) => line.submitted),
      count(
        "drover_jobs_deduplicated_total",
        "Submits that met a job of the same key.",
        (line) => line.deduplicated,
      ),
      counter("drover_jobs_finished_total", "Jobs that ended.", (name, line) => line.finishedRows(name)),
      count(
        "drover_jobs_retried_total",
        "Failed attempts that are followed by another.",
        (line) => line.retried,
      ),
      count("drover_leases_lost_total", "Attempts that ended without a report.", (line) => line.leasesLost),
      counter(
        "drover_jobs_reissued_total",
        "Tickets written anew because they reached no worker.",
        (name, line) => line.reissuedRows(name),
      ),
      histogram(
        "drover_job_wait_seconds",
        "From being due to the begin of an attempt.",
        (line) => line.waited,
      ),
      histogram("drover_job_run_seconds", "Length of a job's last attempt.", (line) => line.ran),
    ].join("");
  }
}
