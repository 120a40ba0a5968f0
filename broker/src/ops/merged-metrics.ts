// The metrics of several processes as one text: each line gets the name of its process, and lines of one metric stand
// together, as both formats want it. In OpenMetrics they bring their exemplars along.

import type { Format } from "./exposition.js";

const up = "drover_process_up";
const head = [`# HELP ${up} Whether a broker process answers`, `# TYPE ${up} gauge`];

interface Family {
  head: string[];
  lines: string[];
}

/** All of them in that format; `text` undefined: that process did not answer. */
export function mergeMetrics(
  format: Format,
  parts: readonly { process: string; text: string | undefined }[],
): string {
  const families = new Map<string, Family>();
  for (const { process, text } of parts) {
    let family: Family | undefined;
    for (const line of (text ?? "").split("\n")) {
      if (line.startsWith("# HELP ")) {
        const name = line.slice(7, line.indexOf(" ", 7));
        family = families.get(name) ?? { head: [line], lines: [] };
        families.set(name, family);
      } else if (line.startsWith("# TYPE ")) {
        if (family?.head.length === 1) family.head.push(line);
      } else if (line !== "" && !line.startsWith("#")) {
        family?.lines.push(withProcess(line, process));
      }
    }
  }
  const ups = parts.map(({ process, text }) => `${up}{process="${process}"} ${text === undefined ? 0 : 1}`);
  const all = [...families.values()].flatMap((family) => [...family.head, ...family.lines]);
  return [...head, ...ups, ...all, ...(format === "openmetrics" ? ["# EOF"] : []), ""].join("\n");
}

function withProcess(line: string, process: string): string {
  const brace = line.indexOf("{");
  const blank = line.indexOf(" ");
  const label = `process="${process}"`;
  // A brace behind the first blank belongs to an exemplar.
  if (brace === -1 || brace > blank) return `${line.slice(0, blank)}{${label}}${line.slice(blank)}`;
  return `${line.slice(0, brace + 1)}${label},${line.slice(brace + 1)}`;
}
