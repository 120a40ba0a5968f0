// Planned times that nobody was there for: brokers that were really down, and a store so full that nothing could fire.

import { afterEach, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { cronStreamName } from "../../broker/src/jetstream/stream-config.js";
import { freshTask, Scene } from "../support/scene.js";
import { Stranger } from "../support/stranger.js";
import { until } from "../support/until.js";

const MiB = 1024 * 1024;
const second = 1_000;
/** Instead of half a minute: what nobody dealt with for this long is missed, ms. A machine that stands still for a second
 *  or two makes nothing late by as much. */
const misfireGrace = 4 * second;
/** How long nobody is there: some periods more than that, ms. */
const down = 9 * second;

const scenes: Scene[] = [];
const strangers: Stranger[] = [];

async function open(jetstream = ""): Promise<Scene> {
  const scene = await Scene.open({ nats: { jetstream } });
  scenes.push(scene);
  return scene;
}

afterEach(async () => {
  for (const stranger of strangers.splice(0)) stranger.close();
  for (const scene of scenes.splice(0)) await scene.close();
});

function callerOf(broker: RunningBroker): Stranger {
  const stranger = new Stranger(`127.0.0.1:${broker.grpcPort}`);
  strangers.push(stranger);
  return stranger;
}

const everySecond = (name: string, fields: object = {}) => ({
  name,
  interval: { seconds: 1 },
  job: { task: name },
  ...fields,
});

/** The planned times of its jobs, in order. */
async function plannedOf(broker: RunningBroker, task: string): Promise<number[]> {
  const query = { state: undefined, queue: undefined, pageSize: 1_000, pageToken: "", includePayload: false };
  const { jobs } = await broker.api.jobs.list({ ...query, task });
  return jobs.map(({ stored }) => stored.job.spec?.schedule?.plannedAt ?? 0).sort((a, b) => a - b);
}

const firingsOf = async (broker: RunningBroker, name: string) =>
  (await broker.api.schedules.get(name)).record.firings;
/** Of what was missed. */
const all = Number.POSITIVE_INFINITY;
/** A number of drover.v1.FiringOutcome. */
const MISFIRE = 3;

describe("after all brokers were down for several periods", () => {
  test("the times that passed are made up by the misfire policy, and counted where they are not", async () => {
    const scene = await open();
    const policies = {
      once: { made: 1, fields: { misfire: "MISFIRE_POLICY_ONCE" } },
      skip: { made: 0, fields: { misfire: "MISFIRE_POLICY_SKIP" } },
      some: { made: 3, fields: { misfire: "MISFIRE_POLICY_CATCH_UP", maxCatchUp: 3 } },
      all: {
        made: all,
        fields: { misfire: "MISFIRE_POLICY_CATCH_UP", maxCatchUp: 100 },
      },
    };
    const tasks = Object.keys(policies).map((name) => freshTask(name));
    const brokers = [await scene.broker({ misfireGrace }), await scene.broker({ misfireGrace })];
    const [first] = brokers as [RunningBroker];
    await callerOf(first).call("ScheduleService/Put", {
      owner: "o",
      schedules: Object.values(policies).map(({ fields }, i) => everySecond(tasks[i] ?? "", fields)),
    });
    for (const task of tasks) await until("a job", async () => (await plannedOf(first, task)).length > 0);
    for (const broker of brokers) await scene.stop(broker);
    const stopped = Date.now();
    await until("periods to pass", () => Date.now() > stopped + down);

    const next = await scene.broker({ misfireGrace });
    for (const task of tasks)
      await until(
        "it to go on",
        async () => ((await plannedOf(next, task)).at(-1) ?? 0) > stopped + down + 2 * second,
      );
    const caller = callerOf(next);
    for (const name of tasks) await caller.call("ScheduleService/Pause", { name });
    const paused = Object.values(policies).map(({ made }, i) => ({ made, task: tasks[i] ?? "" }));
    for (const { made, task } of paused) {
      const planned = await plannedOf(next, task);
      const last = planned.findLast((time) => time < stopped) ?? 0;
      const rest = planned.filter((time) => time > last);
      // From some time on there is one for each second again: those made up, those that were merely late, and new ones.
      expect([task, rest]).toEqual([task, rest.map((_, n) => (rest[0] ?? 0) + n * second)]);
      const left = ((rest[0] ?? 0) - last) / second - 1;
      const misfire = (await firingsOf(next, task)).find(({ outcome }) => outcome === MISFIRE);
      if (made === all) {
        expect([task, left, misfire]).toEqual([task, 0, undefined]);
        continue;
      }
      // All that had passed by then but those made up, and up to which.
      const passed = Math.floor(((misfire?.handledAt ?? 0) - misfireGrace - last) / second);
      expect([task, left, misfire?.count, misfire?.plannedAt]).toEqual([
        task,
        passed - made,
        passed - made,
        last + left * second,
      ]);
    }
  });
});

describe("a store that is full when schedules fire", () => {
  test("leaves them stuck until they are looked for; then they go on, and the policy is kept", async () => {
    const scene = await open(`max_file_store: ${8 * MiB}`);
    const broker = await scene.broker({ misfireGrace });
    const [skips, makesUp] = [freshTask("skips"), freshTask("makes-up")];
    const caller = callerOf(broker);
    await caller.call("ScheduleService/Put", {
      owner: "o",
      schedules: [
        everySecond(skips, { interval: { seconds: 2 }, misfire: "MISFIRE_POLICY_SKIP" }),
        everySecond(makesUp, { interval: { seconds: 2 }, misfire: "MISFIRE_POLICY_ONCE" }),
      ],
    });
    // Until not even a firing finds room.
    const fill = scene.subjects.body({ task: "filler", key: "x" });
    const stored = async (bytes: number, n: number) => {
      const answer = await scene.nc.request(`${fill}${n}`, Buffer.alloc(bytes), { timeout: 5_000 });
      return answer.json<{ error?: object }>().error === undefined;
    };
    let n = 0;
    for (const bytes of [256 * 1024, 16 * 1024, 512, 1]) while (await stored(bytes, n++));
    const stuck = await until("both to be overdue", async () => {
      const known = await broker.parts.store.schedules.read([skips, makesUp]);
      const at = known.map(({ record }) => record?.nextAt ?? 0);
      return at.every((time) => time > 0 && time < Date.now() - misfireGrace - 2_500) && at;
    });

    const { jsm } = scene;
    await jsm.streams.purge(scene.subjects.stream(0), { filter: scene.subjects.bodies(0) });
    const { messages } = (await jsm.streams.info(cronStreamName("default"))).state;
    expect(messages).toBeGreaterThan(0);
    // There is room again, and another schedule fires; these do not by themselves.
    const witness = freshTask("witness");
    await until("the store to take schedules", async () => {
      const schedules = [everySecond(witness)];
      return caller.call("ScheduleService/Put", { owner: "w", schedules }).then(
        () => true,
        () => false,
      );
    });
    await until("the witness to fire", async () => (await plannedOf(broker, witness)).length > 1);
    const still = await broker.parts.store.schedules.read([skips, makesUp]);
    expect(still.map(({ record }) => record?.nextAt)).toEqual(stuck);

    await broker.parts.firings.lookForStuck();
    const sinceStuck = async (task: string, i: number) =>
      (await plannedOf(broker, task)).filter((time) => time >= (stuck[i] ?? 0));
    await until("both to go on", async () => {
      const all = await Promise.all([sinceStuck(skips, 0), sinceStuck(makesUp, 1)]);
      return all.every((times) => times.length > 1);
    });
    expect((await sinceStuck(skips, 0)).includes(stuck[0] ?? 0)).toBe(false);
    expect(
      (await firingsOf(broker, skips)).some(({ outcome, count }) => outcome === MISFIRE && count > 0),
    ).toBe(true);
    // One for all that was missed, and then each time.
    const [madeUp = 0, next = 0] = await sinceStuck(makesUp, 1);
    expect(next - madeUp).toBe(2 * second);
    expect(scene.log.lines.some(({ message }) => message.startsWith("schedules did not fire"))).toBe(true);
  });
});

test("jitter moves each start by chance, and neither the planned time nor the key", async () => {
  const scene = await open();
  const broker = await scene.broker();
  const task = freshTask("jitter");
  const jitter = 600;
  await callerOf(broker).call("ScheduleService/Put", {
    owner: "o",
    schedules: [everySecond(task, { jitter: { seconds: jitter } })],
  });
  await until("four jobs", async () => (await plannedOf(broker, task)).length > 3);
  await callerOf(broker).call("ScheduleService/Pause", { name: task });
  const planned = await plannedOf(broker, task);
  expect(planned.slice(1).map((time, i) => time - (planned[i] ?? 0))).toEqual(
    planned.slice(1).map(() => second),
  );
  const query = { state: undefined, queue: undefined, pageSize: 1_000, pageToken: "", includePayload: false };
  const { jobs } = await broker.api.jobs.list({ ...query, task });
  const waits = jobs.map(({ stored }) => {
    const { spec } = stored.job;
    return (spec?.runAt ?? 0) - (spec?.schedule?.plannedAt ?? 0);
  });
  for (const wait of waits) {
    expect(wait).toBeGreaterThanOrEqual(0);
    expect(wait).toBeLessThan(jitter * second);
  }
  expect(new Set(waits).size).toBeGreaterThan(1);
});
