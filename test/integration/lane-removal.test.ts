// A lane goes away in the very moment in which somebody needs it again: no job may be left in a lane that nobody serves.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { Sweeps } from "../../broker/src/jetstream/sweeps.js";
import { sweepsIn } from "../support/aged-sweeps.js";
import { ack, leaseOne, stateOf, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

const day = 24 * 60 * 60 * 1_000;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let first: RunningBroker;
  let second: RunningBroker;
  let marking: Sweeps;
  let removing: Sweeps;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [first, second] = [await scene.broker(), await scene.broker()];
    marking = sweepsIn(0, first, { laneIdle: 0, laneMarked: day });
    removing = sweepsIn(0, first, { laneIdle: 0, laneMarked: 0 });
  });
  afterAll(() => scene.close());

  const isThere = async (task: string) => {
    const { stream, name } = scene.lane(task);
    return scene.jsm.consumers.info(stream, name).then(
      () => true,
      () => false,
    );
  };
  /** A lane without a job, marked for so long that every broker has seen the mark. */
  async function markedLane(): Promise<string> {
    const task = freshTask();
    await submit(first, { task });
    await ack(first, (await leaseOne(first, task)).token);
    const { stream, name } = scene.lane(task);
    await until("the mark", async () => {
      await first.parts.store.lanes.refresh();
      await marking.removeIdleLanes();
      return (
        (await scene.jsm.consumers.info(stream, name)).config.metadata?.["drover-removing"] !== undefined
      );
    });
    for (const broker of [first, second]) await broker.parts.store.lanes.refresh();
    return task;
  }

  test("a lane whose files went together with those of its predecessor is made anew", async () => {
    const task = await markedLane();
    const { stream, name } = scene.lane(task);
    rmSync(join(scene.server?.dir as string, "data/jetstream/$G/streams", stream, "obs", name), {
      recursive: true,
    });
    const { ref } = await submit(second, { task });
    expect((await leaseOne(first, task)).ref).toEqual(ref);
  });

  test("a lane whose files are gone does not keep the others from being removed", async () => {
    const [broken, other] = [await markedLane(), await markedLane()];
    const { stream, name } = scene.lane(broken);
    rmSync(join(scene.server?.dir as string, "data/jetstream/$G/streams", stream, "obs", name), {
      recursive: true,
    });
    // Its mark would be news to the server, which has nowhere to write it.
    const lane = first.parts.store.lanes.all().find(({ key }) => key.task === broken);
    delete lane?.info?.config.metadata?.["drover-removing"];
    await removing.removeIdleLanes();
    expect(await isThere(other)).toBe(false);
  });

  test("a submit that meets the removal of its lane is served all the same", {
    timeout: 60_000,
  }, async () => {
    const gone: boolean[] = [];
    for (let round = 0; round < 40; round++) {
      const task = await markedLane();
      const removal = removing.removeIdleLanes();
      // From before the removal's last look to after its end.
      await elapsed(round % 8);
      const { ref } = await submit(second, { task });
      await removal;
      gone.push(!(await isThere(task)));
      const worker = await SessionWorker.attach(round % 2 === 0 ? first : second, task);
      expect((await worker.next()).ref).toEqual(ref);
      worker.leave();
    }
    expect(gone.length).toBe(40);
  });

  test("a ticket in a lane whose consumer is gone brings the lane back, without another submit", async () => {
    const task = freshTask();
    const { ref } = await submit(second, { task });
    const { stream, name } = scene.lane(task);
    await scene.jsm.consumers.delete(stream, name);
    const worker = await SessionWorker.attach(first, task);
    expect((await worker.next()).ref).toEqual(ref);
    worker.leave();
  });

  test("a lane is not removed while a job of it waits for its time", async () => {
    const task = freshTask();
    const { ref } = await submit(first, { task, delay: day });
    for (let i = 0; i < 3; i++) {
      await first.parts.store.lanes.refresh();
      await removing.removeIdleLanes();
    }
    expect([await isThere(task), await stateOf(second, ref)]).toEqual([true, "SCHEDULED"]);
  });

  test("a lane with an old mark is not removed either, where a job came to wait past the mark", async () => {
    const task = freshTask();
    await submit(first, { task, delay: day });
    const { stream, name } = scene.lane(task);
    const { config } = await scene.jsm.consumers.info(stream, name);
    await scene.jsm.consumers.update(stream, name, {
      metadata: { ...config.metadata, "drover-removing": "1" },
    });
    await first.parts.store.lanes.refresh();
    await removing.removeIdleLanes();
    expect(await isThere(task)).toBe(true);
  });
});
