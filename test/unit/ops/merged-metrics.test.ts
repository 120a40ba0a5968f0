import { expect, test } from "vitest";
import { mergeMetrics } from "../../../broker/src/ops/merged-metrics.js";

const text = (jobs: number) => `# HELP drover_jobs_total Jobs
# TYPE drover_jobs_total counter
drover_jobs_total{task="a {b} c"} ${jobs}

# HELP drover_up Up
# TYPE drover_up gauge
drover_up 1
`;

test("lines of one metric stand together, each with its process", () => {
  const merged = mergeMetrics("prometheus", [
    { process: "b-1", text: text(3) },
    { process: "b-2", text: text(4) },
  ]);
  expect(merged).toBe(`# HELP drover_process_up Whether a broker process answers
# TYPE drover_process_up gauge
drover_process_up{process="b-1"} 1
drover_process_up{process="b-2"} 1
# HELP drover_jobs_total Jobs
# TYPE drover_jobs_total counter
drover_jobs_total{process="b-1",task="a {b} c"} 3
drover_jobs_total{process="b-2",task="a {b} c"} 4
# HELP drover_up Up
# TYPE drover_up gauge
drover_up{process="b-1"} 1
drover_up{process="b-2"} 1
`);
});

test("a process that does not answer is told of, and the others are there", () => {
  const merged = mergeMetrics("prometheus", [
    { process: "b-1", text: undefined },
    { process: "b-2", text: text(4) },
  ]);
  expect(merged).toContain('drover_process_up{process="b-1"} 0\n');
  expect(merged).toContain('drover_jobs_total{process="b-2",task="a {b} c"} 4\n');
});

test("OpenMetrics ends where its end is, once, and keeps exemplars", () => {
  const one = `# HELP wait W\n# TYPE wait histogram\nwait_bucket{le="1"} 7 # {trace_id="ab"} 0.5 1.2\n# EOF\n`;
  const merged = mergeMetrics("openmetrics", [
    { process: "b-1", text: one },
    { process: "b-2", text: one },
  ]);
  expect(merged.match(/# EOF\n/g)).toHaveLength(1);
  expect(merged.endsWith("# EOF\n")).toBe(true);
  expect(merged).toContain('wait_bucket{process="b-2",le="1"} 7 # {trace_id="ab"} 0.5 1.2\n');
});

test("an exemplar behind a value is left as it is", () => {
  const line = 'drover_wait_bucket 7 # {trace_id="ab"} 0.5';
  expect(
    mergeMetrics("prometheus", [{ process: "b-1", text: `# HELP drover_wait_bucket W\n${line}\n` }]),
  ).toContain('drover_wait_bucket{process="b-1"} 7 # {trace_id="ab"} 0.5\n');
});
