// Flows on a real nats-server: members run in their order, exactly once, whatever the shards and whoever dies.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FlowView } from "../../broker/src/app/flow-api.js";
import type { Grant, Report } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { flowOfDraft, type MemberDraft } from "../../broker/src/core/flow-spec.js";
import { parseJobId } from "../../broker/src/core/names.js";
import { bytes, failure, refused, stateOf, success, text } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { until } from "../support/until.js";

const FAIL_FLOW = 1;
const CONTINUE = 2;
const SKIP = 3;
const PERMANENT = 2;

interface Asked {
  task: string;
  on?: number[];
  policy?: number;
  payload?: string;
  delay?: number;
  key?: string;
  retention?: number;
}

function member({
  task,
  on = [],
  policy = FAIL_FLOW,
  payload,
  delay,
  key = "",
  retention,
}: Asked): MemberDraft {
  const data = payload === undefined ? undefined : { data: bytes(payload), contentType: "" };
  return {
    job: { task, key, labels: {}, headers: {}, payload: data, delay, retention },
    dependsOn: on,
    onFailure: policy,
    name: "",
  };
}

function flowOf(members: Asked[], more: { key?: string; deadline?: number; name?: string } = {}) {
  const { key = "", deadline, name = "" } = more;
  return flowOfDraft({ key, name, members: members.map(member), deadline, labels: {} }, Date.now());
}

async function ended(on: RunningBroker, key: string): Promise<FlowView> {
  return until(
    `the flow ${key} to end`,
    async () => {
      const view = await on.api.flows.get(key);
      return view.state === "RUNNING" ? undefined : view;
    },
    30_000,
  );
}

/** Runs what comes by what `act` says of it, and notes it. */
async function working(on: RunningBroker, tasks: string[], act: (grant: Grant) => Report | undefined) {
  const ran: string[] = [];
  const worker = await SessionWorker.attach(on, tasks, {
    credit: 100,
    run: (grant, self) => {
      ran.push(grant.ref.key);
      const report = act(grant);
      if (report !== undefined) self.report(grant.leaseId, report);
    },
  });
  return { ran, worker };
}

const inputsOf = (grant: Grant) => grant.inputs.map(({ end }) => `${end.outcome} ${text(end.result?.data)}`);

describe.each([1, 3])("on %i shards", (shards) => {
  let scene: Scene;
  let first: RunningBroker;
  let second: RunningBroker;

  beforeAll(async () => {
    scene = await Scene.open({ shards });
    [first, second] = await scene.pair();
  });
  afterAll(() => scene.close());

  test("a chain runs in order, each with its parent's result", async () => {
    const tasks = [freshTask(), freshTask(), freshTask()] as const;
    const seen: string[][] = [];
    const { worker } = await working(second, [...tasks], (grant) => {
      seen.push(inputsOf(grant));
      return success(`"${grant.spec.flow?.member}"`);
    });
    const { key, jobIds, deduplicated } = await first.api.flows.submit(
      flowOf(tasks.map((task, i) => ({ task, on: i === 0 ? [] : [i - 1] }))),
    );
    expect([deduplicated, jobIds]).toEqual([false, tasks.map((task, i) => `${task}~${key}.${i}`)]);
    const flow = await ended(first, key);
    expect([flow.state, flow.counts.succeeded, flow.record.lastMembers]).toEqual(["SUCCEEDED", 3, [2]]);
    expect(seen).toEqual([[], ['succeeded "0"'], ['succeeded "1"']]);
    const { members } = await first.api.flows.members(key, 0, 100, { results: true, lastOnly: true });
    expect(members.map(({ member: at, result }) => [at, text(result?.data)])).toEqual([[2, '"2"']]);
    worker.leave();
  });

  test("a chord of 300 in two brokers' hands has one callback, with every result in order", async () => {
    const tasks = [freshTask(), freshTask(), freshTask()];
    const callback = freshTask();
    let inputs: string[] = [];
    const act = (grant: Grant) => {
      if (grant.ref.task === callback) inputs = inputsOf(grant);
      return success(String(grant.spec.flow?.member));
    };
    const all = await Promise.all([first, second].map((on) => working(on, [...tasks, callback], act)));
    const group = Array.from({ length: 300 }, (_, i) => ({ task: tasks[i % 3] as string }));
    const { key } = await first.api.flows.submit(
      flowOf([...group, { task: callback, on: [...group.keys()] }]),
    );
    expect((await ended(second, key)).counts).toMatchObject({ total: 301, succeeded: 301 });
    expect(inputs).toEqual(group.map((_, i) => `succeeded ${i}`));
    const ran = all.flatMap((one) => one.ran);
    expect([ran.length, new Set(ran).size]).toEqual([301, 301]);
    for (const { worker } of all) worker.leave();
  });

  test("FAIL_FLOW ends what has not begun, and a redrive goes on from the failed member", async () => {
    const [task, waits] = [freshTask(), freshTask()];
    let broken = true;
    const { ran, worker } = await working(first, [task], (grant) =>
      broken && grant.spec.flow?.member === 1 ? failure(PERMANENT) : success("1"),
    );
    // Nobody serves `waits` until the redrive: it has not begun when the flow fails.
    const { key } = await first.api.flows.submit(
      flowOf([
        { task },
        { task, on: [0], payload: "1" },
        { task, on: [1] },
        { task: waits, on: [0], payload: "7" },
      ]),
    );
    const failed = await ended(second, key);
    expect([failed.state, failed.record.failedMember - 1, failed.counts]).toEqual([
      "FAILED",
      1,
      { total: 4, blocked: 0, open: 0, succeeded: 1, failed: 1, cancelled: 2 },
    ]);
    expect(failed.record.failure?.type).toBe("Boom");
    broken = false;
    const other = await working(second, [waits], (grant) => success(text(grant.payload?.data)));
    const { redriven, flow } = await second.api.flows.redrive(key);
    expect([redriven, flow.state]).toEqual([3, "RUNNING"]);
    const done = await ended(first, key);
    expect([done.state, done.counts.succeeded]).toEqual(["SUCCEEDED", 4]);
    expect(ran.toSorted()).toEqual([`${key}.0`, `${key}.1`, `${key}.1`, `${key}.2`]);
    const { members } = await first.api.flows.members(key, 3, 1, { results: true, lastOnly: false });
    expect(text(members[0]?.result?.data)).toBe("7");
    expect(await refused(first.api.flows.redrive(key))).toBe("NOT_FAILED");
    worker.leave();
    other.worker.leave();
  });

  test("CONTINUE tells the dependents of the failure, SKIP_DEPENDENTS cancels only them", async () => {
    const task = freshTask();
    const seen = new Map<number, string[]>();
    const { worker } = await working(first, [task], (grant) => {
      const at = grant.spec.flow?.member ?? -1;
      seen.set(at, inputsOf(grant));
      return at < 2 ? failure(PERMANENT) : success("1");
    });
    const { key } = await first.api.flows.submit(
      flowOf([
        { task, policy: CONTINUE },
        { task, policy: SKIP },
        { task, on: [0] },
        { task, on: [1] },
        { task, on: [3] },
        { task, on: [2] },
      ]),
    );
    const flow = await ended(second, key);
    expect([flow.state, flow.record.failedMember - 1, flow.counts]).toEqual([
      "FAILED",
      1,
      { total: 6, blocked: 0, open: 0, succeeded: 2, failed: 2, cancelled: 2 },
    ]);
    expect(seen.get(2)).toEqual(["failed "]);
    expect([...seen.keys()].toSorted()).toEqual([0, 1, 2, 5]);
    worker.leave();
  });

  test("a cancelled flow cancels what waits and asks what runs, and can be redriven", async () => {
    const [task, next] = [freshTask(), freshTask()];
    const { worker } = await working(first, [task], () => undefined);
    const { key, jobIds } = await first.api.flows.submit(
      flowOf([{ task }, { task: next, on: [0] }, { task: next }]),
    );
    const running = await worker.next();
    expect(await second.api.flows.cancel(key, "no longer wanted")).toEqual({
      cancelled: 2,
      requested: 1,
      alreadyFinished: false,
    });
    await until("the run to be asked", () => worker.cancels.length === 1);
    worker.report(running.leaseId, { type: "cancelled" });
    expect([
      (await ended(first, key)).state,
      await stateOf(first, parseJobId(jobIds[1] ?? "") as never),
    ]).toEqual(["CANCELLED", "CANCELLED"]);
    expect((await second.api.flows.cancel(key, "")).alreadyFinished).toBe(true);
    const again = await working(second, [next], () => success("1"));
    await second.api.flows.redrive(key);
    await worker.settle((await worker.next()).leaseId);
    expect((await ended(first, key)).state).toBe("SUCCEEDED");
    expect(again.ran.toSorted()).toEqual([`${key}.1`, `${key}.2`]);
    worker.leave();
    again.worker.leave();
  });

  test("a flow over its deadline is FAILED, and what is left is cancelled", async () => {
    const task = freshTask();
    const { key } = await first.api.flows.submit(
      flowOf([{ task }, { task, on: [0] }], { deadline: Date.now() + 4_000 }),
    );
    const flow = await ended(second, key);
    expect([flow.state, flow.counts.cancelled]).toEqual(["FAILED", 2]);
    expect(flow.record.finishedAt).toBeGreaterThanOrEqual(flow.record.deadline);
  });

  test("a repeated submit stores nothing, and is answered with the same members", async () => {
    const task = freshTask();
    const asked = flowOf([{ task }, { task, on: [0] }], { key: `k-${task}` });
    const answers = await Promise.all([first, second, first].map((on) => on.api.flows.submit(asked)));
    expect(answers.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(new Set(answers.map(({ jobIds }) => jobIds.join())).size).toBe(1);
    const { ran, worker } = await working(first, [task], () => success());
    await ended(first, asked.key);
    expect(ran).toEqual([`${asked.key}.0`, `${asked.key}.1`]);
    worker.leave();
  });

  test("a member whose key a job outside of the flow has makes the submit fail without a trace", async () => {
    const task = freshTask();
    await first.api.jobs.submit(
      [member({ task, key: "mine" }).job].map((job) => flowOfJob(job)),
      "return",
    );
    const asked = flowOf([{ task }, { task, key: "mine", on: [0] }], { key: `k-${task}` });
    expect(await refused(first.api.flows.submit(asked))).toBe("JOB_EXISTS");
    expect(await refused(first.api.flows.get(asked.key))).toBe("FLOW_NOT_FOUND");
    expect(await stateOf(first, { task, key: "mine" })).toBe("READY");
  });

  test("results of members that keep none reach the callback all the same", async () => {
    const [task, callback] = [freshTask(), freshTask()];
    const seen: string[][] = [];
    const { worker } = await working(first, [task, callback], (grant) => {
      if (grant.ref.task === callback) seen.push(inputsOf(grant));
      return success(`"${grant.spec.flow?.member}"`);
    });
    const keepsNone = { task, retention: 0 };
    const { key } = await second.api.flows.submit(
      flowOf([keepsNone, keepsNone, { task: callback, on: [0, 1] }]),
    );
    expect((await ended(second, key)).state).toBe("SUCCEEDED");
    expect(seen).toEqual([['succeeded "0"', 'succeeded "1"']]);
    const [job] = await first.api.jobs.status([{ task, key: `${key}.0` }], false);
    expect(job?.stored.job.result).toBeUndefined();
    worker.leave();
  });

  test("a member whose ticket was lost and whose record is gone counts as it ended", async () => {
    const [task, next] = [freshTask(), freshTask()];
    const steps = [first, second].map(({ parts }) => parts.flowSteps);
    const looks = steps.map((each) => each.look);
    for (const each of steps) {
      each.look = async (tickets) => {
        for (const ticket of tickets) ticket.ack();
      };
    }
    const { ran, worker } = await working(first, [task, next], () => success('"kept"'));
    const { key } = await first.api.flows.submit(flowOf([{ task }, { task: next, on: [0] }]));
    const lost = { task, key: `${key}.0` };
    await first.parts.flows.sweep();
    const stream = scene.subjects.stream(scene.subjects.shard(task));
    await until("the first to end", async () => (await stateOf(first, lost)) === "SUCCEEDED");
    await until("its ticket to be lost", async () => {
      const { num_pending, num_ack_pending } = await scene.jsm.consumers.info(stream, "flows");
      return num_pending + num_ack_pending === 0;
    });
    await scene.jsm.streams.purge(stream, { filter: scene.subjects.ofJob(lost) });
    for (const [i, each] of steps.entries()) each.look = looks[i] as (typeof looks)[number];
    expect((await first.api.flows.get(key)).state).toBe("RUNNING");
    await first.parts.flows.sweep();
    expect((await ended(second, key)).state).toBe("SUCCEEDED");
    expect(ran).toEqual([`${key}.0`, `${key}.1`]);
    worker.leave();
  });

  test.each([
    { what: "success, cancelled late", late: true, again: success(), state: "SUCCEEDED" },
    { what: "failure, cancelled late", late: true, again: failure(PERMANENT), state: "FAILED" },
    { what: "failure, never cancelled", late: false, again: failure(PERMANENT), state: "FAILED" },
  ])("a flow redriven before its failure reached all of it runs each once more: $what", async (row) => {
    const [task, other] = [freshTask(), freshTask()];
    let broken = true;
    const { ran, worker } = await working(first, [task, other], (grant) =>
      grant.spec.flow?.member === 1 ? row.again : broken ? failure(PERMANENT) : success(),
    );
    // What follows from the failure is done only after the redrive.
    const cancels = [first, second].map(({ parts }) => parts.cancel);
    const originals = cancels.map(({ cancel }) => cancel);
    const held: (() => void)[] = [];
    let asked = 0;
    for (const each of cancels) {
      const now = each.cancel.bind(each);
      each.cancel = (async (...args: Parameters<typeof now>) => {
        asked += 1;
        if (!row.late) throw new Error("this broker dies");
        await new Promise<void>((resolve) => held.push(resolve));
        return now(...args);
      }) as typeof each.cancel;
    }
    const { key } = await first.api.flows.submit(flowOf([{ task }, { task: other, on: [0] }]));
    await until("the failure to be followed", () => asked > 0);
    for (const [i, each] of cancels.entries()) each.cancel = originals[i] as typeof each.cancel;
    broken = false;
    await second.api.flows.redrive(key);
    for (const go of held) go();
    expect((await ended(second, key)).state).toBe(row.state);
    expect(ran.filter((one) => one.endsWith(".1"))).toHaveLength(1);
    worker.leave();
  });

  test("a watch tells the flow until it has ended", async () => {
    const task = freshTask();
    const { key } = await first.api.flows.submit(flowOf([{ task }, { task, on: [0] }]));
    const states: string[] = [];
    const watched = (async () => {
      for await (const view of second.api.flows.watch(key, new AbortController().signal))
        states.push(view.state);
    })();
    await until("the watch to begin", () => states.length > 0);
    const { worker } = await working(first, [task], () => success());
    await watched;
    expect([states[0], states.at(-1)]).toEqual(["RUNNING", "SUCCEEDED"]);
    worker.leave();
  });

  test("flows are listed by name and state, the latest first, in pages", async () => {
    const name = freshTask("name");
    const keys: string[] = [];
    for (let i = 0; i < 3; i++) {
      keys.unshift(
        (await first.api.flows.submit(flowOf([{ task: `${name}-task` }], { name, key: `${name}-${i}` }))).key,
      );
    }
    const query = { state: "RUNNING" as const, name, pageSize: 2, pageToken: "" };
    const page = await second.api.flows.list(query);
    const rest = await second.api.flows.list({ ...query, pageToken: page.nextPageToken });
    const listed = [...page.flows, ...rest.flows].map(({ record }) => record.key);
    expect([listed.toSorted(), rest.nextPageToken]).toEqual([keys.toSorted(), ""]);
  });

  test("inputs beyond 256 KiB come in pages instead of with the lease", async () => {
    const [task, callback] = [freshTask(), freshTask()];
    const large = `"${"x".repeat(200 * 1024)}"`;
    const { worker } = await working(first, [task], () => success(large));
    const group = Array.from({ length: 20 }, () => ({ task }));
    const { key } = await first.api.flows.submit(
      flowOf([...group, { task: callback, on: [...group.keys()] }]),
    );
    const last = await working(first, [callback], () => undefined);
    const grant = await last.worker.next();
    expect([grant.inputs, grant.spec.flow?.dependsOn.length]).toEqual([[], 20]);
    const found: number[] = [];
    let pages = 0;
    for (let from = 0; pages === 0 || from > 0; pages++) {
      const page = await second.api.flows.inputs(grant.ref, from, 1_000);
      found.push(...page.inputs.map(({ member: at, end }) => at + (end.result?.data.length ?? 0)));
      from = page.next;
    }
    expect(found).toEqual(group.map((_, i) => i + large.length));
    expect(pages).toBe(2);
    await last.worker.settle(grant.leaseId);
    expect((await ended(first, key)).state).toBe("SUCCEEDED");
    worker.leave();
    last.worker.leave();
  });
});

function flowOfJob(job: MemberDraft["job"]) {
  const made = flowOfDraft(
    {
      key: "",
      name: "",
      members: [{ job, dependsOn: [], onFailure: 0, name: "" }],
      deadline: undefined,
      labels: {},
    },
    Date.now(),
  );
  const spec = made.members[0]?.spec;
  if (spec === undefined) throw new Error("no member");
  return spec;
}
