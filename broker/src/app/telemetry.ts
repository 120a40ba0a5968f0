// What the use cases tell of themselves. ops/ counts it; a broker without metrics uses `silent`.

import type { Spec } from "../core/job.js";
import { traceHeader } from "../core/trace-context.js";
import type { Traces } from "./traces.js";

export interface Line {
  task: string;
  queue: string;
}

export type EndState = "succeeded" | "failed" | "cancelled";

/** `misfire`: nobody was there in time. `overlap`: the job before still ran. `refused`: the job may not be. */
export const firedAs = ["submitted", "overlap", "misfire", "refused"] as const;
export type FiredAs = (typeof firedAs)[number];

export interface Telemetry {
  submitted(line: Line): void;
  deduplicated(line: Line): void;
  /** `waited`: seconds from being ready (or due) to the lease. `traceParent`: see traceOf. */
  started(line: Line, waited: number, traceParent?: string): void;
  /** `ran`: seconds of the last attempt, undefined when none was made. `reason` is FailureReason's name or "". */
  finished(
    line: Line,
    outcome: EndState,
    reason: string,
    ran: number | undefined,
    traceParent?: string,
  ): void;
  retried(line: Line): void;
  /** A delay ended, `late` seconds after its time: by the broker that kept it in mind, or by the store's alarm. */
  promoted(line: Line, by: "broker" | "alarm", late: number): void;
  leaseLost(line: Line): void;
  /** `why`: redelivered, unserved (waited too long in a buffer) or moved. */
  reissued(line: Line, why: string): void;
  /** A report of a superseded lease was refused. */
  refused(reason: string): void;
  /** Attached to this broker now. */
  workers(count: number): void;
  /** One write: changes in it and seconds until its answer. */
  journalBatch(changes: number, seconds: number): void;
  /** Changes that wait to be written. */
  journalQueue(waiting: number): void;
  /** A change met another one of its job. */
  journalConflict(): void;
  /** Changes whose write was not answered. */
  journalUnknown(changes: number): void;
  /** Messages that a sweep of this kind removed. */
  sweep(kind: string, purged: number): void;
  /** A call ended with this gRPC status. */
  rpc(method: string, code: number, seconds: number): void;
  /** A request to JetStream ended, of those that are no writes of the journal. */
  jetstream(operation: string, outcome: "ok" | "refused" | "unanswered", seconds: number): void;
  /** So many planned times of schedules were dealt with by now, ms since 1970. */
  fired(outcome: FiredAs, count: number, at: number): void;
  /** Schedules whose time has passed without anybody dealing with it. */
  schedulesOverdue(count: number): void;
  /** Undefined where nobody collects traces, and then none is worked out. */
  readonly traces: Traces | undefined;
}

const nothing = () => undefined;

export const silent: Telemetry = {
  submitted: nothing,
  deduplicated: nothing,
  started: nothing,
  finished: nothing,
  retried: nothing,
  promoted: nothing,
  leaseLost: nothing,
  reissued: nothing,
  refused: nothing,
  workers: nothing,
  journalBatch: nothing,
  journalQueue: nothing,
  journalConflict: nothing,
  journalUnknown: nothing,
  sweep: nothing,
  rpc: nothing,
  jetstream: nothing,
  fired: nothing,
  schedulesOverdue: nothing,
  traces: undefined,
};

/** What a job's submitter called its trace, be it one or not; "" = nothing. */
export function traceOf(spec: Pick<Spec, "headers">): string {
  return spec.headers[traceHeader] ?? "";
}

/** What became of a job, or of an attempt that another one follows. */
export interface Outcome {
  job: string;
  task: string;
  queue: string;
  /** Number of the last attempt, 0 = none was made. */
  attempt: number;
  outcome: EndState | "retrying" | "crashed";
  /** FailureReason's name, or "". */
  reason: string;
  /** ms that the attempt took, undefined when none was made. */
  ran: number | undefined;
  /** When the next attempt is due, ms since 1970; 0 = at once or never. */
  dueAt: number;
}

/** What the log gets: events of note with their fields, never payloads. */
export interface Log {
  /** At info. Told for every job: it has to cost next to nothing. */
  outcome(outcome: Outcome): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
