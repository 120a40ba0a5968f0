// What a submitter may ask for. A draft is checked whole, so that one answer names all that is wrong with it, and
// becomes the spec that is stored, with every default written out: a default that changes later changes no stored job.

import { byteLength, Checks, quote } from "./check.js";
import { sayDuration } from "./duration.js";
import type { Violation } from "./errors.js";
import type { RetryPolicy, Spec } from "./job.js";
import { defaultPriority, defaultQueue, retryDefaults, sizes, times } from "./limits.js";
import { isName, nameRule } from "./names.js";
import { noRoutes, type Routing } from "./routes.js";

/** A job as it is asked for. Durations are ms, times ms since 1970; NaN stands for one that could not be understood. */
export interface Draft {
  task: string;
  /** Empty = one is made later. */
  key: string;
  queue?: string | undefined;
  priority?: number | undefined;
  payload?: { data: Uint8Array; contentType: string } | undefined;
  delay?: number | undefined;
  runAt?: number | undefined;
  startBy?: number | undefined;
  retry?: Partial<{ [K in keyof RetryPolicy]: number | undefined }> | undefined;
  softLimit?: number | undefined;
  hardLimit?: number | undefined;
  retention?: number | undefined;
  labels: { [name: string]: string };
  headers: { [name: string]: string };
  /** Without a period: until the job has ended. */
  unique?: { key: string; period: number | undefined } | undefined;
  debounce?: { wait: number | undefined; maxWait: number | undefined } | undefined;
  /** Jobs of the task with the same one run so many at a time. */
  concurrencyKey?: string | undefined;
}

/** The spec of a draft, or all that is wrong with it, with paths relative to the job. `submittedAt` is left open.
 *  `now` is the nats-server's time in ms, from which a delay counts. What the draft does not say of its queue and
 *  priority the routes do. */
export function specOfDraft(
  draft: Draft,
  now: number,
  routes: Routing = noRoutes,
): { spec: Spec } | { violations: readonly Violation[] } {
  const checks = new Checks();
  checks.name("task", draft.task);
  if (draft.key !== "") checks.name("key", draft.key);
  const route = placeIsOpen(draft) ? routes.find(draft) : undefined;
  const queue = draft.queue ?? route?.queue ?? defaultQueue;
  checks.name("queue", queue);
  const priority = draft.priority ?? route?.priority ?? defaultPriority;
  if (draft.priority !== undefined) checks.integer("priority", priority, 0, 9);
  checkPayload(checks, draft);
  const runAt = dueTime(checks, draft, now);
  checkStartBy(checks, draft.startBy, Math.max(runAt, now));
  checkRunLimits(checks, draft);
  const retry = draft.retry === undefined ? retryDefaults : retryPolicy(checks, draft.retry);
  checkRetention(checks, draft.retention);
  checkLabels(checks, draft.labels);
  checkHeaders(checks, draft.headers);
  checkUnique(checks, draft);
  if (draft.concurrencyKey !== undefined) checks.name("concurrency_key", draft.concurrencyKey);
  if (checks.failed) return { violations: checks.violations };
  return {
    spec: {
      task: draft.task,
      key: draft.key,
      queue,
      priority,
      payload: draft.payload && {
        data: draft.payload.data,
        type: draft.payload.contentType,
        externalSize: 0,
      },
      retry,
      softLimit: draft.softLimit ?? 0,
      hardLimit: draft.hardLimit ?? 0,
      startBy: draft.startBy ?? 0,
      retention: draft.retention,
      labels: draft.labels,
      headers: draft.headers,
      submittedAt: 0,
      runAt,
      traceParent: "",
      flow: undefined,
      inputs: [],
      concurrencyKey: draft.concurrencyKey ?? "",
      limits: [],
      unique: draft.unique && {
        key: draft.unique.key,
        until: draft.unique.period === undefined ? 0 : now + draft.unique.period,
      },
      debounce: draft.debounce && debounceOf(draft.debounce, now),
      schedule: undefined,
    },
  };
}

/** Violations with their paths put below `prefix`, for example `jobs[3].`. */
export function below(prefix: string, violations: readonly Violation[]): Violation[] {
  return violations.map(({ field, description }) => ({ field: prefix + field, description }));
}

function placeIsOpen({ queue, priority }: Draft): boolean {
  return queue === undefined || priority === undefined;
}

function checkPayload(checks: Checks, { payload }: Draft): void {
  if (payload === undefined) return;
  const { length } = payload.data;
  if (length > sizes.payload) {
    checks.add(
      "payload.data",
      `has ${length} bytes, the limit is ${sizes.payload}: store it elsewhere and pass a reference`,
    );
  }
  checkContentType(checks, "payload.content_type", payload.contentType);
}

const mediaType = /^[\w.+-]+\/[\w.+-]+(\s*;[\x20-\x7e]*)?$/;

/** Empty, or a media type such as `application/cbor`. */
export function checkContentType(checks: Checks, field: string, type: string): void {
  if (type === "") return;
  checks.text(field, type, sizes.contentType);
  if (!mediaType.test(type)) {
    checks.add(field, `${quote(type)} is not a media type: leave it empty for application/json`);
  }
}

/** First due time, ms since 1970; 0 = at once. */
function dueTime(checks: Checks, draft: Draft, now: number): number {
  const { delay, runAt } = draft;
  if (draft.debounce !== undefined) return debounced(checks, draft, now);
  if (delay !== undefined && runAt !== undefined) {
    checks.add("run_at", "is set together with delay: keep one of the two");
    return 0;
  }
  if (delay !== undefined) {
    checks.duration("delay", delay, 0, times.longestDelay);
    return delay > 0 ? now + delay : 0;
  }
  if (runAt === undefined) return 0;
  checkTime(checks, "run_at", runAt);
  return runAt > now ? runAt : 0;
}

/** When a job that is debounced runs, unless it is submitted again before. */
function debounced(checks: Checks, { key, delay, runAt, unique, debounce }: Draft, now: number): number {
  const { wait = Number.NaN, maxWait } = debounce ?? {};
  checks.duration("debounce.wait", wait, 1, times.longestWait);
  if (maxWait !== undefined) {
    checks.duration("debounce.max_wait", maxWait, 1, times.longestWait);
    if (maxWait < wait) {
      checks.add(
        "debounce.max_wait",
        `is ${sayDuration(maxWait)}, below wait (${sayDuration(wait)}): raise it`,
      );
    }
  }
  if (key === "")
    checks.add("debounce", "needs a key: later submits replace the waiting job of the same key");
  if (delay !== undefined) checks.add("delay", "is set together with debounce, whose wait it is: drop it");
  if (runAt !== undefined) checks.add("run_at", "is set together with debounce, whose wait it is: drop it");
  if (unique !== undefined) {
    checks.add("unique", "is set together with debounce: one refuses what the other replaces, keep one");
  }
  return now + wait;
}

function debounceOf({ wait = 0, maxWait }: NonNullable<Draft["debounce"]>, now: number) {
  return { wait, latest: maxWait === undefined ? 0 : now + maxWait };
}

function checkUnique(checks: Checks, { unique }: Draft): void {
  if (unique === undefined) return;
  checks.name("unique.key", unique.key);
  if (unique.period !== undefined) {
    checks.duration("unique.period", unique.period, times.shortestUnique, times.longestWait);
  }
}

function checkStartBy(checks: Checks, startBy: number | undefined, due: number): void {
  if (startBy === undefined) return;
  checkTime(checks, "start_by", startBy);
  if (startBy <= due) {
    checks.add(
      "start_by",
      `is not after the time the job is due (${new Date(due).toISOString()}): it could never run`,
    );
  }
}

function checkTime(checks: Checks, field: string, time: number): void {
  if (Number.isNaN(time))
    checks.add(field, "is not a valid timestamp: seconds since 1970, nanos of 0 to 999999999");
  else if (time >= times.never) checks.add(field, "is after the year 2200: choose an earlier time");
}

function checkRunLimits(checks: Checks, { softLimit, hardLimit }: Draft): void {
  if (softLimit !== undefined) checks.duration("soft_time_limit", softLimit, 1, times.longestWait);
  if (hardLimit !== undefined) checks.duration("hard_time_limit", hardLimit, 1, times.longestWait);
  if (softLimit !== undefined && hardLimit !== undefined && softLimit > hardLimit) {
    checks.add(
      "soft_time_limit",
      `is ${sayDuration(softLimit)}, more than hard_time_limit (${sayDuration(hardLimit)}): the handler would never be told`,
    );
  }
}

function retryPolicy(checks: Checks, asked: NonNullable<Draft["retry"]>): RetryPolicy {
  const policy: RetryPolicy = {
    maxAttempts: asked.maxAttempts ?? retryDefaults.maxAttempts,
    maxCrashes: asked.maxCrashes ?? retryDefaults.maxCrashes,
    initialDelay: asked.initialDelay ?? retryDefaults.initialDelay,
    factor: asked.factor ?? retryDefaults.factor,
    maxDelay: asked.maxDelay ?? retryDefaults.maxDelay,
    jitter: asked.jitter ?? retryDefaults.jitter,
  };
  checks.integer("retry.max_attempts", policy.maxAttempts, 1, 1_000);
  checks.integer("retry.max_crashes", policy.maxCrashes, 0, 100);
  checks.duration("retry.initial_delay", policy.initialDelay, 0, times.longestWait);
  checks.duration("retry.max_delay", policy.maxDelay, 0, times.longestWait);
  checks.number("retry.factor", policy.factor, 1, 100);
  checks.number("retry.jitter", policy.jitter, 0, 1);
  if (policy.maxDelay < policy.initialDelay) {
    const unset = asked.maxDelay === undefined ? ", its default," : "";
    checks.add(
      "retry.max_delay",
      `is ${sayDuration(policy.maxDelay)}${unset} below initial_delay (${sayDuration(policy.initialDelay)}): raise it`,
    );
  }
  return policy;
}

function checkRetention(checks: Checks, retention: number | undefined): void {
  if (retention === undefined || retention === 0) return;
  if (retention >= times.idempotencyWindow && retention <= times.longestRetention) return;
  const range = `0 or ${sayDuration(times.idempotencyWindow)} to ${sayDuration(times.longestRetention)}`;
  checks.add(
    "result_retention",
    Number.isNaN(retention)
      ? `is not a valid duration: ${range}`
      : `is ${sayDuration(retention)}, must be ${range}`,
  );
}

export function checkLabels(checks: Checks, labels: Draft["labels"], field = "labels"): void {
  let found = 0;
  for (const name in labels) {
    found++;
    checkEntryName(checks, field, name);
    checks.bytes(`${field}[${quote(name)}]`, labels[name] ?? "", sizes.labelValue);
  }
  if (found > sizes.labels) checks.add(field, `are ${found}, the limit is ${sizes.labels}: drop some`);
}

function checkHeaders(checks: Checks, headers: Draft["headers"]): void {
  let found = 0;
  let bytes = 0;
  for (const name in headers) {
    found++;
    checkEntryName(checks, "headers", name);
    bytes += name.length + byteLength(headers[name] ?? "");
  }
  if (found > sizes.headers) checks.add("headers", `are ${found}, the limit is ${sizes.headers}: drop some`);
  if (bytes > sizes.headerBytes) {
    checks.add("headers", `have ${bytes} bytes together, the limit is ${sizes.headerBytes}: shorten them`);
  }
}

function checkEntryName(checks: Checks, field: string, name: string): void {
  if (!isName(name)) checks.add(field, `${quote(name)} is not a name: use ${nameRule}`);
}
