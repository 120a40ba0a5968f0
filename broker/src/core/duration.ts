// Durations as people write and read them: `500ms`, `30s`, `10min`, `24h`, `30d`. In code they are numbers of ms.

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of a text such as `500ms`, `1.5s` or `10m`, or undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|min|m|h|d)$/.exec(text.trim());
  const unit = match?.[2];
  if (match === null || unit === undefined) return undefined;
  return Math.round(Number(match[1]) * (unitMs[unit] ?? Number.NaN));
}

/** A duration in the largest unit that takes no fraction: 600000 is `10 min`. */
export function sayDuration(ms: number): string {
  for (const [unit, size] of [
    ["days", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1_000],
  ] as const) {
    if (ms !== 0 && ms % size === 0) return ms === size && unit === "days" ? "1 day" : `${ms / size} ${unit}`;
  }
  return `${ms} ms`;
}
