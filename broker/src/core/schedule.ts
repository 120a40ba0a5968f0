// When a schedule submits: its planned times, and what becomes of those that nobody dealt with in time.

import type { Checks } from "./check.js";
import { type Cron, nextTime, parseCron } from "./cron.js";
import { scheduleLimits, sizes } from "./limits.js";
import type { Routing } from "./routes.js";
import { type Draft, specOfDraft } from "./spec.js";
import { type Zone, zoneOf } from "./zone.js";

export type Overlap = "allow" | "skip" | "cancel-previous";
export type Misfire = "once" | "skip" | "catch-up";

/** A schedule as it is declared. Durations are ms, times ms since 1970; NaN stands for one that was not understood. */
export interface Schedule {
  name: string;
  cron?: string | undefined;
  interval?: number | undefined;
  /** IANA; empty = UTC. */
  timeZone: string;
  job?: Draft | undefined;
  overlap: Overlap;
  misfire: Misfire;
  /** 0 = the default. */
  maxCatchUp: number;
  jitter?: number | undefined;
  startAt?: number | undefined;
  endAt?: number | undefined;
  paused: boolean;
  description: string;
}

/** The planned times of a schedule, one after the other. */
export class Plan {
  constructor(
    readonly rule: { cron: Cron; zone: Zone } | { interval: number; anchor: number },
    /** No time before this; intervals begin with it. */
    readonly startAt: number | undefined,
    /** None at or after this. */
    readonly endAt: number,
  ) {}

  /** The first planned time after that moment, ms since 1970; undefined = never again. */
  next(after: number): number | undefined {
    const from = this.startAt === undefined ? after : Math.max(after, this.startAt - 1);
    const found = "cron" in this.rule ? nextTime(this.rule.cron, this.rule.zone, from) : this.#beat(from);
    return found !== undefined && found < this.endAt ? found : undefined;
  }

  #beat(after: number): number | undefined {
    if (!("interval" in this.rule)) return undefined;
    const { interval, anchor } = this.rule;
    // Counted from its declaration the first comes after one interval.
    const first = this.startAt === undefined ? 1 : 0;
    return anchor + Math.max(first, Math.floor((after - anchor) / interval) + 1) * interval;
  }

  /** Those after `from` up to and with `to`, the first `most` of them. */
  between(from: number, to: number, most: number): number[] {
    const times: number[] = [];
    for (let time = this.next(from); time !== undefined && time <= to; time = this.next(time)) {
      times.push(time);
      if (times.length >= most) break;
    }
    return times;
  }
}

/** The plan of a schedule that has been checked. `declaredAt` is when its rule was declared, ms since 1970. */
export function planOf(schedule: Schedule, declaredAt: number): Plan {
  const { cron, interval, startAt, endAt = Number.POSITIVE_INFINITY } = schedule;
  if (cron !== undefined) {
    const rule = parseCron(cron);
    if ("problem" in rule) throw new Error(rule.problem);
    return new Plan({ cron: rule, zone: zoneOf(schedule.timeZone) }, startAt, endAt);
  }
  const anchor = startAt ?? Math.floor(declaredAt / 1_000) * 1_000;
  return new Plan({ interval: interval ?? 0, anchor }, startAt, endAt);
}

export interface Due {
  /** Planned times that get a job each, in order. */
  run: number[];
  /** How many were left out by the misfire policy, as far as they were counted; and the latest of them. */
  missed: number;
  lastMissed: number;
  /** Everything up to this has been dealt with. */
  handled: number;
  /** 0 = never again. */
  next: number;
}

/** What is to be done for the planned times after `last` up to now. A time that nobody dealt with within `grace` is
 *  missed, and the misfire policy says what becomes of it; until then it is merely late. */
export function dueOf(
  plan: Plan,
  schedule: Pick<Schedule, "misfire" | "maxCatchUp">,
  last: number,
  now: number,
  grace: number,
): Due {
  const late = Math.max(last, now - grace);
  const { times, count } = latestBetween(plan, last, late, scheduleLimits.catchUp);
  const made =
    schedule.misfire === "skip"
      ? []
      : times.slice(-(schedule.misfire === "once" ? 1 : schedule.maxCatchUp || scheduleLimits.catchUpUnset));
  return {
    run: [...made, ...plan.between(late, now, Number.POSITIVE_INFINITY)],
    missed: count - made.length,
    lastMissed: times.at(-1 - made.length) ?? 0,
    handled: now,
    next: plan.next(now) ?? 0,
  };
}

/** The latest `most` planned times after `from` up to `to`. A rule of every second that slept for a year is not walked
 *  through: `count` is how many were looked at. */
function latestBetween(
  plan: Plan,
  from: number,
  to: number,
  most: number,
): { times: number[]; count: number } {
  for (let width = 60_000; ; width *= 4) {
    const start = Math.max(from, to - width);
    const found = plan.between(start, to, Number.POSITIVE_INFINITY);
    if (start === from || found.length >= most) return { times: found.slice(-most), count: found.length };
  }
}

/** The key of the job of a planned time: the same for every broker that sees the time. */
export function keyOfTime(schedule: string, planned: number): string {
  const text = new Date(planned).toISOString().replaceAll(/[-:]/g, "");
  return `${schedule}.${text.replace(".000Z", "Z")}`;
}

/** The name of a schedule becomes part of its jobs' keys. */
export function checkScheduleName(checks: Checks, field: string, name: string): void {
  checks.name(field, name);
  checks.text(field, name, scheduleLimits.name);
}

/** Everything that is wrong with a schedule. `at` stands before each field, for example `schedules[3].`. */
export function checkSchedule(
  checks: Checks,
  at: string,
  schedule: Schedule,
  now: number,
  routes: Routing,
  jobIsRequired: boolean,
): void {
  checkScheduleName(checks, `${at}name`, schedule.name);
  checkRule(checks, at, schedule);
  const { jitter, startAt, endAt, maxCatchUp } = schedule;
  if (maxCatchUp !== 0) checks.integer(`${at}max_catch_up`, maxCatchUp, 1, scheduleLimits.catchUp);
  if (jitter !== undefined) checks.duration(`${at}jitter`, jitter, 0, scheduleLimits.jitter);
  checks.bytes(`${at}description`, schedule.description, sizes.cancelReason);
  for (const [field, time] of [
    ["start_at", startAt],
    ["end_at", endAt],
  ] as const) {
    if (Number.isNaN(time))
      checks.add(`${at}${field}`, "is not a valid timestamp: seconds since 1970, nanos of 0 to 999999999");
  }
  if (startAt !== undefined && endAt !== undefined && endAt <= startAt) {
    checks.add(`${at}end_at`, "is not after start_at: the schedule would never submit anything");
  }
  if (schedule.job === undefined) {
    if (jobIsRequired) checks.add(`${at}job`, "is required: what the schedule submits");
    return;
  }
  checkTemplate(checks, `${at}job.`, schedule.job, now, routes);
}

function checkRule(checks: Checks, at: string, { cron, interval, timeZone }: Schedule): void {
  if (cron !== undefined) {
    const rule = parseCron(cron);
    if ("problem" in rule) checks.add(`${at}cron`, rule.problem);
  } else if (interval === undefined) {
    checks.add(`${at}rule`, "is required: cron or interval");
  } else {
    checks.duration(`${at}interval`, interval, scheduleLimits.shortest, scheduleLimits.longest);
    if (timeZone !== "") checks.add(`${at}time_zone`, "goes with cron: leave it out for an interval");
    return;
  }
  try {
    zoneOf(timeZone);
  } catch {
    checks.add(
      `${at}time_zone`,
      `${JSON.stringify(timeZone.slice(0, 64))} is no IANA time zone: say for example Europe/Berlin`,
    );
  }
}

function checkTemplate(checks: Checks, at: string, job: Draft, now: number, routes: Routing): void {
  if (job.key !== "")
    checks.add(`${at}key`, "must be empty: each job's is made of the schedule and its planned time");
  for (const [field, value] of [
    ["run_at", job.runAt],
    ["start_by", job.startBy],
  ] as const) {
    if (value !== undefined)
      checks.add(`${at}${field}`, "is one moment, and a schedule has many: leave it out");
  }
  const checked = specOfDraft({ ...job, key: "", runAt: undefined, startBy: undefined }, now, routes);
  if ("violations" in checked) {
    for (const { field, description } of checked.violations) checks.add(at + field, description);
  }
}

/** Whether two schedules have the same planned times. */
export function hasSameRule(a: Schedule, b: Schedule): boolean {
  const rule = ({ cron, interval, timeZone, startAt, endAt }: Schedule) =>
    JSON.stringify([cron, interval, timeZone, startAt, endAt]);
  return rule(a) === rule(b);
}
