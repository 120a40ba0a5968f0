// A schedule that the nats-server had no room to fire is given up by it, until it is stored again.

import { afterEach, beforeEach, expect, test } from "vitest";
import { Overdue } from "../../broker/src/app/overdue.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { fillAgenda } from "../support/full-agenda.js";
import { ack, leaseOne, stateOf, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { until } from "../support/until.js";

const MiB = 1024 * 1024;
let scene: Scene;
let broker: RunningBroker;

beforeEach(async () => {
  scene = await Scene.open({ nats: { jetstream: `max_file_store: ${8 * MiB}` } });
  broker = await scene.broker();
});
afterEach(() => scene.close());

/** The broker's own, but for what it calls overdue. */
function overdue(lateBy: number): Overdue {
  const { jobs, journal, clock, storage } = broker.parts.store;
  return new Overdue({ jobs, journal, clock, storage, log: scene.log }, lateBy);
}

async function fill(): Promise<void> {
  for (let size = 256 * 1024, n = 0; size >= 64; n++) {
    const answer = await scene.nc.request(`drover.default.0.junk.${n}`, Buffer.alloc(size), {
      timeout: 5_000,
    });
    if (answer.json<{ error?: object }>().error !== undefined) size /= 2;
  }
}

test("a delay that fell due while the store was full ends once there is room and it is stored again", async () => {
  const task = freshTask();
  fillAgenda(broker);
  const { ref } = await submit(broker, { task, delay: 7_000 });
  const { seq, stored } = await scene.current(ref);
  const dueAt = stored?.job.dueAt ?? 0;
  await fill();
  // The server has tried, in vain, once its clock is some passes beyond the due time.
  await until("the due time to be long over", () => broker.parts.store.clock.reached() > dueAt + 2_500);
  await scene.jsm.streams.purge("DROVER_default_0", { filter: "drover.default.0.junk.>" });
  await until("it to be over for longer", () => broker.parts.store.clock.reached() > dueAt + 4_000);
  expect(await scene.current(ref)).toMatchObject({ phase: "later", seq });

  expect(await overdue(60_000).sweep()).toBe(0);
  expect(await overdue(500).sweep()).toBe(1);
  expect(await ack(broker, (await leaseOne(broker, task)).token)).toBe("SUCCEEDED");
});

test("what is not overdue stays as it is", async () => {
  const task = freshTask();
  const { ref } = await submit(broker, { task, delay: 60_000 });
  const { seq } = await scene.current(ref);
  expect(await overdue(0).sweep()).toBe(0);
  expect((await scene.current(ref)).seq).toBe(seq);
  expect(await stateOf(broker, ref)).toBe("SCHEDULED");
});
