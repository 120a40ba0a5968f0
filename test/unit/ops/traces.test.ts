import { beforeEach, describe, expect, test } from "vitest";
import { AttemptOutcome, FailureReason, type Spec, type Stored } from "../../../broker/src/core/job.js";
import { parseTraceParent, traceParent } from "../../../broker/src/core/trace-context.js";
import { advance, type Event } from "../../../broker/src/core/transitions.js";
import { JobTraces, type Span } from "../../../broker/src/ops/traces.js";
import { aSpec, now, stored } from "../../support/stored-jobs.js";

const given = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true };
const traced = aSpec({ headers: { traceparent: traceParent(given), tracestate: "vendor=1", other: "x" } });
const run = { worker: "w", startedAt: now - 40 };
const failure = { reason: FailureReason.ERROR, type: "E", message: "secret", stack: "secret" };

let spans: Span[];
beforeEach(() => {
  spans = [];
});

const ready = (spec: Spec) => stored("ready", {}, {}, spec);
const traces = (share = 1) => new JobTraces(share, (span) => spans.push(span));

/** What an event makes of a job. */
function change(before: Stored, event: Event, at = now) {
  const next = advance(before, event, { now: at, random: () => 0.5, nonce: "n" });
  const after: Stored = { ...before, phase: next.phase, rev: before.rev + 1, job: next.job };
  return { before, stored: after, last: 1, next };
}

describe("brokers that know nothing of one another agree on a job's spans", () => {
  test("where it came with a trace", () => {
    const [one, other] = [traces(), traces()];
    one.stored(traced, now);
    const leased = parseTraceParent(other.lent(traced, 2).headers.traceparent);
    const failed = change(ready(traced), { type: "fail", run, failure });
    one.changed(failed, now);
    other.changed(
      change({ ...failed.stored, phase: "ready" }, { type: "succeed", run, result: undefined }),
      now,
    );
    const [submit, first, second, outcome] = spans;
    expect(spans.map(({ name }) => name.split(" ")[0])).toEqual(["submit", "attempt", "attempt", "outcome"]);
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([given.traceId]));
    expect(submit).toMatchObject({ parentId: given.spanId, remoteParent: true });
    expect(first).toMatchObject({ parentId: submit?.spanId, failed: true });
    expect(second).toMatchObject({ parentId: submit?.spanId, failed: false });
    expect(outcome?.parentId).toBe(second?.spanId);
    expect(leased).toEqual({ traceId: given.traceId, spanId: second?.spanId, sampled: true });
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(4);
  });

  test("and where it came without", () => {
    const spec = aSpec();
    traces().stored(spec, now);
    const leased = parseTraceParent(traces().lent(spec, 1).headers.traceparent);
    expect(leased?.traceId).toBe(spans[0]?.traceId);
    expect(spans[0]?.parentId).toBeUndefined();
  });

  test("but two jobs, or one key used twice, are two traces", () => {
    for (const spec of [aSpec(), aSpec({ key: "k2" }), aSpec({ submittedAt: now })])
      traces().stored(spec, now);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(3);
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(3);
  });
});

test("a worker gets all other headers as they were, and its job is not changed for it", () => {
  const lent = traces().lent(traced, 1);
  expect(lent).toEqual({ ...traced, headers: { ...traced.headers, traceparent: lent.headers.traceparent } });
  expect(traced.headers.traceparent).toBe(traceParent(given));
});

test("a trace that nobody collects is left alone", () => {
  const spec = aSpec({ headers: { traceparent: traceParent({ ...given, sampled: false }) } });
  traces().stored(spec, now);
  traces().changed(change(ready(spec), { type: "succeed", run, result: undefined }), now);
  expect(traces().lent(spec, 1)).toBe(spec);
  expect(spans).toEqual([]);
});

test("a share of the jobs that come without a trace gets one, and all that come with one do", () => {
  const half = traces(0.5);
  for (let i = 0; i < 1_000; i++) half.stored(aSpec({ key: `k${i}` }), now);
  expect(spans.length).toBeGreaterThan(400);
  expect(spans.length).toBeLessThan(600);
  spans = [];
  traces(0).stored(aSpec(), now);
  expect(spans).toEqual([]);
  traces(0).stored(traced, now);
  expect(spans).toHaveLength(1);
});

describe("what ends an attempt makes its span, and what does not makes none", () => {
  const ends: [Event, string, number][] = [
    [{ type: "succeed", run, result: undefined }, "succeeded", 2],
    [{ type: "fail", run, failure }, "failed", 1],
    [{ type: "lose", run }, "crashed", 1],
    [{ type: "release", run }, "released", 1],
    [{ type: "snooze", run, delay: 1_000 }, "snoozed", 1],
  ];
  test.each(ends)("%o", (event, outcome, count) => {
    traces().changed(change(ready(traced), event), now + 3);
    expect(spans).toHaveLength(count);
    expect(spans[0]).toMatchObject({ name: "attempt mail.send", start: run.startedAt, end: now });
    expect(spans[0]?.attributes).toMatchObject({ "drover.attempt.outcome": outcome, "drover.worker": "w" });
    expect(Object.values(AttemptOutcome)).toHaveLength(6);
  });

  test("a job that is made ready again was not tried for it", () => {
    traces().changed(change(ready(traced), { type: "reissue", counted: false }), now);
    expect(spans).toEqual([]);
  });
});

test("no span says what an error said", () => {
  traces().changed(change(ready(traced), { type: "fail", run, failure }), now);
  expect(spans[0]?.attributes["error.type"]).toBe("E");
  expect(JSON.stringify(spans)).not.toContain("secret");
});
