// The state machine against what the design says of it, told once more here: which event may meet a job in which
// standing, and all that it may make of it.

import { describe, expect, test } from "vitest";
import {
  FailureReason,
  type Job,
  type Phase,
  type ScheduledPhase,
  type Standing,
  standingOf,
} from "../../../broker/src/core/job.js";
import { counts, sizes } from "../../../broker/src/core/limits.js";
import { armedSchedule } from "../../../broker/src/core/standings.js";
import { advance, type Event, isAllowed, transitions } from "../../../broker/src/core/transitions.js";
import { aHold, alarmOf, now, retrying, standingAs, stored } from "../../support/stored-jobs.js";

const at = { now, random: () => 0.5, nonce: "n-after" };
const run = { worker: "worker-2", startedAt: now - 3_000 };
const error = { reason: FailureReason.ERROR, type: "E", message: "no", stack: "" };

const standings: Standing[] = ["ready", "held", "later", "blocked", "succeeded", "failed", "cancelled"];

/** What each event may lead to, by where it meets the job; what is not named here must be refused. */
const designed: Record<Event["type"], Partial<Record<Standing, Standing[]>>> = {
  hold: { ready: ["held"], held: ["held"] },
  requestCancel: { ready: ["held"], held: ["held"] },
  succeed: { ready: ["succeeded", "failed"], held: ["succeeded", "failed"] },
  fail: { ready: ["later", "ready", "failed", "cancelled"], held: ["later", "ready", "failed", "cancelled"] },
  lose: { ready: ["ready", "failed", "cancelled"], held: ["ready", "failed", "cancelled"] },
  release: { ready: ["ready", "cancelled"], held: ["ready", "cancelled"] },
  snooze: { ready: ["later", "ready", "cancelled"], held: ["later", "ready", "cancelled"] },
  endCancelled: { ready: ["cancelled"], held: ["cancelled"] },
  cancel: { ready: ["cancelled"], later: ["cancelled"], blocked: ["cancelled"] },
  alarm: { held: ["ready", "failed", "cancelled"], later: ["ready"], blocked: ["failed"] },
  promote: { later: ["ready"] },
  reissue: { ready: ["ready", "failed"] },
  expire: { ready: ["failed"] },
  redrive: { failed: ["ready"] },
  replace: { later: ["later", "ready"] },
  park: { ready: ["blocked"] },
  admit: { blocked: ["ready"] },
  move: { ready: ["ready"], later: ["later", "ready"], blocked: ["blocked"] },
  unblock: { blocked: ["ready", "later"] },
  rejoin: { failed: ["ready", "blocked"], cancelled: ["ready", "blocked"] },
};

/** Every event in all its shades. */
const events: Event[] = [
  { type: "hold", hold: aHold({ leaseUntil: now + 60_000 }) },
  { type: "requestCancel", hold: aHold(), reason: "wrong address" },
  { type: "succeed", run, result: undefined },
  { type: "succeed", run, result: { data: new Uint8Array(sizes.result + 1), type: "", externalSize: 0 } },
  { type: "fail", run, failure: error },
  { type: "fail", run, failure: error, retryAfter: 0 },
  { type: "fail", run, failure: { ...error, reason: FailureReason.PERMANENT } },
  { type: "lose", run },
  { type: "release", run },
  { type: "snooze", run, delay: 0 },
  { type: "snooze", run, delay: 60_000 },
  { type: "endCancelled", run },
  { type: "cancel", reason: "no more" },
  { type: "alarm" },
  { type: "promote" },
  { type: "reissue", counted: true },
  { type: "reissue", counted: false },
  { type: "expire" },
  { type: "redrive" },
  { type: "replace", spec: retrying({}, { runAt: now + 1_000 }), body: undefined },
  { type: "replace", spec: retrying({}, { runAt: now }), body: undefined },
  { type: "park" },
  { type: "admit" },
  { type: "move", to: { queue: "elsewhere", priority: 9 } },
  { type: "unblock", run: 0 },
  { type: "rejoin", run: 1, blocked: false },
  { type: "rejoin", run: 1, blocked: true },
];

/** Jobs at and between their limits, as they were submitted and asked to end. */
const shades: Partial<Job>[] = [0, 3, counts.redeliveries].flatMap((counted) =>
  [0, now - 1].map((cancelRequestedAt) => ({
    attempt: 4,
    failures: Math.min(3, counted),
    crashes: Math.min(3, counted),
    redeliveries: counted,
    cancelRequestedAt,
  })),
);
const specs = [
  retrying({ maxAttempts: 4, maxCrashes: 3 }),
  retrying({ maxCrashes: 0 }, { retention: 900_000 }),
  retrying(
    {},
    {
      flow: { flow: "f", member: 1, dependents: [], onFailure: 1, delay: 5_000, dependsOn: [0], run: 0 },
    },
  ),
];

/** Where an event takes a job from a standing, whatever the job. */
function outcomes(type: Event["type"], from: Standing): Set<Standing> {
  const reached = new Set<Standing>();
  for (const event of events.filter((e) => e.type === type)) {
    for (const job of specs.flatMap((spec) => shades.flatMap((shade) => standingAs(from, shade, spec)))) {
      const next = advance(job, event, at);
      reached.add(standingOf({ phase: next.phase, job: next.job }));
    }
  }
  return reached;
}

const cells = (Object.keys(designed) as Event["type"][]).flatMap((type) =>
  standings.map((from) => ({ type, from, to: designed[type][from] ?? [] })),
);

test("the table is the designed one, no event and no standing more", () => {
  expect(transitions).toEqual(designed);
  expect(new Set(events.map(({ type }) => type))).toEqual(new Set(Object.keys(designed)));
});

describe("what the table allows can happen, and nothing else does", () => {
  test.each(cells.filter(({ to }) => to.length > 0))(
    "$type while $from leads to $to",
    ({ type, from, to }) => {
      for (const job of standingAs(from)) expect(isAllowed(job, type)).toBe(true);
      expect([...outcomes(type, from)].sort()).toEqual([...to].sort());
    },
  );
});

describe("what the table does not allow is refused, and throws where it was not asked for", () => {
  test.each(cells.filter(({ to }) => to.length === 0))("$type while $from", ({ type, from }) => {
    for (const job of standingAs(from)) {
      expect(isAllowed(job, type)).toBe(false);
      for (const event of events.filter((e) => e.type === type)) {
        expect(() => advance(job, event, at)).toThrow(`${type} is not allowed while ${from}`);
      }
    }
  });
});

describe("a delay that a broker ends", () => {
  const waiting = (dueAt: number) => stored("later", {}, { dueAt });

  test("leaves a ticket, and ends the schedule under it", () => {
    const from = waiting(now);
    expect(advance(from, { type: "promote" }, at)).toMatchObject({ phase: "ready", fireAt: 0 });
    expect(armedSchedule(from)).toBe("later");
  });

  test("is never ended early", () => {
    expect(() => advance(waiting(now + 1), { type: "promote" }, at)).toThrow("1 ms early");
  });
});

describe("a job that has ended", () => {
  const ended = (["succeeded", "failed", "cancelled"] as const).flatMap((standing) => standingAs(standing));

  test.each(events.filter(({ type }) => type !== "redrive" && type !== "rejoin"))(
    "is beyond the reach of $type",
    ({ type }) => {
      for (const job of ended) expect(isAllowed(job, type)).toBe(false);
    },
  );

  test("comes back by a redrive, and only if it failed", () => {
    const redrivable = ended.filter((job) => isAllowed(job, "redrive"));
    expect(redrivable.map(standingOf)).toEqual(["failed", "failed"]);
  });
});

test.each<[Phase, ScheduledPhase | undefined, string, Standing]>([
  ["ready", undefined, "", "ready"],
  ["held-a", undefined, "", "held"],
  ["held-b", undefined, "", "held"],
  ["later", undefined, "", "later"],
  ["blocked", undefined, "", "blocked"],
  ["due", "held-a", "", "held"],
  ["due", "held-b", "", "held"],
  ["due", "later", "", "later"],
  ["due", "blocked", "", "blocked"],
  ["due", undefined, "", "later"],
  ["succeeded", undefined, "", "succeeded"],
  ["failed", undefined, "", "failed"],
  ["cancelled", undefined, "", "cancelled"],
  ["kept", undefined, "succeeded", "succeeded"],
  ["kept", undefined, "failed", "failed"],
  ["kept", undefined, "cancelled", "cancelled"],
])("a message in %s (fired from %s, kept as %j) stands as %s", (phase, firedFrom, outcome, standing) => {
  expect(standingOf(stored(phase, { firedFrom }, { outcome }))).toBe(standing);
});

describe("a lease", () => {
  test.each<[string, ReturnType<typeof stored>, Phase]>([
    ["a ticket", stored("ready"), "held-a"],
    ["the first subject", stored("held-a"), "held-b"],
    ["the second subject", stored("held-b"), "held-a"],
    ["an alarm of the first", alarmOf("held-a"), "held-b"],
    ["an alarm of the second", alarmOf("held-b"), "held-a"],
  ])(
    "written on %s lies on the other subject, never where a ghost of the one before could land",
    (_, from, phase) => {
      for (const type of ["hold", "requestCancel"] as const) {
        const hold = aHold({ leaseUntil: now + 12_345 });
        const next = advance(from, { type, hold, reason: "" }, at);
        expect(next).toMatchObject({
          phase,
          fireAt: now + 12_345,
          keepFor: 0,
          tombstones: [],
          job: { hold },
        });
      }
    },
  );

  test("keeps the progress that was reported when a heartbeat brings none", () => {
    const progress = { value: 0.5, detail: new Uint8Array(), at: now };
    const before = stored("held-a", {}, { progress });
    expect(advance(before, { type: "hold", hold: aHold() }, at).job.progress).toBe(progress);
    const more = { ...progress, value: 0.75 };
    expect(advance(before, { type: "hold", hold: aHold(), progress: more }, at).job.progress).toBe(more);
  });

  test("asked to end keeps the first wish and its time", () => {
    const first = advance(stored("ready"), { type: "requestCancel", hold: aHold(), reason: "one" }, at).job;
    expect(first).toMatchObject({ cancelRequestedAt: now, cancelReason: "one" });
    const again = advance(
      stored("held-a", {}, first),
      { type: "requestCancel", hold: aHold(), reason: "two" },
      { ...at, now: now + 500 },
    ).job;
    expect(again).toMatchObject({ cancelRequestedAt: now, cancelReason: "one" });
  });

  test("is gone from a job that runs no more, and so is its progress", () => {
    const progress = { value: 0.5, detail: new Uint8Array(), at: now };
    const before = stored("held-b", {}, { progress });
    for (const type of ["succeed", "fail", "lose", "release", "snooze", "endCancelled"] as const) {
      const event = { type, run, failure: error, result: undefined, delay: 1 } as Event;
      expect(advance(before, event, at).job).toMatchObject({ hold: undefined, progress: undefined });
    }
  });
});

test.each<[ReturnType<typeof stored>, Phase | undefined]>([
  [stored("held-a"), "held-a"],
  [stored("held-b"), "held-b"],
  [stored("later"), "later"],
  [stored("blocked"), "blocked"],
  [stored("ready"), undefined],
  [stored("succeeded"), undefined],
  [alarmOf("held-a"), undefined],
  [alarmOf("later"), undefined],
])("leaving $phase takes the schedule %s along: an alarm has none any more", (from, schedule) => {
  expect(armedSchedule(from)).toBe(schedule);
});

describe("older messages are emptied by the commit that makes them meaningless", () => {
  test("the ticket of a cancelled job, so that nobody is handed it", () => {
    expect(advance(stored("ready"), { type: "cancel", reason: "" }, at).tombstones).toEqual(["ready"]);
    for (const from of [stored("later"), alarmOf("later"), stored("blocked"), alarmOf("blocked")]) {
      expect(advance(from, { type: "cancel", reason: "" }, at).tombstones).toEqual([]);
    }
  });

  test("the record of a redriven job, wherever it lay", () => {
    expect(advance(stored("failed"), { type: "redrive" }, at).tombstones).toEqual(["failed"]);
    const kept = stored("kept", {}, { outcome: "failed" });
    expect(advance(kept, { type: "redrive" }, at).tombstones).toEqual(["kept"]);
  });
});
