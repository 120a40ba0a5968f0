// What the journal tells at each write, in plain numbers: an idle broker writes once for each job.

import { Buckets, Distribution, type Format, family, row } from "./exposition.js";

const latencies = new Buckets([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]);
const sizes = new Buckets([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000]);

export class JournalCounts {
  readonly #changes = new Distribution(sizes);
  readonly #took = new Distribution(latencies);
  waiting = 0;
  conflicts = 0;
  unknown = 0;

  wrote(changes: number, seconds: number): void {
    this.#changes.observe(changes);
    this.#took.observe(seconds);
  }

  text(format: Format): string {
    const histogram = (name: string, help: string, of: Distribution) =>
      family(format, "histogram", name, help, of.rows(format, name, ""));
    const number = (type: "gauge" | "counter", name: string, help: string, value: number) =>
      family(format, type, name, help, row(name, "", value));
    return [
      histogram("drover_journal_batch_changes", "Changes stored by one write.", this.#changes),
      histogram("drover_journal_write_seconds", "From sending a write to its answer.", this.#took),
      number(
        "gauge",
        "drover_journal_waiting_changes",
        "Changes that wait for a write to be sent.",
        this.waiting,
      ),
      number(
        "counter",
        "drover_journal_conflicts_total",
        "Changes refused because the job had moved on.",
        this.conflicts,
      ),
      number(
        "counter",
        "drover_journal_unknown_total",
        "Changes whose write was never answered.",
        this.unknown,
      ),
    ].join("");
  }
}
