// The figures of a run: medians, shares of the run's own limits, what was promised, as a table and as an object.
import { figures } from "./measures.mjs";
import { bold, dim, green, yellow } from "./paint.mjs";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** `rounds`: measure -> what each of its rounds gave. */
export function medians(rounds) {
  const result = {};
  for (const all of Object.values(rounds)) {
    for (const figure of Object.keys(all[0])) result[figure] = median(all.map((round) => round[figure]));
  }
  return result;
}

/** Figures as shares of the limits that were measured beside them. */
export function ratios(result) {
  const shares = {};
  for (const [name, { of }] of Object.entries(figures)) {
    if (of !== undefined && name in result && of in result) shares[name] = result[name] / result[of];
  }
  return shares;
}

export function said(value) {
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString("en");
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function promised({ below, above, notBelow }) {
  if (below !== undefined) return `< ${below.toLocaleString("en")}`;
  if (above !== undefined) return `≥ ${above.toLocaleString("en")}`;
  return notBelow === undefined ? "" : `≥ ${notBelow}`;
}

/** Undefined when nothing was promised. */
export function isMet(value, { below, above, notBelow }) {
  if (below !== undefined) return value < below;
  const least = above ?? notBelow;
  return least === undefined ? undefined : value >= least;
}

export function printTable(result, title) {
  const shares = ratios(result);
  const rows = Object.entries(figures)
    .filter(([name]) => name in result)
    .map(([name, figure]) => [
      figure.what,
      said(result[name]),
      figure.unit,
      name in shares ? `${Math.round(shares[name] * 100)} % of limit` : "",
      promised(figure),
      verdict(isMet(result[name], figure)),
    ]);
  const width = rows.reduce((widths, row) => row.map((cell, i) => Math.max(widths[i] ?? 0, cell.length)), []);
  console.log(`\n${bold(title)}`);
  for (const [what, value, unit, share, target, met] of rows) {
    const cells = [
      what.padEnd(width[0]),
      value.padStart(width[1]),
      unit.padEnd(width[2]),
      dim(share.padStart(width[3])),
      target.padEnd(width[4]),
      met,
    ];
    console.log(cells.join("  ").trimEnd());
  }
}

function verdict(met) {
  if (met === undefined) return "";
  return met ? green("met") : yellow("not met here");
}
