import { describe, expect, test } from "vitest";
import type { Phase } from "../../../broker/src/core/job.js";
import { shardOf } from "../../../broker/src/core/names.js";
import {
  asName,
  asToken,
  isUnder,
  keyIn,
  parseBodySubject,
  parseJobSubject,
  Subjects,
} from "../../../broker/src/jetstream/subjects.js";

const subjects = new Subjects("default", 1);
const phases: Phase[] = [
  "ready",
  "held-a",
  "held-b",
  "later",
  "blocked",
  "due",
  "succeeded",
  "failed",
  "cancelled",
  "kept",
];

/** As the server matches a subject. */
function matches(filter: string, subject: string): boolean {
  const tokens = subject.split(".");
  const wanted = filter.split(".");
  for (const [i, token] of wanted.entries()) {
    if (token === ">") return tokens.length > i;
    if (token !== "*" && token !== tokens[i]) return false;
  }
  return tokens.length === wanted.length;
}

test("a job's subject says where it stands, what it is and where it waits", () => {
  expect(subjects.job("ready", { task: "mail", key: "k1" }, "bulk", 9)).toBe(
    "drover.default.0.job.ready.mail.bulk.9.k1.0",
  );
});

describe("a dot in a name is no token of its own", () => {
  const ref = { task: "notifications.send.email", key: "order.17." };

  test("in any place of a subject", () => {
    expect(subjects.job("later", ref, "eu.west", 5)).toBe(
      "drover.default.0.job.later.notifications/send/email.eu/west.5.order/17/.0",
    );
    expect(subjects.body(ref)).toBe("drover.default.0.body.notifications/send/email.order/17/");
    expect(subjects.queue("eu.west")).toBe("drover.default.0.queue.eu/west");
  });

  test.each(["a.b", "...", "plain", "-_."])("%j comes back as it was", (name) => {
    expect(asToken(name)).not.toContain(".");
    expect(asName(asToken(name))).toBe(name);
  });

  test("and two names never share a token", () => {
    expect(asToken("a.b")).not.toBe(asToken("a_b"));
    expect(new Set(["a.b", "a-b", "a_b", "ab"].map(asToken)).size).toBe(4);
  });
});

describe.each(phases)("a subject of %s", (phase) => {
  const ref = { task: "a.b", key: "k.1" };

  test("is read back", () => {
    for (const subject of [
      subjects.job(phase, ref, "q.1", 7),
      subjects.schedule(phase, ref, "q.1", 7, "boot-1z"),
    ]) {
      expect(parseJobSubject(subject)).toEqual({ phase, task: "a.b", queue: "q.1", priority: 7, key: "k.1" });
      expect(keyIn(subject)).toBe("k.1");
    }
  });

  test("is among its job's, its phase's and its shard's, and nobody else's", () => {
    for (const subject of [
      subjects.job(phase, ref, "q.1", 7),
      subjects.schedule(phase, ref, "q.1", 7, "boot-1z"),
    ]) {
      for (const filter of [
        subjects.ofJob(ref),
        subjects.phase(0, phase),
        subjects.phase(0, phase, "a.b"),
        subjects.phase(0, phase, undefined, "q.1"),
        subjects.phase(0, phase, "a.b", "q.1"),
        subjects.all(0),
      ]) {
        expect(matches(filter, subject)).toBe(true);
      }
      for (const filter of [
        subjects.ofJob({ task: "a.b", key: "k" }),
        subjects.ofJob({ task: "a", key: "k.1" }),
        subjects.phase(1, phase),
        subjects.phase(0, phase, "a"),
        subjects.phase(0, phase, undefined, "q"),
        subjects.bodies(0),
        subjects.queues(),
        subjects.all(1),
      ]) {
        expect(matches(filter, subject)).toBe(false);
      }
    }
  });
});

test("a lane takes tickets of its task, queue and priority only", () => {
  const lane = subjects.lane({ task: "a.b", queue: "q", priority: 5 });
  const ref = { task: "a.b", key: "k" };
  expect(lane).toBe("drover.default.0.job.ready.a/b.q.5.*.*");
  expect(matches(lane, subjects.job("ready", ref, "q", 5))).toBe(true);
  for (const other of [
    subjects.job("ready", ref, "q", 6),
    subjects.job("ready", ref, "r", 5),
    subjects.job("ready", { ...ref, task: "a" }, "q", 5),
    subjects.job("due", ref, "q", 5),
    subjects.schedule("later", ref, "q", 5, "n"),
  ]) {
    expect(matches(lane, other)).toBe(false);
  }
});

test("the filter of a job is always the same text: the server serialises checks by it", () => {
  const ref = { task: "a.b", key: "k" };
  expect(new Subjects("default", 1).ofJob({ ...ref })).toBe(subjects.ofJob(ref));
  expect(subjects.ofJob(ref)).toBe("drover.default.0.job.*.a/b.*.*.k.*");
});

test("no two schedules of a job share a subject, for a firing purges whatever lies on its own", () => {
  const ref = { task: "a", key: "k" };
  const first = subjects.schedule("held-a", ref, "q", 5, "boot-1");
  const second = subjects.schedule("held-a", ref, "q", 5, "boot-2");
  expect(first).not.toBe(second);
});

test("what tells schedules apart stands behind the key: checks of other jobs do not walk along them", () => {
  const ref = { task: "a", key: "k" };
  const upToKey = (subject: string) => subject.slice(0, subject.indexOf(".k."));
  const schedule = subjects.schedule("later", ref, "q", 5, "boot-1");
  expect(upToKey(schedule)).toBe(upToKey(subjects.job("later", ref, "q", 5)));
});

describe("of several shards", () => {
  const three = new Subjects("team-a", 3);

  test("everything of a task lies in its shard", () => {
    for (const task of ["mail.send", "reports.build", "x"]) {
      const shard = shardOf(task, 3);
      const ref = { task, key: "k" };
      expect(three.shard(task)).toBe(shard);
      for (const subject of [
        three.job("ready", ref, "q", 5),
        three.schedule("later", ref, "q", 5, "n"),
        three.ofJob(ref),
        three.body(ref),
        three.lane({ task, queue: "q", priority: 5 }),
      ]) {
        expect(subject.startsWith(`drover.team-a.${shard}.`)).toBe(true);
      }
    }
    expect(three.stream(2)).toBe("DROVER_team-a_2");
  });

  test("it stays there when ten thousand other tasks have come by", () => {
    const before = three.ofJob({ task: "mail.send", key: "k" });
    for (let i = 0; i < 10_001; i++) three.ofJob({ task: `stranger_${i}`, key: "k" });
    expect(three.ofJob({ task: "mail.send", key: "k" })).toBe(before);
  });

  test("queues have their settings in the first", () => {
    expect(three.queue("q")).toBe("drover.team-a.0.queue.q");
  });
});

describe("what is no job's is not taken for one", () => {
  test.each([
    "",
    "drover.default.0.job.ready.a.q.5.k",
    "drover.default.0.job.ready.a.q.5.k.0.more",
    "drover.default.0.body.a.k",
    "drover.default.0.queue.q",
    "drover.default.0.cron.ready.a.q.5.k.0",
  ])("%j", (subject) => {
    expect(parseJobSubject(subject)).toBeUndefined();
  });

  test("and a body's subject is read back", () => {
    expect(parseBodySubject(subjects.body({ task: "a.b", key: "k.1" }))).toEqual({ task: "a.b", key: "k.1" });
    expect(parseBodySubject(subjects.job("ready", { task: "a", key: "k" }, "q", 5))).toBeUndefined();
    expect(parseBodySubject("drover.default.0.body.a")).toBeUndefined();
  });
});

test.each([
  ["a.*.c", "a.b.c", true],
  ["a.*.c", "a.b.d", false],
  ["a.*.c", "a.b.b.c", false],
  ["a.*", "a", false],
  ["a.b", "a.b", true],
])("%s takes %s: %s", (filter, subject, takes) => {
  expect(isUnder(filter, subject)).toBe(takes);
});
