// Looking at jobs: waiting for their ends, watching them change, listing them in pages.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobView } from "../../broker/src/app/api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import type { JobRef, State } from "../../broker/src/core/job.js";
import { ack, failure, leaseOne, refused, specOf, submit, succeeded } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { until } from "../support/until.js";

const never = () => new AbortController().signal;

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let broker: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    broker = await scene.broker();
  });
  afterAll(() => scene.close());

  describe("wait", () => {
    async function two(): Promise<[JobRef, JobRef]> {
      return [
        (await submit(broker, { task: freshTask() })).ref,
        (await submit(broker, { task: freshTask() })).ref,
      ];
    }
    const finish = async (ref: JobRef) => ack(broker, (await leaseOne(broker, ref.task)).token);

    test("for all is over when the last has ended", async () => {
      const refs = await two();
      const waiting = broker.api.jobs.wait(refs, "all", 20_000, never());
      let over = false;
      void waiting.then(() => {
        over = true;
      });
      await finish(refs[0]);
      expect(over).toBe(false);
      await finish(refs[1]);
      const { jobs, done } = await waiting;
      expect([done, jobs.map((job) => job?.state)]).toEqual([true, ["SUCCEEDED", "SUCCEEDED"]]);
    });

    test("for any is over when the first has ended", async () => {
      const refs = await two();
      const waiting = broker.api.jobs.wait(refs, "any", 20_000, never());
      await finish(refs[1]);
      const { jobs, done } = await waiting;
      expect([done, jobs.map((job) => job?.state)]).toEqual([true, ["READY", "SUCCEEDED"]]);
    });

    test("answers with what there is when its time is over or its caller gone", async () => {
      const refs = await two();
      for (const gone of [never(), AbortSignal.abort()]) {
        const { jobs, done } = await broker.api.jobs.wait(refs, "all", 200, gone);
        expect([done, jobs.map((job) => job?.state)]).toEqual([false, ["READY", "READY"]]);
      }
    });

    test("does not wait for jobs that nobody knows", async () => {
      const unknown = { task: freshTask(), key: "none" };
      const { jobs, done } = await broker.api.jobs.wait([unknown], "all", 20_000, never());
      expect([done, jobs]).toEqual([true, [undefined]]);
    });
  });

  test("a watch tells every stage of a job and ends with it", async () => {
    const task = freshTask();
    // Each lasts for long enough to be told.
    const { ref } = await submit(broker, { task, delay: 3_000 });
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { state } of broker.api.jobs.watch(ref, never())) seen.push(state);
    })();
    const reached = (state: State) => until(state, () => seen.at(-1) === state);
    await reached("READY");
    const { token } = await leaseOne(broker, task);
    await reached("RUNNING");
    await ack(broker, token, failure(1, 3_000));
    await reached("RETRYING");
    await ack(broker, (await leaseOne(broker, task)).token);
    await watching;
    expect(seen.filter((state, i) => state !== seen[i - 1]).slice(0, 4)).toEqual([
      "SCHEDULED",
      "READY",
      "RUNNING",
      "RETRYING",
    ]);
    expect(seen.at(-1)).toBe("SUCCEEDED");
  });

  test("a watch of a job nobody knows is refused, one whose caller goes ends", async () => {
    const unknown = broker.api.jobs.watch({ task: freshTask(), key: "none" }, never());
    expect(await refused(unknown[Symbol.asyncIterator]().next())).toBe("JOB_NOT_FOUND");
    const { ref } = await submit(broker, { task: freshTask() });
    const caller = new AbortController();
    const seen: string[] = [];
    for await (const { state } of broker.api.jobs.watch(ref, caller.signal)) {
      seen.push(state);
      caller.abort();
    }
    expect(seen).toEqual(["READY"]);
  });

  describe("list", () => {
    const prefix = freshTask("listed");
    const tasks = [`${prefix}-a`, `${prefix}-b`, `${prefix}.c`];
    const queue = `${prefix}-queue`;
    const all = new Map<string, State>();

    async function pages(
      query: Partial<Parameters<RunningBroker["api"]["jobs"]["list"]>[0]>,
      pageSize: number,
    ) {
      const found: JobView[] = [];
      let pageToken = "";
      do {
        const page = await broker.api.jobs.list({
          state: undefined,
          task: undefined,
          queue: undefined,
          pageSize,
          pageToken,
          includePayload: false,
          ...query,
        });
        expect(page.jobs.length).toBeLessThanOrEqual(pageSize);
        found.push(...page.jobs);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return found;
    }
    const idOf = ({ stored }: JobView) => `${stored.job.spec?.task}~${stored.job.spec?.key}`;
    const sorted = (ids: Iterable<string>) => [...ids].sort();

    beforeAll(async () => {
      for (const [n, task] of tasks.entries()) {
        const specs = Array.from({ length: 30 }, (_, i) =>
          specOf({ task, key: `k${i}`, queue, priority: i % 10, ...(i % 5 === 0 ? { delay: 60_000 } : {}) }),
        );
        const answers = await broker.api.jobs.submit(specs, "return");
        for (const [i, answer] of answers.entries()) {
          const { ref, state } = succeeded(answer);
          all.set(`${ref.task}~${ref.key}`, state);
          if (state !== "READY" || i % 3 !== n) continue;
          // Jobs of every kind: a cancelled one leaves a tombstone, a failed and a succeeded one an acked ticket.
          if (i % 2 === 0) {
            await broker.api.jobs.cancel(ref, "");
            all.set(`${ref.task}~${ref.key}`, "CANCELLED");
          }
        }
        const report = n === 0 ? failure(2) : undefined;
        for (let i = 0; i < 4; i++) {
          const grant = await leaseOne(broker, task, { queues: [queue] });
          const state = await ack(broker, grant.token, report);
          all.set(`${grant.ref.task}~${grant.ref.key}`, state as State);
        }
      }
    });

    test.each([1, 7, 100])(
      "names every job once in pages of %i, nothing twice, nothing left out",
      async (size) => {
        expect(sorted((await pages({ queue }, size)).map(idOf))).toEqual(sorted(all.keys()));
      },
    );

    test.each(["READY", "SCHEDULED", "SUCCEEDED", "FAILED", "CANCELLED"] as const)(
      "of %s jobs names just those",
      async (state) => {
        const expected = [...all].filter(([, is]) => is === state).map(([id]) => id);
        expect(expected.length).toBeGreaterThan(0);
        expect(sorted((await pages({ queue, state }, 9)).map(idOf))).toEqual(sorted(expected));
      },
    );

    test("of a task names its jobs only, also when there is a dot in its name", async () => {
      for (const task of tasks) {
        const expected = [...all.keys()].filter((id) => id.startsWith(`${task}~`));
        expect(sorted((await pages({ task, queue }, 8)).map(idOf))).toEqual(sorted(expected));
      }
      expect(await pages({ task: freshTask() }, 10)).toEqual([]);
    });

    test("keeps its place while jobs are submitted and finished between two pages", async () => {
      const task = freshTask();
      const specs = Array.from({ length: 20 }, (_, i) => specOf({ task, key: `k${i}` }));
      await broker.api.jobs.submit(specs, "return");
      const query = { state: undefined, task, queue: undefined, pageSize: 8, includePayload: false };
      const seen: string[] = [];
      let page = await broker.api.jobs.list({ ...query, pageToken: "" });
      seen.push(...page.jobs.map(idOf));
      await submit(broker, { task, key: "late" });
      await ack(broker, (await leaseOne(broker, task)).token);
      while (page.nextPageToken !== "") {
        page = await broker.api.jobs.list({ ...query, pageToken: page.nextPageToken });
        seen.push(...page.jobs.map(idOf));
      }
      expect(new Set(seen)).toEqual(new Set([...specs.map(({ key }) => `${task}~${key}`), `${task}~late`]));
    });

    test("finds jobs between large payloads, and the few among many of another queue", async () => {
      const task = freshTask();
      const data = Buffer.from(JSON.stringify("x".repeat(300 * 1024)));
      const large = { payload: { data, contentType: "" } };
      for (let i = 0; i < 8; i++) await submit(broker, { task, key: `large${i}`, queue: "large", ...large });
      const many = Array.from({ length: 60 }, (_, i) => specOf({ task, key: `many${i}`, queue: "many" }));
      await broker.api.jobs.submit(many, "return");
      await submit(broker, { task, key: "last", queue: "large" });
      const keys = ["last", ...Array.from({ length: 8 }, (_, i) => `large${i}`)];
      for (const size of [5, 50]) {
        const found = await pages({ task, queue: "large" }, size);
        expect(sorted(found.map(idOf))).toEqual(sorted(keys.map((key) => `${task}~${key}`)));
      }
      expect(await pages({ task }, 7)).toHaveLength(69);
      // It lies behind all the others, and no page is spent on them.
      await submit(broker, { task, key: "rare", queue: "rare" });
      const rare = {
        state: undefined,
        task,
        queue: "rare",
        pageSize: 5,
        pageToken: "",
        includePayload: false,
      };
      expect((await broker.api.jobs.list(rare)).jobs.map(idOf)).toEqual([`${task}~rare`]);
      // Of all that there is, too, large payloads are no end.
      expect((await pages({}, 50)).map(idOf)).toContain(`${task}~rare`);
    });

    test("refuses a page token that it did not give", async () => {
      for (const pageToken of ["x", "1", "-1--1", "0-0"]) {
        const query = {
          state: undefined,
          task: undefined,
          queue: undefined,
          pageSize: 5,
          includePayload: false,
        };
        expect(await refused(broker.api.jobs.list({ ...query, pageToken }))).toBe("INVALID_ARGUMENT");
      }
    });
  });
});
