// Writes whose answer never came. Whether they were stored is looked up before anything is repeated, so that a crash at
// the worst moment neither loses a change nor makes it twice.

import { afterEach, describe, expect, test } from "vitest";
import type { Grant } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { CutWire } from "../support/cut-wire.js";
import { ack, failure, lease, leaseOne, specOf, status, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { elapsed, until } from "../support/until.js";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(shards: number): Promise<Scene> {
  const scene = await Scene.open({ shards });
  closing.push(() => scene.close());
  return scene;
}

describe.each([1, 3])("on %i shards", (shards) => {
  describe("a write that was stored while its answer was lost", () => {
    async function behindAWire(): Promise<{ scene: Scene; broker: RunningBroker; wire: CutWire }> {
      const scene = await open(shards);
      const wire = await CutWire.to(scene.nats.port);
      closing.push(() => wire.close());
      const broker = await scene.broker({}, { DROVER_NATS_URL: wire.url });
      closing.push(() => wire.cut());
      return { scene, broker, wire };
    }

    test.each([1, 40])("is recognised: %i new jobs are created, not found to be there", async (count) => {
      const { scene, broker, wire } = await behindAWire();
      const task = freshTask();
      await submit(broker, { task });
      const specs = Array.from({ length: count }, (_, i) => specOf({ task, key: `k${i}` }));
      wire.mute();
      // One by one: a list of chosen keys would be read first, which nobody answers now.
      const answers = Promise.all(specs.map((spec) => broker.api.jobs.submit([spec], "reject")));
      await until(
        "all to be stored",
        async () => (await scene.count(task, scene.lane(task).filter)) === count + 1,
      );
      wire.cut();
      for (const [answer] of await answers) expect(succeeded(answer)).toMatchObject({ deduplicated: false });
      for (const { key } of specs) expect(await scene.lying({ task, key })).toHaveLength(1);
    });

    test.each([
      { report: undefined, state: "SUCCEEDED", counts: { failures: 0, attempt: 1 } },
      { report: failure(1, 60_000), state: "RETRYING", counts: { failures: 1, attempt: 2 } },
      { report: { type: "release" } as const, state: "READY", counts: { crashes: 0, attempt: 2 } },
    ])("counts once: a report that makes a job $state", async ({ report, state, counts }) => {
      const { scene, broker, wire } = await behindAWire();
      const task = freshTask();
      const { ref } = await submit(broker, { task });
      const { token } = await leaseOne(broker, task);
      const { rev } = await scene.current(ref);
      wire.mute();
      const answer = ack(broker, token, report);
      await until("it to be stored", async () => (await scene.current(ref)).rev > rev);
      wire.cut();
      expect(await answer).toBe(state);
      const { job } = (await status(broker, ref)).stored;
      expect(job).toMatchObject(counts);
      expect(job.history).toHaveLength(1);
      expect((await scene.current(ref)).rev).toBe(rev + 1);
    });

    test("is told apart from somebody else's write", async () => {
      const { scene, broker, wire } = await behindAWire();
      const other = await scene.broker();
      const task = freshTask();
      const { ref } = await submit(broker, { task });
      const { token } = await leaseOne(broker, task);
      // The report does not even arrive: meanwhile the job is cancelled through the other broker.
      wire.mute();
      wire.cut();
      const answer = ack(broker, token);
      await other.api.jobs.cancel(ref, "");
      expect(["JOB_CANCELLED", "SUCCEEDED"]).toContain(await answer);
      const view = await until("the job to end", async () => {
        const now = await status(other, ref);
        return now.stored.job.finishedAt > 0 && now;
      });
      expect(view.state).toBe((await answer) === "SUCCEEDED" ? "SUCCEEDED" : "CANCELLED");
    });
  });

  test("SIGKILL of nats-server while jobs are submitted loses none and doubles none", async () => {
    const scene = await open(shards);
    const broker = await scene.broker();
    const task = freshTask();
    await submit(broker, { task });
    for (let round = 0; round < 3; round++) {
      const answers = Array.from({ length: 600 }, (_, i) =>
        elapsed(i / 6).then(() => broker.api.jobs.submit([specOf({ task, key: `${round}-${i}` })], "reject")),
      );
      await elapsed(20 + 25 * round);
      await scene.crash();
      // Had one been stored twice, or not been recognised, it would be refused as JOB_EXISTS here.
      for (const [answer] of await Promise.all(answers)) succeeded(answer);
    }
    const { stream, name } = scene.lane(task);
    expect((await scene.jsm.consumers.info(stream, name)).num_pending).toBe(1_801);
  }, 60_000);

  test("SIGKILL of nats-server while outcomes are reported counts each once", async () => {
    const scene = await open(shards);
    const broker = await scene.broker();
    const task = freshTask();
    const specs = Array.from({ length: 300 }, () => specOf({ task, retry: { maxAttempts: 1 } }));
    const refs = (await broker.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
    const grants: Grant[] = [];
    while (grants.length < 300) {
      grants.push(...(await lease(broker, task, { maxJobs: 300, leaseDuration: 60_000 })));
    }
    const answers = grants.map(({ token }, i) => elapsed(i / 6).then(() => ack(broker, token, failure())));
    await elapsed(25);
    await scene.crash();
    expect(new Set(await Promise.all(answers))).toEqual(new Set(["FAILED"]));
    for (const view of await broker.api.jobs.status(refs, false)) {
      expect(view?.state).toBe("FAILED");
      expect(view?.stored.job).toMatchObject({ failures: 1, crashes: 0, attempt: 1 });
      expect(view?.stored.job.history).toHaveLength(1);
    }
    // What was leased for longer than 10 s was held: none of those schedules is armed any more.
    for (const phase of ["held-a", "held-b"] as const) {
      for (let shard = 0; shard < shards; shard++) {
        expect(await scene.count(task, scene.subjects.phase(shard, phase, task))).toBe(0);
      }
    }
  }, 60_000);
});
