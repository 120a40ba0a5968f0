// A job on a terminal.

import type { Explanation, Obstacle } from "../explanation.js";
import type { Attempt, JobState, JobStatus } from "../job.js";
import { ago, cut, json, manyLines } from "./text.js";
import type { Column, Tint, View } from "./view.js";

const tints: Partial<Record<JobState, Tint>> = {
  RUNNING: "bold",
  RETRYING: "yellow",
  SUCCEEDED: "green",
  FAILED: "red",
  CANCELLED: "dim",
};

export function tintOf({ state }: Pick<JobStatus, "state">): Tint | undefined {
  return tints[state];
}

export const jobColumns: readonly Column<JobStatus>[] = [
  { title: "id", of: ({ id }) => id },
  { title: "state", of: ({ state }) => state.toLowerCase(), tint: tintOf },
  { title: "queue", of: ({ queue }) => queue },
  { title: "prio", of: ({ priority }) => priority, right: true },
  { title: "attempt", of: ({ attempt }) => attempt, right: true },
  { title: "age", of: ({ submittedAt }) => since(submittedAt), right: true },
  { title: "about", of: aboutOf },
];

/** What matters of a job in a few words. */
export function aboutOf(job: JobStatus): string {
  if (job.state === "RUNNING") {
    const { progress } = job;
    const share = progress?.value === undefined ? "" : ` ${share100(progress.value)}`;
    return `${job.cancelRequested ? "asked to end, " : ""}on ${job.worker}${share}`;
  }
  if (job.state === "SCHEDULED" || job.state === "RETRYING") return `due ${until(job.dueAt)}`;
  if (job.failure !== undefined) return cut(failureOf(job), 80);
  return "";
}

export function recordOf(view: View, job: JobStatus): void {
  view.record([
    ["id", job.id],
    ["state", job.state.toLowerCase()],
    ["queue", `${job.queue}, priority ${job.priority}`],
    ["attempt", attemptsOf(job)],
    ["submitted", when(job.submittedAt)],
    ["due", job.finished ? undefined : when(job.dueAt)],
    ["started", when(job.startedAt)],
    ["finished", when(job.finishedAt)],
    ["worker", job.worker],
    ["cancel", job.cancelRequested && !job.finished ? "asked for" : undefined],
    ["progress", progressOf(job)],
    ["concurrency key", job.concurrencyKey],
    ["labels", pairs(job.labels)],
    ["payload", job.payload === undefined ? undefined : json(job.payload)],
    ["result", job.result === undefined ? undefined : json(job.result)],
    ["failure", job.failure === undefined ? undefined : failureOf(job)],
  ]);
  if (job.failure?.stack) view.line(view.tint(manyLines(indented(job.failure.stack)), "dim"));
  if (job.history.length > 1) {
    view.line("");
    for (const line of view.table(job.history, attemptColumns)) view.line(line);
  }
}

/** Of one job: what stands in its way, the gravest first. */
export function explainTo(
  view: View,
  { id, state, obstacles, earliestStart }: { id: string } & Explanation,
): void {
  view.record([
    ["id", id],
    ["state", state.toLowerCase()],
    ["earliest start", when(earliestStart)],
  ]);
  if (obstacles.length === 0) {
    if (state === "READY") view.line("nothing stands in its way");
    return;
  }
  view.line("");
  view.record(obstacles.map((each) => [each.kind.toLowerCase().replaceAll("_", " "), obstacleOf(each)]));
}

function obstacleOf({ detail, jobs }: Obstacle): string {
  return cut([detail, ...jobs].join(" "), 160);
}

const attemptColumns: readonly Column<Attempt>[] = [
  { title: "attempt", of: ({ number }) => number, right: true },
  { title: "outcome", of: ({ outcome }) => outcome.toLowerCase() },
  { title: "worker", of: ({ worker }) => worker },
  { title: "took", of: ({ startedAt, endedAt }) => span(startedAt, endedAt), right: true },
  { title: "failure", of: ({ failure }) => (failure === undefined ? "" : cut(said(failure), 80)) },
];

function attemptsOf({ attempt, failures, crashes, retry }: JobStatus): string {
  const counted = [failures > 0 && `${failures} failed`, crashes > 0 && `${crashes} crashed`].filter(Boolean);
  const bound = retry === undefined ? "" : ` (at most ${retry.retries + 1} failures)`;
  return `${attempt}${bound}${counted.length > 0 ? `: ${counted.join(", ")}` : ""}`;
}

function progressOf({ progress }: JobStatus): string | undefined {
  if (progress === undefined) return undefined;
  const parts = [
    progress.value === undefined ? "" : share100(progress.value),
    progress.detail === undefined ? "" : json(progress.detail),
  ];
  return parts.filter((part) => part !== "").join(" ");
}

function failureOf({ failure }: JobStatus): string {
  return failure === undefined ? "" : said(failure);
}

function said({ reason, type, message }: { reason: string; type: string; message: string }): string {
  return [reason, type, message].filter((part) => part !== "").join(": ");
}

function share100(value: number): string {
  return value >= 0 && value <= 1 ? `${Math.round(value * 100)} %` : String(value);
}

export function pairs(of: Readonly<Record<string, string>>): string {
  return Object.entries(of)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

export function when(date: Date | undefined): string | undefined {
  return date === undefined ? undefined : `${date.toISOString()} (${away(date)})`;
}

export function since(date: Date | undefined): string {
  return date === undefined ? "" : ago(Date.now() - date.getTime());
}

function until(date: Date | undefined): string {
  return date === undefined ? "some time" : away(date);
}

function away(date: Date): string {
  const ms = date.getTime() - Date.now();
  return ms > 0 ? `in ${ago(ms)}` : `${ago(-ms)} ago`;
}

function span(from: Date | undefined, to: Date | undefined): string {
  return from === undefined || to === undefined ? "" : ago(to.getTime() - from.getTime());
}

function indented(text: string): string {
  return `  ${text.replaceAll("\n", "\n  ")}`;
}
