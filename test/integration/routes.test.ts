// Routes are kept in the store and known to every broker.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DeclaredRoute } from "../../broker/src/app/queue-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { refused } from "../support/job-calls.js";
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

const to = (
  name: string,
  task: string,
  queue: string,
  fields: Partial<DeclaredRoute> = {},
): DeclaredRoute => {
  return { name, task, queue, labels: {}, ...fields };
};
const put = (owner: string, routes: DeclaredRoute[], on = first, dryRun = false) =>
  on.api.routes.put({ owner, routes, dryRun });

async function lies(task: string, key: string): Promise<[string, number]> {
  const { job } = (await stranger.call("JobService/Status", { id: `${task}~${key}` })) as {
    job: { queue: string; priority: number };
  };
  return [job.queue, job.priority];
}

test("what is put at one broker the other goes by at once", async () => {
  const task = freshTask("routed");
  await put("one", [to(`r-${task}`, `${task}*`, "quick", { priority: 9 })]);
  await stranger.call("JobService/Submit", { job: { task, key: "a" } });
  expect(await lies(task, "a")).toEqual(["quick", 9]);
  await stranger.call("JobService/SubmitBatch", {
    jobs: [
      { task, key: "b", queue: "own" },
      { task, key: "c", priority: 0 },
    ],
  });
  expect(await lies(task, "b")).toEqual(["own", 9]);
  expect(await lies(task, "c")).toEqual(["quick", 0]);
  await put("one", []);
  await stranger.call("JobService/Submit", { job: { task, key: "d" } });
  expect(await lies(task, "d")).toEqual(["default", 5]);
});

test("a changed route cannot double a submit that is repeated", async () => {
  const task = freshTask("repeated");
  const once = { job: { task, key: "same", payload: { data: Buffer.from("1") } } };
  await put("two", [to("two", task, "before")]);
  expect(await stranger.call("JobService/Submit", once)).toMatchObject({ deduplicated: false });
  await put("two", [to("two", task, "after", { priority: 1 })]);
  expect(await stranger.call("JobService/Submit", once)).toMatchObject({ deduplicated: true });
  const repeated = await stranger.call("JobService/SubmitBatch", { jobs: [once.job, once.job] });
  expect(repeated.results).toMatchObject([{ deduplicated: true }, { deduplicated: true }]);
  expect(await scene.lying({ task, key: "same" })).toHaveLength(1);
  expect(await lies(task, "same")).toEqual(["before", 5]);
  await put("two", []);
});

test("a broker that starts later, and one that missed the news, know them as well", async () => {
  const task = freshTask("late");
  // Behind the brokers' backs: nobody tells anybody.
  await first.parts.store.routes.update(({ routes, changedAt }) => ({
    routes: [...routes, { ...to("three", task, "known"), owner: "three" }],
    changedAt: changedAt + 1,
  }));
  const third = await scene.broker();
  expect(third.api.routes.find({ task, labels: {} })?.queue).toBe("known");
  await until("the others to have looked", () =>
    [first, second].every((broker) => broker.api.routes.find({ task, labels: {} })?.queue === "known"),
  );
  await scene.stop(third);
  await put("three", []);
});

describe("owners", () => {
  test("have their own routes, told with what changed, and a dry run changes nothing", async () => {
    const routes = [to("app-1", "x.*", "x"), to("app-2", "y.*", "y")];
    expect(await put("app", routes, first, true)).toMatchObject({ added: ["app-1", "app-2"] });
    expect((await second.api.routes.list()).routes).toEqual([]);
    expect(await put("app", routes)).toMatchObject({ added: ["app-1", "app-2"], changed: [], removed: [] });
    await put("aaa", [to("early", "x.*", "earlier")], second);
    const changed = await put("app", [to("app-2", "y.*", "yy")], second);
    expect(changed).toMatchObject({ added: [], changed: ["app-2"], removed: ["app-1"] });
    const { routes: all, changedAt } = await first.api.routes.list();
    expect(all.map(({ name, owner }) => [owner, name])).toEqual([
      ["aaa", "early"],
      ["app", "app-2"],
    ]);
    expect(Math.abs(changedAt - Date.now())).toBeLessThan(60_000);
    await put("aaa", []);
    await put("app", []);
  });

  test("cannot take a name that another has, not even in a dry run", async () => {
    await put("mine", [to("taken", "a", "q")]);
    for (const dryRun of [true, false]) {
      const routes = [{ name: "taken", task: "b", queue: "q" }];
      expect(
        await stranger.refused("QueueService/PutRoutes", { owner: "yours", routes, dryRun }),
      ).toMatchObject({
        code: "ALREADY_EXISTS",
        reason: "OWNED_BY_ANOTHER",
      });
    }
    await put("mine", []);
  });

  test("share the bound of 1,000", async () => {
    const some = (owner: string, count: number) =>
      Array.from({ length: count }, (_, i) => to(`${owner}-${i}`, `${owner}.${i}`, "q"));
    await put("half", some("half", 600));
    expect(await refused(put("other", some("other", 401), second))).toBe("INVALID_ARGUMENT");
    await put("other", some("other", 400), second);
    await put("half", []);
    await put("other", []);
  });

  test("that change theirs at the same time through two brokers lose nothing", async () => {
    const owners = Array.from({ length: 6 }, (_, i) => `owner-${i}`);
    const puts = owners.map((owner, i) => put(owner, [to(owner, owner, "q")], i % 2 === 0 ? first : second));
    await Promise.all(puts);
    for (const broker of [first, second]) {
      expect((await broker.api.routes.list()).routes.map(({ name }) => name)).toEqual(owners);
      for (const task of owners) expect(broker.api.routes.find({ task, labels: {} })?.name).toBe(task);
    }
    for (const owner of owners) await put(owner, []);
  });
});

test("a dry run says which route a job would take, and where it would end", async () => {
  await put("dry", [
    to("gold", "pay.*", "fast", { labels: { tier: "gold" }, priority: 9 }),
    to("pay", "pay.*", "pay"),
  ]);
  const tested = (job: object) => stranger.call("QueueService/TestRoute", { job });
  expect(await tested({ task: "pay.now", labels: { tier: "gold" } })).toMatchObject({
    route: { name: "gold", owner: "dry", labels: { tier: "gold" } },
    queue: "fast",
    priority: 9,
  });
  expect(await tested({ task: "pay.now", queue: "own", priority: 0 })).toMatchObject({
    route: { name: "pay" },
    queue: "own",
    priority: 0,
  });
  expect(await tested({ task: "other" })).toMatchObject({ route: null, queue: "default", priority: 5 });
  await put("dry", []);
});
