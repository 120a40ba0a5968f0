// A broker that dies at any step of a flow's submit, or before it acked a step of a flow, leaves nothing half done.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { flowOfDraft } from "../../broker/src/core/flow-spec.js";
import { success } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

let scene: Scene;
let broker: RunningBroker;

beforeAll(async () => {
  scene = await Scene.open({ shards: 3 });
  broker = await scene.broker();
});
afterAll(() => scene.close());

function chordOf(size: number, task: string, key: string) {
  const job = { task, key: "", labels: {}, headers: {} };
  const group = Array.from({ length: size }, () => ({
    job,
    dependsOn: [] as number[],
    onFailure: 0,
    name: "",
  }));
  const callback = { job, dependsOn: [...group.keys()], onFailure: 0, name: "" };
  return flowOfDraft(
    { key, name: "", members: [...group, callback], deadline: undefined, labels: {} },
    Date.now(),
  );
}

async function runs(task: string, key: string): Promise<string[]> {
  const ran: string[] = [];
  const worker = await SessionWorker.attach(broker, [task], {
    credit: 100,
    run: (grant, self) => {
      ran.push(grant.ref.key);
      self.report(grant.leaseId, success());
    },
  });
  await until("the flow to end", async () => (await broker.api.flows.get(key)).state === "SUCCEEDED", 30_000);
  worker.leave();
  return ran.toSorted();
}

test.each([1, 2, 3])(
  "a submit that dies at its write %i is finished by its repeat, each member run once",
  async (at) => {
    const task = freshTask();
    const key = `crash-${task}`;
    const { flows } = broker.parts.store;
    const write = flows.write.bind(flows);
    let writes = 0;
    flows.write = async (...args) => {
      if (++writes === at) throw new Error("dead");
      return write(...args);
    };
    await expect(broker.api.flows.submit(chordOf(3, task, key))).rejects.toThrow("dead");
    flows.write = write;
    expect((await broker.api.flows.submit(chordOf(3, task, key))).deduplicated).toBe(false);
    expect(await runs(task, key)).toEqual([0, 1, 2, 3].map((i) => `${key}.${i}`));
  },
);

test("steps that die after the record was written, before they were acked, give one callback", async () => {
  const task = freshTask();
  const key = `crash-${task}`;
  const { flows } = broker.parts.store;
  await broker.api.flows.submit(chordOf(20, task, key));
  const write = flows.write.bind(flows);
  let died = 0;
  flows.write = async (...args) => {
    const seq = await write(...args);
    if (args[0].key === key && ++died <= 2) throw new Error("dead");
    return seq;
  };
  const ran = await runs(task, key).finally(() => {
    flows.write = write;
  });
  expect(died).toBeGreaterThan(0);
  expect([ran.length, new Set(ran).size]).toEqual([21, 21]);
}, 60_000);
