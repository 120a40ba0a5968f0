// The figures as a picture, without a library: a panel for each unit, a bar for each figure, the promise as a line.
import { figures } from "./measures.mjs";
import { isMet, said } from "./report.mjs";

const width = 960;
const label = 430;
const bar = 16;
const gap = 6;
const colours = { met: "#2f855a", missed: "#c05621", plain: "#4a6fa5" };

export function plot(result, title) {
  const panels = groupByUnit(present(result));
  const parts = [];
  let y = 40;
  for (const [unit, rows] of panels) {
    const most = Math.max(
      ...rows.map(([name, { below, above }]) => Math.max(result[name], below ?? 0, above ?? 0)),
    );
    const scale = (value) => (Math.max(0, value) / (most || 1)) * (width - label - 90);
    y += 24;
    parts.push(text(10, y, unit === "" ? "ratio" : unit, 'font-weight="bold"'));
    y += 8;
    for (const [name, figure] of rows) {
      parts.push(...row(name, figure, result[name], y, scale));
      y += bar + gap;
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 20}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${y + 20}" fill="#ffffff"/>`,
    text(10, 24, title, 'font-size="14" font-weight="bold"'),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function row(name, figure, value, y, scale) {
  const met = isMet(value, figure);
  const colour = met === undefined ? colours.plain : met ? colours.met : colours.missed;
  const promise = figure.below ?? figure.above;
  const parts = [
    text(label - 8, y + bar - 4, figure.what, 'text-anchor="end"'),
    `<rect x="${label}" y="${y}" width="${Math.max(1, scale(value)).toFixed(1)}" height="${bar}" fill="${colour}"><title>${name}</title></rect>`,
    text(label + Math.max(1, scale(value)) + 6, y + bar - 4, said(value)),
  ];
  if (promise !== undefined) {
    const x = (label + scale(promise)).toFixed(1);
    parts.push(
      `<line x1="${x}" x2="${x}" y1="${y - 2}" y2="${y + bar + 2}" stroke="#1a202c" stroke-dasharray="2 2"/>`,
    );
  }
  return parts;
}

function present(result) {
  return Object.entries(figures).filter(([name]) => Number.isFinite(result[name]));
}

function groupByUnit(rows) {
  const groups = new Map();
  for (const row of rows) groups.set(row[1].unit, [...(groups.get(row[1].unit) ?? []), row]);
  return groups;
}

function text(x, y, words, more = "") {
  const safe = String(words).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `<text x="${Number(x).toFixed(1)}" y="${y}" ${more}>${safe}</text>`;
}
