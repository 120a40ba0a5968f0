// What a planned time that has come means, of a schedule and its record alone: what is to be submitted, what is left out,
// and what the record says once it is dealt with. Who submits and writes is firings.ts.

import { Refusal } from "../core/errors.js";
import type { Spec } from "../core/job.js";
import { scheduleLimits } from "../core/limits.js";
import { jobId } from "../core/names.js";
import { type Due, dueOf, planOf, type Schedule } from "../core/schedule.js";
import { isPassing } from "./fences.js";
import type { Firing, FiringTicket, KnownSchedule, ScheduleRecord } from "./schedule-ports.js";
import type { FiredAs, Log } from "./telemetry.js";

/** Numbers of drover.v1.FiringOutcome. */
const outcomes = { submitted: 1, overlap: 2, misfire: 3, triggered: 4, refused: 5 } as const;

/** A schedule whose time has come, and what is to be done. */
export interface Round {
  /** More than one: the same alarm was delivered again before it was dealt with. */
  tickets: FiringTicket[];
  known: KnownSchedule & { record: ScheduleRecord };
  schedule: Schedule;
  due: Due;
  jobs: { plannedAt: number; spec: Spec | Refusal }[];
  overlapped: number[];
}

/** A round and what it came to. */
export interface Done {
  round: Round;
  record: ScheduleRecord;
  /** Jobs that may not be. */
  refused: number;
}

/** `now`: ms, by the server's clock. `grace`: after how long a time that nobody dealt with is missed, ms. */
export function roundOf(
  ticket: FiringTicket,
  known: Round["known"],
  schedule: Schedule,
  now: number,
  grace: number,
): Round {
  const plan = planOf(schedule, known.record.declaredAt);
  // Its alarm never goes off early: what this broker takes for the server's time may be behind.
  const due = dueOf(plan, schedule, known.record.lastAt, Math.max(now, ticket.plannedAt), grace);
  return { tickets: [ticket], known, schedule, due, jobs: [], overlapped: [] };
}

/** Whether it matters to it that the job before still runs. */
export function heedsOverlap({ schedule, due, known }: Round): boolean {
  return schedule.overlap !== "allow" && due.run.length > 0 && known.record.lastKey !== "";
}

/** Of the times that are due those that are to run, where the job before has ended or `isRunning`. */
export function timesToRun({ schedule, due }: Round, isRunning: boolean): number[] {
  switch (schedule.overlap) {
    case "allow":
      return due.run;
    case "skip":
      return isRunning ? [] : due.run.slice(0, 1);
    case "cancel-previous":
      return due.run.slice(-1);
  }
}

/** What there is once this round is dealt with; undefined: the store did not take a job, so it is tried again. */
export function recordAfter(
  { known, due, jobs, overlapped }: Round,
  refusals: ReadonlyMap<string, Refusal>,
  handledAt: number,
  log: Pick<Log, "warn">,
): Omit<Done, "round"> | undefined {
  let refused = 0;
  let record: ScheduleRecord = { ...known.record, lastAt: due.handled, nextAt: due.next };
  if (due.missed > 0) {
    const { missed: count, lastMissed: plannedAt } = due;
    log.warn({ schedule: record.name, missed: count, plannedAt }, "a schedule did not fire in time");
    record = withFiring(record, { outcome: "misfire", plannedAt, handledAt, count });
  }
  for (const plannedAt of overlapped)
    record = withFiring(record, { outcome: "overlap", plannedAt, handledAt });
  for (const { plannedAt, spec } of jobs) {
    const refusal = spec instanceof Refusal ? spec : refusals.get(jobId(spec));
    if (refusal !== undefined && (isPassing(refusal) || refusal.reason === "STORAGE_FULL")) return undefined;
    if (refusal !== undefined || spec instanceof Refusal) {
      const detail = refusal?.message.slice(0, 500) ?? "";
      record = withFiring(record, { outcome: "refused", plannedAt, handledAt, detail });
      log.warn({ schedule: record.name, refused: detail }, "a schedule's job was refused");
      refused++;
      continue;
    }
    record = withFiring(record, { outcome: "submitted", plannedAt, handledAt, jobId: jobId(spec) });
    record = { ...record, lastTask: spec.task, lastKey: spec.key };
  }
  return { record, refused };
}

/** Planned times, by what became of them. */
export function countsOf({ round, refused }: Done): Record<FiredAs, number> {
  return {
    submitted: round.jobs.length - refused,
    overlap: round.overlapped.length,
    misfire: round.due.missed,
    refused,
  };
}

export function ackAll({ tickets }: Round): void {
  for (const ticket of tickets) ticket.ack();
}

/** The record with one more firing, of which the latest are kept. */
export function withFiring(
  record: ScheduleRecord,
  firing: { outcome: keyof typeof outcomes } & Partial<Omit<Firing, "outcome">>,
): ScheduleRecord {
  const whole: Firing = {
    plannedAt: 0,
    handledAt: 0,
    jobId: "",
    count: 0,
    detail: "",
    ...firing,
    outcome: outcomes[firing.outcome],
  };
  return { ...record, firings: [whole, ...record.firings].slice(0, scheduleLimits.firings) };
}
