// Leases and what becomes of them: wire <-> domain. The hot path of the broker: plain loops, nothing made that is not
// handed on.

import {
  type Attach,
  type Credit,
  type FailureReport,
  type Lease,
  type Outcome,
  FailureReason as WireFailureReason,
} from "@drover/proto/v1";
import type { Grant, Hello, OutcomeReport, Report } from "../app/worker-api.js";
import { Checks } from "../core/check.js";
import { invalid, type Refusal } from "../core/errors.js";
import { FailureReason } from "../core/job.js";
import { defaultQueue, sizes, times } from "../core/limits.js";
import { isName, jobId, nameRule } from "../core/names.js";
import { checkContentType } from "../core/spec.js";
import { toInput } from "./convert-flow.js";
import { fromPayload, toPayload } from "./convert-job.js";
import { fromDuration, toDurationOrUnset, toTimestamp, toTimestampOrUnset } from "./time.js";

const most = {
  text: 128,
  instance: 64,
  tasks: 1_000,
  queues: 100,
  held: 10_000,
  credit: 10_000,
  weight: 100,
};
const defaultCreditBytes = 64 * 1024 * 1024;

export function toLease(grant: Grant): Lease {
  const { spec, ref } = grant;
  return {
    leaseId: grant.leaseId,
    token: grant.token,
    jobId: jobId(ref),
    task: ref.task,
    queue: spec.queue,
    priority: spec.priority,
    attempt: grant.attempt,
    failures: grant.failures,
    maxAttempts: spec.retry?.maxAttempts ?? 0,
    payload: toPayload(grant.payload),
    labels: spec.labels,
    headers: spec.headers,
    submittedAt: toTimestamp(spec.submittedAt),
    softTimeLimit: toDurationOrUnset(spec.softLimit),
    hardTimeLimit: toDurationOrUnset(spec.hardLimit),
    expiresAt: toTimestampOrUnset(grant.expiresAt),
    inputs: grant.inputs.map(toInput),
    inputCount: spec.flow?.dependsOn.length ?? 0,
    flow: spec.flow?.flow ?? "",
    flowMember: spec.flow?.member ?? 0,
  };
}

/** Bytes of a grant on the wire, never too low by much. */
export function sizeOfGrant(grant: Grant): number {
  const { labels, headers } = grant.spec;
  const inputs = grant.inputs.reduce(
    (sum, { end }) => sum + 64 + end.jobId.length + (end.result?.data.length ?? 0),
    0,
  );
  return 512 + inputs + (grant.payload?.data.length ?? 0) + sizeOfEntries(labels) + sizeOfEntries(headers);
}

function sizeOfEntries(entries: { [name: string]: string }): number {
  let size = 0;
  for (const name in entries) size += name.length + (entries[name]?.length ?? 0) * 3 + 8;
  return size;
}

const release: Report = { type: "release" };
const cancelled: Report = { type: "cancelled" };

/** What an outcome reports, or what is wrong with it. The lease it names is the caller's to check. */
export function toReport({ report }: Outcome): Report | Refusal {
  switch (report?.$case) {
    case "success": {
      const result = fromPayload(report.value.result);
      if (result === undefined || result.type === "") return { type: "success", result };
      const checks = new Checks();
      checkContentType(checks, "success.result.content_type", result.type);
      return checks.failed ? invalid(checks.violations) : { type: "success", result };
    }
    case "failure":
      return toFailureReport(report.value);
    case "release":
      return release;
    case "snooze": {
      const delay = fromDuration(report.value.delay) ?? 0;
      const checks = new Checks();
      checks.duration("snooze.delay", delay, 0, times.longestWait);
      return checks.failed ? invalid(checks.violations) : { type: "snooze", delay };
    }
    case "cancelled":
      return cancelled;
    default:
      return invalid([
        { field: "report", description: "is required: success, failure, release, snooze or cancelled" },
      ]);
  }
}

const reportable: Partial<Record<WireFailureReason, number>> = {
  [WireFailureReason.FAILURE_REASON_UNSPECIFIED]: FailureReason.ERROR,
  [WireFailureReason.FAILURE_REASON_ERROR]: FailureReason.ERROR,
  [WireFailureReason.FAILURE_REASON_PERMANENT]: FailureReason.PERMANENT,
  [WireFailureReason.FAILURE_REASON_TIME_LIMIT]: FailureReason.TIME_LIMIT,
};

function toFailureReport(failure: FailureReport): Report | Refusal {
  const { type, message, stack } = failure;
  const reason = reportable[failure.reason];
  const retryAfter = fromDuration(failure.retryAfter);
  if (reason !== undefined && retryAfter === undefined) {
    return { type: "failure", failure: { reason, type, message, stack }, retryAfter };
  }
  const checks = new Checks();
  if (reason === undefined) {
    checks.add(
      "failure.reason",
      `${failure.reason} is not a worker's to report: use ERROR, PERMANENT or TIME_LIMIT`,
    );
  }
  if (retryAfter !== undefined) checks.duration("failure.retry_after", retryAfter, 0, times.longestWait);
  if (reason === undefined || checks.failed) return invalid(checks.violations);
  return { type: "failure", failure: { reason, type, message, stack }, retryAfter };
}

/** For a session, where a report that breaks a limit must not leave its job running for ever: the attempt fails, and
 *  the job's history says why. */
function failureOfMisreport(refusal: Refusal): Report {
  return {
    type: "failure",
    failure: { reason: FailureReason.ERROR, type: "InvalidReport", message: refusal.message, stack: "" },
    retryAfter: undefined,
  };
}

/** Outcomes of a session. @throws Refusal INVALID_ARGUMENT for what no job could be told about */
export function toSessionOutcomes(outcomes: readonly Outcome[]): OutcomeReport[] {
  if (outcomes.length < 1 || outcomes.length > sizes.batch) {
    const checks = new Checks();
    checks.size("outcomes.outcomes", outcomes.length, 1, sizes.batch);
    checks.done();
  }
  const reports: OutcomeReport[] = new Array(outcomes.length);
  for (let i = 0; i < outcomes.length; i++) {
    const outcome = outcomes[i] as Outcome;
    const { leaseId, token } = outcome;
    if (leaseId === 0 && token === "") {
      throw invalid([
        { field: `outcomes.outcomes[${i}]`, description: "names no lease: set lease_id or token" },
      ]);
    }
    const report = toReport(outcome);
    reports[i] = { leaseId, token, report: report instanceof Error ? failureOfMisreport(report) : report };
  }
  return reports;
}

/** @throws Refusal INVALID_ARGUMENT */
export function toHello(attach: Attach, peer: string): Hello {
  const checks = new Checks();
  checks.requiredText("attach.worker", attach.worker, most.text);
  if (!isName(attach.instance) || attach.instance.length > most.instance) {
    checks.add("attach.instance", `is required: ${nameRule}, ${most.instance} of them at most`);
  }
  checks.text("attach.sdk", attach.sdk, most.text);
  checks.size("attach.tasks", attach.tasks.length, 1, most.tasks);
  checks.size("attach.queues", attach.queues.length, 0, most.queues);
  checks.size("attach.held", attach.held.length, 0, most.held);
  checkAll(
    checks,
    "attach.tasks",
    "task",
    attach.tasks.slice(0, most.tasks).map(({ task }) => task),
  );
  const queues = attach.queues.slice(0, most.queues);
  checkAll(
    checks,
    "attach.queues",
    "queue",
    queues.map(({ queue }) => queue),
  );
  for (const [i, { weight }] of queues.entries()) {
    checks.integer(`attach.queues[${i}].weight`, weight, 0, most.weight);
  }
  const credit = toCredit(checks, "attach.credit", attach.credit ?? { jobs: 0, bytes: 0 });
  checks.done();
  return {
    worker: attach.worker,
    instance: attach.instance,
    sdk: attach.sdk,
    peer,
    tasks: attach.tasks.map(({ task, concurrency }) => ({ task, concurrency })),
    queues:
      queues.length === 0
        ? [{ queue: defaultQueue, weight: 1 }]
        : queues.map(({ queue, weight }) => ({ queue, weight: weight || 1 })),
    credit,
    held: attach.held,
  };
}

/** Names of a list, each of them once. */
function checkAll(checks: Checks, list: string, field: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const [i, name] of names.entries()) {
    const path = `${list}[${i}].${field}`;
    checks.name(path, name);
    if (seen.has(name)) checks.add(path, `${name} stands there twice: name it once`);
    seen.add(name);
  }
}

export function toCredit(checks: Checks, field: string, credit: Credit): { jobs: number; bytes: number } {
  checks.integer(`${field}.jobs`, credit.jobs, 0, most.credit);
  return { jobs: credit.jobs, bytes: credit.bytes || defaultCreditBytes };
}
