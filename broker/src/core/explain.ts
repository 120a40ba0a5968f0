// Why a job does not run, and when it can at the earliest: one rule from what is known of it and around it to what
// stands in its way. Nothing here asks anybody.

import { hasEnded, type State } from "./job.js";
import { type Rate, type RateBook, startAfter } from "./rate.js";
import type { Limited } from "./run-limits.js";

export type ObstacleKind =
  | "NOT_DUE"
  | "QUEUE_PAUSED"
  | "NO_WORKER"
  | "WORKERS_BUSY"
  | "BEHIND_OTHERS"
  | "RATE_LIMIT"
  | "CONCURRENCY_LIMIT"
  | "CONCURRENCY_KEY"
  | "DEPENDENCIES";

export interface Obstacle {
  kind: ObstacleKind;
  /** For people. */
  detail: string;
  /** What it is about: a queue, a limit (`queue mails`), a key. */
  subject: string;
  count: number;
  /** ms since 1970; 0 = not known. */
  until: number;
  /** Ids. */
  jobs: readonly string[];
}

export interface Explanation {
  state: State;
  /** The gravest first. */
  obstacles: Obstacle[];
  /** ms since 1970; undefined = not known. */
  earliestStart: number | undefined;
  summary: string;
}

/** What is known of a job and of what it waits for. Times in ms since 1970. */
export interface Facts {
  id: string;
  state: State;
  task: string;
  queue: string;
  now: number;
  /** 0 = it waits for no time. */
  dueAt: number;
  /** It is wanted no more after this; 0 = always. */
  startBy: number;
  paused: boolean;
  /** Workers that serve its task in its queue, and how many of them could take one more. */
  workers: { serving: number; free: number };
  /** Jobs that come before it in its queue, and those of its task among them. */
  ahead: { all: number; ofTask: number };
  rates: readonly { limit: Limited; rate: Rate; book: RateBook }[];
  concurrency: readonly { limit: Limited; most: number; running: number }[];
  /** Of its concurrency key, for a job that waits for a place. */
  place: { key: string; most: number; running: number; before: number } | undefined;
  /** Members of its flow that have to end first. */
  parents: readonly string[];
}

/** Ids that an answer names. */
const mostNamed = 100;

/** Those that somebody has to do something about, then those that time or other jobs resolve. */
const gravity: readonly ObstacleKind[] = [
  "QUEUE_PAUSED",
  "NO_WORKER",
  "DEPENDENCIES",
  "NOT_DUE",
  "CONCURRENCY_KEY",
  "CONCURRENCY_LIMIT",
  "RATE_LIMIT",
  "WORKERS_BUSY",
  "BEHIND_OTHERS",
];
/** While one of these stands, nothing can be said about the start. */
const openEnded: ReadonlySet<ObstacleKind> = new Set(["QUEUE_PAUSED", "NO_WORKER", "DEPENDENCIES"]);

export function explain(facts: Facts): Explanation {
  const { state, id } = facts;
  if (state === "RUNNING" || hasEnded(state)) {
    const said = state === "RUNNING" ? "runs" : `has ended: ${state}`;
    return { state, obstacles: [], earliestStart: undefined, summary: `${id} ${said}` };
  }
  const obstacles = obstaclesOf(facts).sort((a, b) => gravity.indexOf(a.kind) - gravity.indexOf(b.kind));
  const earliestStart = earliestOf(facts, obstacles);
  return { state, obstacles, earliestStart, summary: summaryOf(facts, obstacles, earliestStart) };
}

function obstaclesOf(facts: Facts): Obstacle[] {
  const { queue, task, now, dueAt, workers, ahead, place, parents } = facts;
  const found: Obstacle[] = [];
  const add = (kind: ObstacleKind, detail: string, about: Partial<Obstacle> = {}) =>
    found.push({ kind, detail, subject: "", count: 0, until: 0, jobs: [], ...about });

  if (facts.paused) add("QUEUE_PAUSED", `queue ${queue} is paused`, { subject: queue });
  if (workers.serving === 0) {
    add("NO_WORKER", `no worker that is attached serves ${task} in queue ${queue}`, { subject: task });
  }
  if (parents.length > 0) {
    add("DEPENDENCIES", `${some(parents.length, "member")} of its flow must end first`, {
      count: parents.length,
      jobs: parents.slice(0, mostNamed),
    });
  }
  if (dueAt > now) add("NOT_DUE", `due at ${iso(dueAt)}`, { until: dueAt });
  if (place !== undefined) {
    const { key, most, running, before } = place;
    add("CONCURRENCY_KEY", `${running} of ${most} of key ${key} run, ${before} wait before it`, {
      subject: key,
      count: before,
    });
  }
  for (const { limit, most, running } of facts.concurrency) {
    if (running < most) continue;
    const subject = nameOf(limit);
    add("CONCURRENCY_LIMIT", `${running} run, ${subject} allows ${most} at a time`, {
      subject,
      count: running,
    });
  }
  for (const { limit, rate, book } of facts.rates) {
    const subject = nameOf(limit);
    const until = startAfter(rate, book, now, limit.kind === "task" ? ahead.ofTask : ahead.all);
    if (until > now)
      add("RATE_LIMIT", `the rate of ${subject} leaves it a start at ${iso(until)}`, { subject, until });
  }
  // What is not due, or not allowed to, does not stand in the line yet.
  if (facts.state !== "READY") return found;
  if (workers.serving > 0 && workers.free === 0) {
    add("WORKERS_BUSY", `${some(workers.serving, "worker")} serve it, none has room`, {
      count: workers.serving,
    });
  }
  if (ahead.all > 0) {
    const come = ahead.all === 1 ? "comes" : "come";
    add("BEHIND_OTHERS", `${some(ahead.all, "job")} ${come} before it in queue ${queue}`, {
      subject: queue,
      count: ahead.all,
    });
  }
  return found;
}

function earliestOf({ now }: Facts, obstacles: readonly Obstacle[]): number | undefined {
  if (obstacles.length === 0) return now;
  if (obstacles.some(({ kind }) => openEnded.has(kind))) return undefined;
  const latest = Math.max(...obstacles.map(({ until }) => until));
  return latest > 0 ? latest : undefined;
}

function summaryOf(
  { id, startBy }: Facts,
  obstacles: readonly Obstacle[],
  earliest: number | undefined,
): string {
  if (obstacles.length === 0) return `${id} can start now`;
  const why = obstacles.map(({ detail }) => detail).join("; ");
  const when = earliest === undefined ? "" : `; not before ${iso(earliest)}`;
  const late =
    earliest !== undefined && startBy > 0 && earliest > startBy
      ? `; it will not start: start_by is ${iso(startBy)}`
      : "";
  return `${id} waits: ${why}${when}${late}`;
}

function nameOf({ kind, name }: Limited): string {
  return `${kind} ${name}`;
}

function some(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
