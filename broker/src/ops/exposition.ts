// The text that Prometheus reads, and OpenMetrics, which says the same with exemplars. What is counted for each job is
// counted in plain numbers and written by hand: prom-client would look its labels up at every count (2 us each), and
// takes a tenth of a second for the text of some ten thousand series.

import { parseTraceParent } from "../core/trace-context.js";

export type Format = "prometheus" | "openmetrics";

export const contentTypes: Record<Format, string> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** What an Accept header asks for: OpenMetrics only from those who name it. */
export function formatFor(accept: string | undefined): Format {
  return accept?.includes("application/openmetrics-text") ? "openmetrics" : "prometheus";
}

/** A family with its rows, which end in a newline each. Empty when it has none. */
export function family(
  format: Format,
  type: "counter" | "gauge" | "histogram",
  name: string,
  help: string,
  rows: string,
): string {
  if (rows === "") return "";
  const named = format === "openmetrics" ? familyName(type, name) : name;
  return `# HELP ${named} ${help}\n# TYPE ${named} ${type}\n${rows}`;
}

/** In OpenMetrics a counter's family is called as its rows are, without `_total`. */
function familyName(type: string, name: string): string {
  return type === "counter" ? name.replace(/_total$/, "") : name;
}

/** `task="mail",queue="default"`: what stands between braces. */
export function labelled(labels: Readonly<Record<string, string | number>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(String(value))}"`)
    .join(",");
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

export function row(name: string, labels: string, value: number): string {
  return labels === "" ? `${name} ${numeral(value)}\n` : `${name}{${labels}} ${numeral(value)}\n`;
}

function numeral(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

/** Prometheus's text of other making, as OpenMetrics without its end. */
export function asOpenMetrics(text: string): string {
  return text
    .replace(/^# (HELP|TYPE) (\S+)_total\b/gm, "# $1 $2")
    .replace(/\n{2,}/g, "\n")
    .replace(/ Nan$/gm, " NaN");
}

/** Upper bounds of a histogram's buckets, ascending, and how they are written. */
export class Buckets {
  readonly labels: readonly string[];

  constructor(readonly bounds: readonly number[]) {
    this.labels = [...bounds.map(String), "+Inf"].map((bound) => `le="${bound}"`);
  }
}

interface Exemplar {
  traceParent: string;
  value: number;
  /** ms since 1970. */
  at: number;
}

/** How values are spread. */
export class Distribution {
  /** By bucket, the last for what is over all bounds. */
  readonly #counts: number[];
  #sum = 0;
  #count = 0;
  /** The latest of each bucket. */
  #exemplars: (Exemplar | undefined)[] | undefined;
  /** What was written last: of a thousand lines few have anything new at each scrape. */
  #written: { format: Format; count: number; rows: string } | undefined;
  /** What each bucket's row begins with. */
  #heads: readonly string[] | undefined;

  constructor(readonly buckets: Buckets) {
    this.#counts = buckets.labels.map(() => 0);
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Below 0 counts as 0. `traceParent`: W3C, of the trace that it belongs to; "" = none. */
  observe(value: number, traceParent = ""): void {
    const counted = Math.max(value, 0);
    const { bounds } = this.buckets;
    let bucket = 0;
    while (bucket < bounds.length && counted > (bounds[bucket] as number)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count++;
    this.#sum += counted;
    if (traceParent !== "" && isSampled(traceParent)) {
      this.#exemplars ??= this.#counts.map(() => undefined);
      this.#exemplars[bucket] = { traceParent, value: counted, at: Date.now() };
    }
  }

  /** Always under the same name and labels. */
  rows(format: Format, name: string, labels: string): string {
    if (this.#written?.count === this.#count && this.#written.format === format) return this.#written.rows;
    const exemplars = format === "openmetrics" ? this.#exemplars : undefined;
    this.#heads ??= this.buckets.labels.map(
      (label) => `${name}_bucket{${labels === "" ? "" : `${labels},`}${label}} `,
    );
    const parts: (string | number)[] = [];
    let below = 0;
    for (const [bucket, head] of this.#heads.entries()) {
      below += this.#counts[bucket] as number;
      const exemplar = exemplars?.[bucket];
      parts.push(head, below, exemplar === undefined ? "\n" : `${exemplified(exemplar)}\n`);
    }
    parts.push(row(`${name}_sum`, labels, this.#sum), row(`${name}_count`, labels, this.#count));
    // Joined it is one piece; added up it would be put together anew at each scrape.
    const rows = parts.join("");
    this.#written = { format, count: this.#count, rows };
    return rows;
  }
}

/** A trace that nobody keeps is no example: the last bit of the flags tells, and looking at it costs nothing. */
function isSampled(traceParent: string): boolean {
  return (traceParent.charCodeAt(54) & 1) === 1;
}

/** What a stranger sends as a trace may be anything: that is found out here, and not for each job. */
function exemplified({ traceParent, value, at }: Exemplar): string {
  const trace = parseTraceParent(traceParent);
  return trace?.sampled ? ` # {trace_id="${trace.traceId}"} ${value} ${at / 1_000}` : "";
}
