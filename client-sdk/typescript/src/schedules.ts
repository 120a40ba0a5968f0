// Schedules: rules kept by the broker that submit jobs by time. Declared by name, with an owner, so that an application
// says all of its own at each start and nothing is declared twice.

import { decode } from "@drover/proto/sdk/payload";
import { toDate, toDuration, toMillis } from "@drover/proto/sdk/time";
import type { Timestamp } from "@drover/proto/v1";
import {
  MisfirePolicy,
  OverlapPolicy,
  ScheduleServiceService,
  FiringOutcome as WireOutcome,
  type Schedule as WireSchedule,
  type ScheduleView as WireView,
} from "@drover/proto/v1/schedule_service";
import type { Caller, CallOptions } from "./call.js";
import { InvalidArgumentError } from "./errors.js";
import { type JobOptions, jobSpec } from "./spec.js";

export interface ScheduleRule {
  /** Five fields (minute, hour, day of month, month, day of week) or six (second first), or @daily and its like. */
  readonly cron?: string;
  /** Instead of cron, ms: 1 s to 365 days, counted from `startAt` or from when it was declared. */
  readonly every?: number;
  /** An IANA name, for cron. Default: UTC. */
  readonly timeZone?: string;
  /** No planned time before, or at and after. */
  readonly startAt?: Date;
  readonly endAt?: Date;
}

export type OverlapRule = "allow" | "skip" | "cancel-previous";
export type MisfireRule = "once" | "skip" | "catch-up";

export interface Schedule extends ScheduleRule {
  /** Unique over all owners: at most 100 characters. */
  readonly name: string;
  readonly task: string;
  readonly payload?: unknown;
  /** Of each of its jobs. Their keys are made of the schedule and the planned time. */
  readonly job?: Omit<JobOptions, "key" | "runAt" | "startBy">;
  /** While the job of an earlier time has not ended. Default: allow. */
  readonly overlap?: OverlapRule;
  /** For times that passed while no broker was there. Default: once. */
  readonly misfire?: MisfireRule;
  /** With catch-up: 1 to 1,000. Default 10. */
  readonly maxCatchUp?: number;
  /** Each job starts up to this much later, by chance, ms: 0 to 1 h. */
  readonly jitter?: number;
  readonly paused?: boolean;
  /** For people. */
  readonly description?: string;
}

export type FiringOutcome = "submitted" | "overlap" | "misfire" | "triggered" | "refused";

export interface Firing {
  readonly plannedAt: Date | undefined;
  readonly handledAt: Date | undefined;
  readonly outcome: FiringOutcome;
  /** Empty: no job was submitted. */
  readonly jobId: string;
  /** Of a misfire: how many times were left out. */
  readonly count: number;
  /** Why the submit was refused. */
  readonly detail: string;
}

export interface ScheduleStatus extends Schedule {
  readonly owner: string;
  readonly changedAt: Date | undefined;
  /** Undefined: never again, or paused. */
  readonly nextAt: Date | undefined;
  /** Everything up to this has been dealt with. */
  readonly lastAt: Date | undefined;
  /** The last 20, the latest first; none in a list. */
  readonly firings: readonly Firing[];
}

export interface SchedulesPut {
  /** By name. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
  /** What the owner has and did not declare: the first 1,000 by name. */
  readonly undeclared: readonly string[];
}

const overlaps: Readonly<Record<OverlapRule, OverlapPolicy>> = {
  allow: OverlapPolicy.OVERLAP_POLICY_ALLOW,
  skip: OverlapPolicy.OVERLAP_POLICY_SKIP,
  "cancel-previous": OverlapPolicy.OVERLAP_POLICY_CANCEL_PREVIOUS,
};
const misfires: Readonly<Record<MisfireRule, MisfirePolicy>> = {
  once: MisfirePolicy.MISFIRE_POLICY_ONCE,
  skip: MisfirePolicy.MISFIRE_POLICY_SKIP,
  "catch-up": MisfirePolicy.MISFIRE_POLICY_CATCH_UP,
};
const outcomes: Readonly<Record<WireOutcome, FiringOutcome>> = {
  [WireOutcome.FIRING_OUTCOME_UNSPECIFIED]: "submitted",
  [WireOutcome.FIRING_OUTCOME_SUBMITTED]: "submitted",
  [WireOutcome.FIRING_OUTCOME_OVERLAP]: "overlap",
  [WireOutcome.FIRING_OUTCOME_MISFIRE]: "misfire",
  [WireOutcome.FIRING_OUTCOME_TRIGGERED]: "triggered",
  [WireOutcome.FIRING_OUTCOME_REFUSED]: "refused",
};

export class Schedules {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Declares an owner's schedules, at most 400: what is new is added, what has changed is changed, the rest left alone.
   *  All or nothing. @throws OwnedByAnotherError for a name that another owner has */
  put(
    owner: string,
    schedules: readonly Schedule[],
    options: CallOptions & {
      /** Also remove what the owner has and does not declare here. */
      readonly removeUndeclared?: boolean;
      /** Only say what would change. */
      readonly dryRun?: boolean;
    } = {},
  ): Promise<SchedulesPut> {
    const { removeUndeclared = false, dryRun = false } = options;
    const declared = schedules.map(wireSchedule);
    const request = { owner, schedules: declared, removeUndeclared, dryRun };
    return this.#caller.call(ScheduleServiceService.put, request, options);
  }

  /** @throws ScheduleNotFoundError, as those below do */
  async get(name: string, options: CallOptions = {}): Promise<ScheduleStatus> {
    return statusOf(await this.#caller.call(ScheduleServiceService.get, { name }, options));
  }

  /** In the order of their names, page by page. */
  async *list(
    filter: { readonly owner?: string; readonly task?: string } = {},
    options: CallOptions = {},
  ): AsyncGenerator<ScheduleStatus> {
    const { owner = "", task = "" } = filter;
    let pageToken = "";
    do {
      const request = { owner, task, pageSize: 500, pageToken };
      const page = await this.#caller.call(ScheduleServiceService.list, request, options);
      for (const schedule of page.schedules) yield statusOf({ schedule });
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Nothing is submitted any more once this has settled. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call(ScheduleServiceService.delete, { name }, options);
  }

  async pause(name: string, options: CallOptions = {}): Promise<ScheduleStatus> {
    return statusOf(await this.#caller.call(ScheduleServiceService.pause, { name }, options));
  }

  /** Goes on from now; what fell into the pause is not made up. */
  async resume(name: string, options: CallOptions = {}): Promise<ScheduleStatus> {
    return statusOf(await this.#caller.call(ScheduleServiceService.resume, { name }, options));
  }

  /** Submits its job now, paused or not. The job's id. Tried once: a second try might submit a second job. */
  async trigger(name: string, options: CallOptions = {}): Promise<string> {
    return (await this.#caller.once(ScheduleServiceService.trigger, { name }, options)).jobId;
  }

  /** The next planned times of a schedule that is there, by its name, or of a rule. */
  async preview(
    of: string | ScheduleRule,
    options: CallOptions & {
      /** 1 to 1,000. Default 10. */
      readonly count?: number;
      /** Default: now. */
      readonly from?: Date;
    } = {},
  ): Promise<Date[]> {
    const { count = 0, from } = options;
    const schedule = typeof of === "string" ? undefined : { ...blank, ...wireRule(of) };
    const request = { name: typeof of === "string" ? of : "", schedule, count, from: wireTime(from) };
    const { times } = await this.#caller.call(ScheduleServiceService.preview, request, options);
    return times.flatMap((time) => toDate(time) ?? []);
  }
}

const blank: WireSchedule = {
  name: "",
  rule: undefined,
  timeZone: "",
  job: undefined,
  overlap: OverlapPolicy.OVERLAP_POLICY_UNSPECIFIED,
  misfire: MisfirePolicy.MISFIRE_POLICY_UNSPECIFIED,
  maxCatchUp: 0,
  jitter: undefined,
  startAt: undefined,
  endAt: undefined,
  paused: false,
  description: "",
};

function wireSchedule(schedule: Schedule): WireSchedule {
  const { name, task, payload = null, job = {}, overlap = "allow", misfire = "once" } = schedule;
  return {
    ...wireRule(schedule),
    name,
    job: jobSpec(task, payload, job, () => ""),
    overlap: overlaps[overlap],
    misfire: misfires[misfire],
    maxCatchUp: schedule.maxCatchUp ?? 0,
    jitter: schedule.jitter === undefined ? undefined : toDuration(schedule.jitter),
    paused: schedule.paused ?? false,
    description: schedule.description ?? "",
  };
}

function wireRule({ cron, every, timeZone = "", startAt, endAt }: ScheduleRule): WireSchedule {
  if (cron !== undefined && every !== undefined) {
    throw InvalidArgumentError.of("every", "is set together with cron: keep one of the two");
  }
  return {
    ...blank,
    rule:
      cron !== undefined
        ? { $case: "cron", value: cron }
        : every !== undefined
          ? { $case: "interval", value: toDuration(every) }
          : undefined,
    timeZone,
    startAt: wireTime(startAt),
    endAt: wireTime(endAt),
  };
}

function wireTime(date: Date | undefined): Timestamp | undefined {
  if (date === undefined) return undefined;
  const seconds = Math.floor(date.getTime() / 1_000);
  return { seconds, nanos: (date.getTime() - seconds * 1_000) * 1_000_000 };
}

function statusOf({ schedule: view }: { schedule: WireView | undefined }): ScheduleStatus {
  const wire = view?.schedule ?? blank;
  const { rule, job, startAt, endAt } = wire;
  const overlap = (Object.keys(overlaps) as OverlapRule[]).find((each) => overlaps[each] === wire.overlap);
  const misfire = (Object.keys(misfires) as MisfireRule[]).find((each) => misfires[each] === wire.misfire);
  const jitter = toMillis(wire.jitter);
  const [from, to] = [toDate(startAt), toDate(endAt)];
  return {
    name: wire.name,
    owner: view?.owner ?? "",
    ...(rule?.$case === "cron" && { cron: rule.value }),
    ...(rule?.$case === "interval" && { every: toMillis(rule.value) ?? 0 }),
    ...(wire.timeZone !== "" && { timeZone: wire.timeZone }),
    task: job?.task ?? "",
    payload: decode(job?.payload),
    job: {
      ...(job?.queue !== undefined && { queue: job.queue }),
      ...(job?.priority !== undefined && { priority: job.priority }),
      labels: job?.labels ?? {},
    },
    overlap: overlap ?? "allow",
    misfire: misfire ?? "once",
    ...(wire.maxCatchUp > 0 && { maxCatchUp: wire.maxCatchUp }),
    ...(jitter !== undefined && { jitter }),
    ...(from !== undefined && { startAt: from }),
    ...(to !== undefined && { endAt: to }),
    paused: wire.paused,
    description: wire.description,
    changedAt: toDate(view?.changedAt),
    nextAt: toDate(view?.nextAt),
    lastAt: toDate(view?.lastAt),
    firings: (view?.firings ?? []).map(({ plannedAt, handledAt, outcome, jobId, count, detail }) => ({
      plannedAt: toDate(plannedAt),
      handledAt: toDate(handledAt),
      outcome: outcomes[outcome],
      jobId,
      count,
      detail,
    })),
  };
}
