// Calls by name: how each ended, and how long it took. A single submit is a call, so these are counted in plain numbers,
// too.

import { Buckets, Distribution, type Format, family, labelled } from "./exposition.js";

const latencies = new Buckets([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]);

interface Named {
  codes: Map<string, number>;
  took: Distribution;
}

export interface CallNames {
  /** What the labels of the name and of how it ended are called. */
  label: string;
  end: string;
  total: { name: string; help: string };
  seconds: { name: string; help: string };
}

export class CallCounts {
  readonly #named = new Map<string, Named>();

  constructor(readonly names: CallNames) {}

  ended(name: string, code: string, seconds: number): void {
    let named = this.#named.get(name);
    if (named === undefined) {
      named = { codes: new Map(), took: new Distribution(latencies) };
      this.#named.set(name, named);
    }
    named.codes.set(code, (named.codes.get(code) ?? 0) + 1);
    named.took.observe(seconds);
  }

  text(format: Format): string {
    const { label, end, total, seconds } = this.names;
    let totals = "";
    let took = "";
    for (const [name, named] of this.#named) {
      const labels = labelled({ [label]: name });
      for (const [code, count] of named.codes)
        totals += `${total.name}{${labels},${end}="${code}"} ${count}\n`;
      took += named.took.rows(format, seconds.name, labels);
    }
    return (
      family(format, "counter", total.name, total.help, totals) +
      family(format, "histogram", seconds.name, seconds.help, took)
    );
  }
}
