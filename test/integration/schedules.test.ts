// Schedules on a real nats-server: one job for each planned time, whatever happens to the brokers.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Subjects } from "../../broker/src/jetstream/subjects.js";
import { freshTask, Scene } from "../support/scene.js";
import { Stranger } from "../support/stranger.js";
import { until } from "../support/until.js";

let scene: Scene;
let first: RunningBroker;
let second: RunningBroker;
let stranger: Stranger;

beforeAll(async () => {
  scene = await Scene.open({ shards: 3 });
  [first, second] = await scene.pair();
  stranger = new Stranger(`127.0.0.1:${second.grpcPort}`);
});
afterAll(async () => {
  stranger.close();
  await scene.close();
});

type Fields = Record<string, unknown>;
const every = (name: string, task: string, fields: Fields = {}): Fields => ({
  name,
  interval: { seconds: 1 },
  job: { task },
  ...fields,
});
const put = (owner: string, schedules: Fields[], fields: Fields = {}) =>
  stranger.call("ScheduleService/Put", { owner, schedules, ...fields });
const view = async (name: string) =>
  ((await stranger.call("ScheduleService/Get", { name })) as { schedule: Fields }).schedule as {
    nextAt: unknown;
    firings: { outcome: string; jobId: string; count: number; detail: string }[];
    schedule: Fields;
  };
const jobsOf = async (task: string, broker = first) => {
  const query = { state: undefined, queue: undefined, pageSize: 1_000, pageToken: "", includePayload: false };
  return (await broker.api.jobs.list({ ...query, task })).jobs;
};
const keysOf = async (task: string, broker = first) =>
  (await jobsOf(task, broker)).map(({ stored }) => stored.job.spec?.key ?? "").sort();
/** Planned times in the keys, ms since 1970. */
const timesOf = (keys: readonly string[]) =>
  keys.map((key) =>
    Date.parse(
      key.slice(key.lastIndexOf(".") + 1).replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z"),
    ),
  );

test("each planned time gives one job, which says where it comes from", async () => {
  const task = freshTask("tick");
  await put("one", [every(task, task, { job: { task, priority: 7, labels: { by: "clock" } } })]);
  await until("three jobs", async () => (await jobsOf(task)).length >= 3);
  await stranger.call("ScheduleService/Delete", { name: task });
  const keys = await keysOf(task);
  const times = timesOf(keys);
  expect(times.slice(1).map((time, i) => time - (times[i] ?? 0))).toEqual(times.slice(1).map(() => 1_000));
  const [job] = await jobsOf(task);
  expect(job?.stored.priority).toBe(7);
  expect(job?.stored.job.spec?.schedule).toEqual({ schedule: task, plannedAt: times[0] });
  expect(job?.stored.job.spec?.submittedAt).toBeGreaterThanOrEqual(times[0] ?? 0);
});

test("a schedule that was removed, paused or put far off submits nothing any more", async () => {
  const tasks = ["removed", "paused", "put off"].map(() => freshTask("ends"));
  const [removed = "", paused = "", off = ""] = tasks;
  await put(
    "ends",
    tasks.map((task) => every(task, task)),
  );
  for (const task of tasks) await until("a job", async () => (await jobsOf(task)).length > 0);
  await stranger.call("ScheduleService/Delete", { name: removed });
  await stranger.call("ScheduleService/Pause", { name: paused });
  await put("ends", [every(off, off, { interval: { seconds: 3_600 } })]);
  const counts = await Promise.all(tasks.map(async (task) => (await jobsOf(task)).length));
  // Another schedule's times pass meanwhile: those of these would have, too.
  const clock = freshTask("clock");
  await put("clock", [every(clock, clock)]);
  await until("two seconds to pass", async () => (await jobsOf(clock)).length >= 3);
  await stranger.call("ScheduleService/Delete", { name: clock });
  expect(await Promise.all(tasks.map(async (task) => (await jobsOf(task)).length))).toEqual(counts);
  expect(await stranger.refused("ScheduleService/Get", { name: removed })).toMatchObject({
    code: "NOT_FOUND",
    reason: "SCHEDULE_NOT_FOUND",
  });
  expect((await view(paused)).nextAt).toBeNull();
  await stranger.call("ScheduleService/Resume", { name: paused });
  const before = (await jobsOf(paused)).length;
  await until("it to go on", async () => (await jobsOf(paused)).length > before);
  await stranger.call("ScheduleService/Delete", { name: paused });
});

test("what is declared again as before is left alone, and what was paused by hand stays so", async () => {
  const task = freshTask("declared");
  const hourly = { cron: "0 * * * *", timeZone: "Europe/Berlin", interval: undefined };
  const [a, b] = [every(`${task}-a`, task, hourly), every(`${task}-b`, task, hourly)];
  expect(await put(task, [a, b])).toMatchObject({ added: [`${task}-a`, `${task}-b`] });
  await stranger.call("ScheduleService/Pause", { name: `${task}-a` });
  expect(await put(task, [a, b])).toMatchObject({ unchanged: [`${task}-a`, `${task}-b`] });
  expect(await put(task, [{ ...a, description: "new" }], { dryRun: true })).toMatchObject({
    changed: [`${task}-a`],
    undeclared: [`${task}-b`],
  });
  await put(task, [{ ...a, description: "new" }], { removeUndeclared: true });
  expect((await view(`${task}-a`)).schedule).toMatchObject({ paused: true, description: "new" });
  const refused = await stranger.refused("ScheduleService/Put", { owner: "another", schedules: [a] });
  expect(refused).toMatchObject({ code: "ALREADY_EXISTS", reason: "OWNED_BY_ANOTHER" });
  expect(await stranger.call("ScheduleService/List", { owner: task })).toMatchObject({
    schedules: [{ owner: task, schedule: { name: `${task}-a` } }],
    nextPageToken: "",
  });
});

test("schedules declared together for the same time share an alarm, and each has its job by it", async () => {
  const task = freshTask("shared");
  const at = Math.ceil(Date.now() / 1_000) + 8;
  const names = Array.from({ length: 40 }, (_, i) => `${task}-${i}`);
  const hourly = { interval: { seconds: 3_600 }, startAt: { seconds: at } };
  await put(
    task,
    names.map((name) => every(name, task, hourly)),
  );
  const alarms = async () => {
    const filter = { subjects_filter: new Subjects("default", 3).schedules("alarm", "*") };
    const { state } = await scene.jsm.streams.info("DROVER_default_cron", filter);
    const found: string[] = [];
    for (const subject of Object.keys(state.subjects ?? {})) {
      const alarm = await scene.jsm.streams.getMessage("DROVER_default_cron", { last_by_subj: subject });
      const named = alarm?.string().split("\n").slice(1) ?? [];
      if (named.includes(names[7] ?? "")) found.push(named.join());
    }
    return found;
  };
  expect(await alarms()).toEqual([names.join()]);
  await stranger.call("ScheduleService/Delete", { name: names[0] });
  await stranger.call("ScheduleService/Pause", { name: names[1] });
  await until("all that are left to fire", async () => (await jobsOf(task)).length >= 38);
  const planned = (await keysOf(task)).map((key) => key.slice(0, key.lastIndexOf(".")));
  expect(planned).toEqual(names.slice(2).sort());
});

test("a trigger submits at once, paused or not, and leaves the planned times alone", async () => {
  const task = freshTask("trigger");
  await put("t", [every(task, task, { cron: "0 0 1 1 *", interval: undefined, paused: true })]);
  const { jobId } = (await stranger.call("ScheduleService/Trigger", { name: task })) as { jobId: string };
  expect((await jobsOf(task)).map(({ stored }) => `${task}~${stored.job.spec?.key}`)).toEqual([jobId]);
  expect((await view(task)).firings).toMatchObject([{ outcome: "FIRING_OUTCOME_TRIGGERED", jobId }]);
});

test("a preview names the times that come, of what is there and of what could be", async () => {
  const ask = {
    schedule: { cron: "30 2 * * *", timeZone: "Europe/Berlin" },
    from: { seconds: Date.parse("2027-03-26T12:00:00Z") / 1_000 },
  };
  const answer = await stranger.call("ScheduleService/Preview", { ...ask, count: 2 });
  expect((answer as { times: { seconds: string }[] }).times.map(({ seconds }) => Number(seconds))).toEqual([
    Date.parse("2027-03-27T01:30:00Z") / 1_000,
    Date.parse("2027-03-28T01:30:00Z") / 1_000,
  ]);
});

describe("while the job of an earlier time has not ended", () => {
  test("SKIP leaves the time out", async () => {
    const task = freshTask("skip");
    await put("skip", [every(task, task, { overlap: "OVERLAP_POLICY_SKIP" })]);
    await until("a time to be left out", async () =>
      (await view(task)).firings.some(({ outcome }) => outcome === "FIRING_OUTCOME_OVERLAP"),
    );
    await stranger.call("ScheduleService/Delete", { name: task });
    expect(await jobsOf(task)).toHaveLength(1);
  });

  test("CANCEL_PREVIOUS cancels the earlier job", async () => {
    const task = freshTask("previous");
    await put("previous", [every(task, task, { overlap: "OVERLAP_POLICY_CANCEL_PREVIOUS" })]);
    await until("three jobs", async () => (await jobsOf(task)).length >= 3);
    await stranger.call("ScheduleService/Delete", { name: task });
    // A job and the cancel of the one before it are two writes.
    await until("one to be left", async () => {
      const states = (await jobsOf(task)).map(({ state }) => state);
      return states.filter((state) => state !== "CANCELLED").length === 1;
    });
  });
});

test("a schedule whose alarm is stuck is found and goes on", async () => {
  const task = freshTask("stuck");
  await put("stuck", [every(task, task, { cron: "0 0 1 1 *", interval: undefined })]);
  const { schedules } = first.parts.store;
  const [known] = await schedules.read([task]);
  if (known?.record === undefined) throw new Error("it was not stored");
  const lastAt = first.parts.store.clock.now() - 3_600_000;
  await schedules.write([
    { name: task, seq: known.seq, record: { ...known.record, lastAt, nextAt: lastAt + 1_000 } },
  ]);
  // An alarm of the past goes off at once; here it is taken away as if it had failed.
  await scene.jsm.streams.purge("DROVER_default_cron", { filter: new Subjects("default", 3).firing(task) });
  await first.parts.firings.lookForStuck();
  const { nextAt } = await view(task);
  expect(Number((nextAt as { seconds: string }).seconds) * 1_000).toBeGreaterThan(
    first.parts.store.clock.now(),
  );
});

describe("planned times that passed while no broker was there", () => {
  test("are made up by the misfire policy", async () => {
    const alone = await Scene.open();
    try {
      const broker = await alone.broker();
      const caller = new Stranger(`127.0.0.1:${broker.grpcPort}`);
      const [once, skip, all] = ["once", "skip", "all"].map((name) => freshTask(name)) as [
        string,
        string,
        string,
      ];
      const declare = (task: string, misfire: string, fields: Fields = {}) =>
        every(task, task, { interval: { seconds: 60 }, misfire, ...fields });
      await caller.call("ScheduleService/Put", {
        owner: "o",
        schedules: [
          declare(once, "MISFIRE_POLICY_ONCE"),
          declare(skip, "MISFIRE_POLICY_SKIP"),
          declare(all, "MISFIRE_POLICY_CATCH_UP", { maxCatchUp: 3 }),
        ],
      });
      caller.close();
      // As if all of them had been dealt with last an hour ago.
      const { schedules, clock } = broker.parts.store;
      const names = [once, skip, all];
      const known = await schedules.read(names);
      const hour = 3_600_000;
      const records = known.map(({ record, seq }, i) => {
        if (record === undefined) throw new Error("it was not stored");
        const declaredAt = record.declaredAt - hour - 45_000;
        return {
          name: names[i] ?? "",
          seq,
          record: { ...record, declaredAt, lastAt: declaredAt, nextAt: 0 },
        };
      });
      await schedules.write(records);
      await alone.stop(broker);
      const next = await alone.broker();
      const again = await next.parts.store.schedules.read(names);
      await next.parts.store.schedules.write(
        again.map(({ record, seq }, i) => {
          if (record === undefined) throw new Error("it is gone");
          return { name: names[i] ?? "", seq, record: { ...record, nextAt: record.lastAt + 60_000 } };
        }),
      );
      await until("all to be dealt with", async () => {
        const now = await next.parts.store.schedules.read(names);
        return now.every(({ record }) => (record?.nextAt ?? 0) > clock.now());
      });
      const made = async (task: string) => (await keysOf(task, next)).length;
      expect(await Promise.all(names.map(made))).toEqual([1, 0, 3]);
      const found = await next.api.schedules.get(skip);
      expect(found.record.firings).toMatchObject([{ outcome: 3, count: 60 }]);
    } finally {
      await alone.close();
    }
  });
});
