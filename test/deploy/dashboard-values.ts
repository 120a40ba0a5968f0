// What each query of the dashboard has to give after the known load: panel and legend -> values by what the legend says.
// Of what is a rate, the increase counts that happened while Prometheus looked on: one round of the load.

import { version } from "../../broker/src/version.js";

/** For `$__rate_interval`: longer than the test looks on. */
export const window = "10m";
const windowSeconds = 600;

interface Expected {
  /** By what the legend says; others may be there besides. */
  values: Record<string, [least: number, most: number]>;
}

type Values = Record<string, number>;

const exactly = (values: Values): Expected => ({
  values: Object.fromEntries(Object.entries(values).map(([of, value]) => [of, [value, value]])),
});
const between = (least: number, most: number, ...names: string[]): Expected => ({
  values: Object.fromEntries(names.map((name) => [name, [least, most]])),
});
/** Prometheus carries an increase on to where the next sample would be: by a half at most, once it saw four. */
const increased = (by: Values, seconds = 1): Expected => ({
  values: Object.fromEntries(
    Object.entries(by).map(([of, value]) => [of, [(value * 0.95) / seconds, (value * 1.5) / seconds]]),
  ),
});
const rated = (by: Values): Expected => increased(by, windowSeconds);
/** What the load does not bring about; the query is run all the same. */
const maybeNothing: Expected = { values: {} };

/** A sentence for each value that is not as expected. */
export function missing({ values }: Expected, shown: ReadonlyMap<string, number>): string[] {
  return Object.entries(values).flatMap(([of, [least, most]]) => {
    const value = shown.get(of);
    if (value !== undefined && value >= least && value <= most) return [];
    return [`${of} is ${value}, not from ${least} to ${most}: ${[...shown.keys()].join(", ")}`];
  });
}

const instant = 60;

export const expectations: Record<string, Expected> = {
  "Brokers that serve / Brokers that serve": exactly({ "Brokers that serve": 1 }),
  "Workers / Workers": exactly({ Workers: 0 }),
  "Finished / Finished": rated({ Finished: 4 }),
  "Oldest ready job / Oldest ready job": between(0.1, 600, "Oldest ready job"),
  "Dead letters / Dead letters": exactly({ "Dead letters": 2 }),
  "Storage used / Storage used": between(1e-12, 0.9, "Storage used"),
  "Jobs in and out / submitted": rated({ submitted: 14 }),
  "Jobs in and out / started": rated({ started: 6 }),
  "Jobs in and out / finished": rated({ finished: 4 }),
  "Jobs now / ready": exactly({ ready: 17 }),
  "Jobs now / running": exactly({ running: 2 }),
  "Jobs now / scheduled": exactly({ scheduled: 2 }),
  "Jobs now / blocked": exactly({ blocked: 2 }),

  "Submitted / {{task}} in {{queue}}": rated({
    "mail in default": 7,
    "crash in default": 1,
    "tick in default": 4,
  }),
  "Finished by outcome / {{task}} {{outcome}} {{reason}}": rated({
    "mail succeeded ": 3,
    "mail failed PERMANENT": 1,
  }),
  "Ready jobs / {{task}} in {{queue}}": exactly({
    "mail in default": 3,
    "crash in default": 2,
    "step in default": 2,
    "report in slow": 2,
    "tick in default": 8,
  }),
  "Age of the oldest ready job / {{task}} in {{queue}}": between(0.1, 600, "mail in default"),
  "Wait / p50 {{task}}": between(0, instant, "p50 mail"),
  "Wait / p95 {{task}}": between(0, instant, "p95 mail"),
  "Run / p50 {{task}}": between(0, instant, "p50 mail"),
  "Run / p95 {{task}}": between(0, instant, "p95 mail"),
  "Share that fails for good / {{task}}": between(0.249, 0.251, "mail"),
  "Dead letters / {{task}} in {{queue}}": exactly({ "mail in default": 2, "crash in default": 0 }),
  "Scheduled and blocked / {{task}} scheduled": exactly({ "mail scheduled": 2, "step scheduled": 0 }),
  "Scheduled and blocked / {{task}} blocked": exactly({ "step blocked": 2, "mail blocked": 0 }),
  "Retries and repeats / {{task}} retried": rated({ "mail retried": 1 }),
  "Retries and repeats / {{task}} deduplicated": rated({ "mail deduplicated": 1 }),
  "Held back by limits / {{task}} in {{queue}}": exactly({ "report in slow": 2 }),
  "Limits / {{queue}}{{task}} tokens": exactly({ "slow tokens": 0 }),
  "Limits / {{queue}}{{task}} places": exactly({ "slow places": 4 }),
  "Limits / {{queue}}{{task}} taken": exactly({ "slow taken": 1 }),
  "Firings of schedules / {{outcome}}": increased({ submitted: 4 }),
  "Overdue schedules / overdue": exactly({ overdue: 0 }),

  "Sessions / {{instance}}": exactly({ broker: 0 }),
  "Slots / running": exactly({ running: 2 }),
  "Slots / free": exactly({ free: 0 }),
  "Running jobs / {{task}}": exactly({ mail: 1, report: 1, crash: 0 }),
  "Lost leases / {{task}}": rated({ crash: 1 }),
  "Refused reports / {{reason}}": rated({ LEASE_LOST: 1 }),
  "Tickets written anew / {{why}}": maybeNothing,

  "Calls / {{method}}": rated({ "JobService/Submit": 10, "FlowService/Submit": 1, "WorkerService/Ack": 2 }),
  "Calls that failed / {{method}} {{code}}": rated({ "JobService/Submit INVALID_ARGUMENT": 1 }),
  "Length of calls / {{method}}": between(1e-6, instant, "JobService/Submit", "WorkerService/Ack"),
  "Journal: time of a write / p50": between(1e-6, instant, "p50"),
  "Journal: time of a write / p99": between(1e-6, instant, "p99"),
  "Journal: changes in a write / in a write": between(1, 1_000, "in a write"),
  "Journal: changes in a write / waiting": between(0, 1_000, "waiting"),
  "Journal: conflicts and unknown ends / conflicts": between(0.95 / windowSeconds, 1, "conflicts"),
  "Journal: conflicts and unknown ends / unknown": exactly({ unknown: 0 }),
  "Sweeps / {{kind}}": maybeNothing,
  "Delays: how late / by the {{by}}": maybeNothing,
  "Event loop / {{instance}}": between(0, 10, "broker"),
  "CPU / {{instance}}": between(1e-4, 4, "broker"),
  "Memory / {{instance}}": between(3e7, 2e9, "broker"),
  "Versions / {{version}}": exactly({ [version]: 1 }),

  "Requests / {{operation}}": between(1 / windowSeconds, 1_000, "DIRECT.GET", "STREAM.INFO", "CONSUMER.LIST"),
  "Requests that failed / {{operation}} {{outcome}}": maybeNothing,
  "Time of a request / {{operation}}": between(1e-6, instant, "DIRECT.GET", "STREAM.INFO"),
  "Storage / used": between(1, 1e9, "used"),
  "Storage / limit": between(1e6, 1e15, "limit"),
  "Storage / free on disk": between(1, 1e15, "free on disk"),
  "Messages / {{stream}}": between(20, 200, "DROVER_default_0"),
  "Size / {{stream}}": between(1_000, 1e7, "DROVER_default_0"),
  "Consumers / {{stream}}": between(5, 12, "DROVER_default_0"),
  "Submits refused / Submits refused": exactly({ "Submits refused": 0 }),
};
