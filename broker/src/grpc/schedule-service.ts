// drover.v1.ScheduleService.

import {
  MisfirePolicy,
  OverlapPolicy,
  type ScheduleServiceServer,
  Schedule as WireSchedule,
  type ScheduleView as WireView,
} from "@drover/proto/v1";
import type { SchedulesApi, ScheduleView } from "../app/schedule-api.js";
import { Checks } from "../core/check.js";
import { scheduleLimits } from "../core/limits.js";
import type { Misfire, Overlap, Schedule } from "../core/schedule.js";
import type { Calls } from "./calls.js";
import { toDraft } from "./convert-job.js";
import { fromDuration, fromTimestamp, toTimestamp, toTimestampOrUnset } from "./time.js";

const page = { unset: 100, largest: 1_000 };
const previewUnset = 10;

const overlaps = new Map<OverlapPolicy, Overlap>([
  [OverlapPolicy.OVERLAP_POLICY_UNSPECIFIED, "allow"],
  [OverlapPolicy.OVERLAP_POLICY_ALLOW, "allow"],
  [OverlapPolicy.OVERLAP_POLICY_SKIP, "skip"],
  [OverlapPolicy.OVERLAP_POLICY_CANCEL_PREVIOUS, "cancel-previous"],
]);
const misfires = new Map<MisfirePolicy, Misfire>([
  [MisfirePolicy.MISFIRE_POLICY_UNSPECIFIED, "once"],
  [MisfirePolicy.MISFIRE_POLICY_ONCE, "once"],
  [MisfirePolicy.MISFIRE_POLICY_SKIP, "skip"],
  [MisfirePolicy.MISFIRE_POLICY_CATCH_UP, "catch-up"],
]);

export function scheduleService(schedules: SchedulesApi, calls: Calls): ScheduleServiceServer {
  return {
    put: calls.unary("ScheduleService/Put", async (request) => {
      const { owner, removeUndeclared, dryRun } = request;
      const checks = new Checks();
      for (const [i, schedule] of request.schedules.entries())
        checkPolicies(checks, `schedules[${i}].`, schedule);
      checks.done();
      const declared = request.schedules.map((schedule) => ({
        schedule: fromWire(schedule),
        bytes: WireSchedule.encode(schedule).finish(),
      }));
      return await schedules.put({ owner, schedules: declared, removeUndeclared, dryRun });
    }),

    get: calls.unary("ScheduleService/Get", async ({ name }) => ({
      schedule: toView(await schedules.get(name)),
    })),

    list: calls.unary("ScheduleService/List", async ({ owner, task, pageSize, pageToken }) => {
      const checks = new Checks();
      if (owner !== "") checks.name("owner", owner);
      if (task !== "") checks.name("task", task);
      checks.integer("page_size", pageSize, 0, page.largest);
      if (pageToken !== "") checks.name("page_token", pageToken);
      checks.done();
      const found = await schedules.list({ owner, task, pageSize: pageSize || page.unset, pageToken });
      return { schedules: found.schedules.map(toView), nextPageToken: found.nextPageToken };
    }),

    delete: calls.unary("ScheduleService/Delete", async ({ name }) => {
      await schedules.remove(name);
      return {};
    }),

    pause: calls.unary("ScheduleService/Pause", async ({ name }) => ({
      schedule: toView(await schedules.pause(name)),
    })),

    resume: calls.unary("ScheduleService/Resume", async ({ name }) => ({
      schedule: toView(await schedules.resume(name)),
    })),

    trigger: calls.unary("ScheduleService/Trigger", async ({ name }) => ({
      jobId: await schedules.trigger(name),
    })),

    preview: calls.unary("ScheduleService/Preview", async ({ name, schedule, count, from }) => {
      const checks = new Checks();
      checks.integer("count", count, 0, scheduleLimits.preview);
      const since = fromTimestamp(from);
      if (Number.isNaN(since)) checks.add("from", "is not a valid timestamp");
      if ((name === "") === (schedule === undefined)) {
        checks.add("schedule", "one of name and schedule is required, and not both");
      }
      if (schedule !== undefined) checkPolicies(checks, "schedule.", schedule);
      checks.done();
      const of = schedule === undefined ? name : fromWire(schedule);
      const times = await schedules.preview(of, count || previewUnset, since ?? 0);
      return { times: times.map(toTimestamp) };
    }),
  };
}

/** A schedule of the bytes that its owner sent, which were checked when it was declared. */
export function readSchedule(declared: Uint8Array): Schedule {
  return fromWire(WireSchedule.decode(declared));
}

function checkPolicies(checks: Checks, at: string, { overlap, misfire }: WireSchedule): void {
  if (!overlaps.has(overlap)) {
    checks.add(`${at}overlap`, `${overlap} is no OverlapPolicy: leave it unset for ALLOW`);
  }
  if (!misfires.has(misfire)) {
    checks.add(`${at}misfire`, `${misfire} is no MisfirePolicy: leave it unset for ONCE`);
  }
}

function fromWire(schedule: WireSchedule): Schedule {
  const { name, rule, timeZone, job, maxCatchUp, paused, description } = schedule;
  return {
    name,
    cron: rule?.$case === "cron" ? rule.value : undefined,
    interval: rule?.$case === "interval" ? fromDuration(rule.value) : undefined,
    timeZone,
    job: job && toDraft(job),
    overlap: overlaps.get(schedule.overlap) ?? "allow",
    misfire: misfires.get(schedule.misfire) ?? "once",
    maxCatchUp,
    jitter: fromDuration(schedule.jitter),
    startAt: fromTimestamp(schedule.startAt),
    endAt: fromTimestamp(schedule.endAt),
    paused,
    description,
  };
}

function toView({ record }: ScheduleView): WireView {
  const { declared, owner, createdAt, changedAt, lastAt, nextAt, paused, firings } = record;
  return {
    schedule: { ...WireSchedule.decode(declared), paused },
    owner,
    createdAt: toTimestampOrUnset(createdAt),
    changedAt: toTimestampOrUnset(changedAt),
    nextAt: toTimestampOrUnset(nextAt),
    lastAt: toTimestampOrUnset(lastAt),
    firings: firings.map(({ plannedAt, handledAt, outcome, jobId, count, detail }) => ({
      plannedAt: toTimestampOrUnset(plannedAt),
      handledAt: toTimestampOrUnset(handledAt),
      outcome,
      jobId,
      count,
      detail,
    })),
  };
}
