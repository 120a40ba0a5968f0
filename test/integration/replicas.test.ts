// A store of three nats-servers: acknowledged means on a quorum, and what is read is what was acknowledged.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Refusal } from "../../broker/src/core/errors.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { ack, failure, leaseOne, specOf, stateOf, status, submit, succeeded } from "../support/job-calls.js";
import { NatsCluster } from "../support/nats-cluster.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const isAway = (error: unknown) => error instanceof Refusal && error.reason === "STORE_UNAVAILABLE";

describe("on three replicas", () => {
  let cluster: NatsCluster;
  let scene: Scene;
  let brokers: [RunningBroker, RunningBroker];

  beforeAll(async () => {
    cluster = await NatsCluster.start();
    scene = await Scene.open({ url: cluster.url, replicas: 3 });
    brokers = await scene.pair({ holdAfter: 500 });
  }, 120_000);
  afterAll(async () => {
    await scene.close();
    await cluster.stop();
  }, 60_000);

  const leader = async (task: string) => {
    const info = await scene.jsm.streams.info(scene.subjects.stream(scene.subjects.shard(task)));
    return info.cluster?.leader ?? "";
  };

  test("the stream has three replicas", async () => {
    const { config, cluster: replicas } = await scene.jsm.streams.info(scene.subjects.stream(0));
    expect([config.num_replicas, replicas?.replicas?.length]).toEqual([3, 2]);
  });

  test("what one broker was told is stored the other one sees, at once and every time", async () => {
    const task = freshTask();
    for (let i = 0; i < 60; i++) {
      const [writer, reader] = i % 2 === 0 ? brokers : [brokers[1], brokers[0]];
      const { ref } = await submit(writer, { task });
      expect(await stateOf(reader, ref)).toBe("READY");
      expect(await writer.api.jobs.cancel(ref, "")).toMatchObject({ outcome: "cancelled" });
      expect(await stateOf(reader, ref)).toBe("CANCELLED");
    }
  });

  test("of a burst that one broker was told is stored the other one misses nothing", async () => {
    for (let i = 0; i < 20; i++) {
      const [writer, reader] = i % 2 === 0 ? brokers : [brokers[1], brokers[0]];
      const task = freshTask();
      const specs = Array.from({ length: 150 }, () => specOf({ task }));
      const refs = (await writer.api.jobs.submit(specs, "return")).map((answer) => succeeded(answer).ref);
      const views = await reader.api.jobs.status(refs.reverse(), false);
      expect(views.filter((view) => view === undefined)).toEqual([]);
    }
  });

  test("two brokers that race for the same keys make each job once", async () => {
    const task = freshTask();
    const keys = Array.from({ length: 80 }, (_, i) => `key-${i}`);
    const answers = await Promise.all(
      keys.flatMap((key) =>
        brokers.map((broker) =>
          broker.api.jobs.submit([specOf({ task, key })], "return").then(([a]) => succeeded(a)),
        ),
      ),
    );
    expect(answers.filter(({ deduplicated }) => !deduplicated)).toHaveLength(80);
    for (const key of keys) expect(await scene.lying({ task, key })).toHaveLength(1);
  });

  test("of reports through two brokers at once exactly one counts", async () => {
    for (let round = 0; round < 10; round++) {
      const task = freshTask();
      const { ref } = await submit(brokers[0], { task });
      const { token } = await leaseOne(brokers[0], task);
      const answers = await Promise.all(brokers.map((broker) => ack(broker, token, failure(2))));
      expect([...answers].sort()).toEqual(["ALREADY_REPORTED", "FAILED"]);
      expect((await status(brokers[1], ref)).stored.job).toMatchObject({ failures: 1, attempt: 1 });
    }
  });

  test("a delay, a retry and a held run work as on one", async () => {
    const task = freshTask();
    const { ref } = await submit(brokers[0], { task, delay: 300 });
    const first = await leaseOne(brokers[1], task, { leaseDuration: 5_000 });
    expect((await scene.current(ref)).phase).toBe("held-a");
    expect(await ack(brokers[0], first.token, failure(1, 300))).toBe("RETRYING");
    const second = await leaseOne(brokers[1], task);
    expect(second.attempt).toBe(2);
    expect(await ack(brokers[0], second.token)).toBe("SUCCEEDED");
  });

  test("the node that leads is killed in the middle of it all: nothing acknowledged is lost or runs again", async () => {
    const task = freshTask();
    const finished = new Set<string>();
    const again: string[] = [];
    const workers = await Promise.all(
      brokers.map((broker) =>
        SessionWorker.attach(broker, task, {
          credit: 50,
          run: (grant, worker) => {
            if (finished.has(grant.ref.key)) again.push(grant.ref.key);
            worker.report(grant.leaseId);
          },
        }),
      ),
    );
    const note = () => {
      for (const { recorded, grants } of workers) {
        for (const leaseId of recorded) {
          const grant = grants.find((g) => g.leaseId === leaseId);
          if (grant !== undefined) finished.add(grant.ref.key);
        }
      }
      return finished.size;
    };
    await submit(brokers[0], { task });
    await scene.ackWait(task, 5_000);
    const refs: JobRef[] = [];
    let submitting = true;
    const submitted = (async () => {
      for (let i = 0; submitting; i++) {
        const specs = Array.from({ length: 20 }, (_, n) => specOf({ task, key: `${i}-${n}` }));
        const broker = brokers[i % 2] as RunningBroker;
        // Until a new leader is found the store may not answer: it is asked again, as a client would. The keys are the same.
        const stored = await until("the store to take them", async () => {
          try {
            const answers = await broker.api.jobs.submit(specs, "return");
            return answers.some(isAway) ? undefined : answers;
          } catch (error) {
            if (isAway(error)) return undefined;
            throw error;
          }
        });
        for (const answer of stored) refs.push(succeeded(answer).ref);
      }
    })();
    await until("some to be done", () => note() >= 200);
    const dead = cluster.node(await leader(task));
    await dead.kill();
    const before = refs.length;
    await until("submits to go on with two nodes", () => refs.length > before + 200, 40_000);
    submitting = false;
    await submitted;
    await dead.restart();
    await until("every job to be done", () => note() > refs.length, 60_000);
    expect(again).toEqual([]);
    for (let i = 0; i < refs.length; i += 500) {
      for (const view of await brokers[1].api.jobs.status(refs.slice(i, i + 500), false)) {
        expect(view?.state).toBe("SUCCEEDED");
      }
    }
    for (const worker of workers) worker.leave();
  }, 150_000);
});
