// Jobs as they are stored, for tests of the rules: plain ones, of which a test says only what it is about.

import {
  type Hold,
  type Job,
  newJob,
  type Phase,
  type RetryPolicy,
  type ScheduledPhase,
  type Spec,
  type Standing,
  type Stored,
} from "../../broker/src/core/job.js";
import { retryDefaults } from "../../broker/src/core/limits.js";

/** A moment by the nats-server's clock. */
export const now = Date.UTC(2026, 0, 1);

const utf8 = new TextEncoder();

export function json(value: unknown) {
  return { data: utf8.encode(JSON.stringify(value)), type: "", externalSize: 0 };
}

export function aSpec(fields: Partial<Spec> = {}): Spec {
  return {
    task: "mail.send",
    key: "k1",
    queue: "default",
    priority: 5,
    payload: json({ to: "ada" }),
    retry: { ...retryDefaults, jitter: 0 },
    softLimit: 0,
    hardLimit: 0,
    startBy: 0,
    labels: {},
    headers: {},
    submittedAt: now - 1_000,
    runAt: 0,
    traceParent: "",
    flow: undefined,
    inputs: [],
    concurrencyKey: "",
    limits: [],
    unique: undefined,
    debounce: undefined,
    schedule: undefined,
    ...fields,
  };
}

/** A spec with this much of a retry policy. */
export function retrying(policy: Partial<RetryPolicy>, fields: Partial<Spec> = {}): Spec {
  return aSpec({ retry: { ...retryDefaults, jitter: 0, ...policy }, ...fields });
}

export function aHold(fields: Partial<Hold> = {}): Hold {
  return {
    origin: 7,
    worker: "worker-1",
    startedAt: now - 20_000,
    leaseUntil: now + 30_000,
    unary: false,
    lostOnExpiry: false,
    broker: "broker-1",
    ...fields,
  };
}

export function aJob(fields: Partial<Job> = {}, spec: Spec = aSpec()): Job {
  return { ...newJob(spec, "n-submit"), ...fields };
}

/** A message of a job. A held one says who holds it. */
export function stored(
  phase: Phase,
  fields: Partial<Stored> = {},
  job: Partial<Job> = {},
  spec = aSpec(),
): Stored {
  const from = fields.firedFrom ?? phase;
  const hold = from === "held-a" || from === "held-b" ? aHold() : undefined;
  return {
    phase,
    queue: spec.queue,
    priority: spec.priority,
    rev: 3,
    seq: 9,
    nonce: "n-before",
    job: aJob({ hold, ...job }, spec),
    ...fields,
  };
}

/** An alarm: what the schedule of a phase became. */
export function alarmOf(from: ScheduledPhase, job: Partial<Job> = {}, spec = aSpec()): Stored {
  return stored("due", { firedFrom: from }, job, spec);
}

/** All messages that stand for a standing. */
export function standingAs(standing: Standing, job: Partial<Job> = {}, spec = aSpec()): Stored[] {
  switch (standing) {
    case "held":
      return [
        stored("held-a", {}, job, spec),
        stored("held-b", {}, job, spec),
        alarmOf("held-a", job, spec),
        alarmOf("held-b", job, spec),
      ];
    case "later":
    case "blocked":
      return [stored(standing, {}, job, spec), alarmOf(standing, job, spec)];
    case "ready":
      return [stored("ready", {}, job, spec)];
    default:
      return [
        stored(standing, {}, { finishedAt: now - 5_000, ...job }, spec),
        stored("kept", {}, { finishedAt: now - 5_000, outcome: standing, ...job }, spec),
      ];
  }
}
