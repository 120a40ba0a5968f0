import { CancelReason, FailureReason, type Lease } from "@drover/proto/v1";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TaskContext } from "../../../worker-sdk/typescript/src/context.js";
import {
  HardTimeLimitExceeded,
  JobCancelled,
  LeaseLost,
  Snooze,
  SoftTimeLimitExceeded,
  WorkerDraining,
} from "../../../worker-sdk/typescript/src/errors.js";
import { Holdings } from "../../../worker-sdk/typescript/src/holdings.js";
import { Runner, type RunnerOptions } from "../../../worker-sdk/typescript/src/runner.js";
import { defineTask, type Handler, type TaskOptions } from "../../../worker-sdk/typescript/src/task.js";
import { lease, ms } from "./leases.js";

const { CANCEL_REASON_REQUESTED, CANCEL_REASON_LEASE_LOST, CANCEL_REASON_TIME_LIMIT } = CancelReason;

interface Setup extends Partial<Omit<RunnerOptions, "tasks">> {
  options?: TaskOptions;
}

function running(handler: Handler<unknown, unknown>, { options = {}, ...setup }: Setup = {}) {
  const events: [string, Record<string, unknown>][] = [];
  const log = (fields: object, event: string) => void events.push([event, { ...fields }]);
  const task = defineTask({ ...options, name: "demo.task", handler });
  const holdings = new Holdings();
  const runner = new Runner(holdings, {
    tasks: new Map([[task.name, task]]),
    concurrency: 10,
    prefetch: 0,
    around: undefined,
    logger: { debug: log, info: log, warn: log, error: log },
    inputs: async () => [],
    isolated: () => expect.unreachable("nothing here is isolated"),
    changed: () => {},
    ...setup,
  });
  const outcomes = () => holdings.takeOutcomes().map(({ leaseId, report }) => [leaseId, report?.$case]);
  const run = (leaseId: number) =>
    holdings.get(leaseId) ?? expect.unreachable(`lease ${leaseId} is not held`);
  const accept = (...leases: Lease[]) => runner.accept(leases);
  return { runner, holdings, outcomes, run, accept, events, names: () => events.map(([event]) => event) };
}

/** A handler that ends when the test says so. */
function gates() {
  const open: ((value?: unknown) => void)[] = [];
  const fail: ((error: unknown) => void)[] = [];
  const contexts: TaskContext[] = [];
  const handler: Handler<unknown, unknown> = (_payload, context) =>
    new Promise((resolve, reject) => {
      open.push(resolve);
      fail.push(reject);
      contexts.push(context);
    });
  const at = <T>(list: T[], index: number): T =>
    list[index] ?? expect.unreachable(`run ${index} has not begun`);
  return {
    handler,
    contexts,
    open: async (index: number, value?: unknown) => {
      at(open, index)(value);
      await turn();
    },
    fail: async (index: number, error: unknown) => {
      at(fail, index)(error);
      await turn();
    },
  };
}

const turn = async () => {
  for (let i = 0; i < 5; i++) await Promise.resolve();
};

describe("a handler", () => {
  test("gets the payload, and what it returns is the result", async () => {
    const { accept, holdings } = running((payload) => ({ got: payload }));
    accept(lease(1, { payload: { data: Buffer.from('{"a":1}'), contentType: "" } }));
    const [outcome] = holdings.takeOutcomes();
    const result = outcome?.report?.$case === "success" ? outcome.report.value.result?.data : undefined;
    expect(Buffer.from(result ?? []).toString()).toBe('{"got":{"a":1}}');
  });

  test("may be synchronous or not, return or throw", async () => {
    const { accept, outcomes } = running((payload) => {
      const { how } = payload as { how: string };
      if (how === "throws") throw new Error("x");
      if (how === "rejects") return Promise.reject(new Error("x"));
      return how === "resolves" ? Promise.resolve(1) : 1;
    });
    const ways = ["returns", "resolves", "throws", "rejects"];
    accept(
      ...ways.map((how, i) =>
        lease(i, { payload: { data: Buffer.from(JSON.stringify({ how })), contentType: "" } }),
      ),
    );
    await turn();
    expect(outcomes().sort()).toEqual([
      [0, "success"],
      [1, "success"],
      [2, "failure"],
      [3, "failure"],
    ]);
  });

  test("is not called with a payload that is not JSON", () => {
    const handler = vi.fn();
    const { accept, holdings } = running(handler);
    accept(lease(1, { payload: { data: Buffer.from("{"), contentType: "" } }));
    const report = holdings.takeOutcomes()[0]?.report;
    expect(report?.$case === "failure" && report.value.reason).toBe(FailureReason.FAILURE_REASON_PERMANENT);
    expect(handler).not.toHaveBeenCalled();
  });

  test("fails for good when its result has no JSON", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    const { accept, holdings } = running(() => cycle);
    accept(lease(1));
    const report = holdings.takeOutcomes()[0]?.report;
    expect(report?.$case === "failure" && report.value.type).toBe("PayloadError");
  });

  test("runs inside of what the worker puts around it", async () => {
    const steps: string[] = [];
    const { accept, outcomes } = running(() => void steps.push("handler"), {
      around: async (_context, run) => {
        steps.push("open");
        try {
          return await run();
        } finally {
          steps.push("close");
        }
      },
    });
    accept(lease(1));
    await turn();
    expect(steps).toEqual(["open", "handler", "close"]);
    expect(outcomes()).toEqual([[1, "success"]]);
  });

  test("of a task this worker does not serve is a failure, not a crash", () => {
    const { accept, outcomes } = running(() => 1);
    accept(lease(1, { task: "other.task" }));
    expect(outcomes()).toEqual([[1, "failure"]]);
  });
});

describe("slots", () => {
  test("bound how many handlers run, and the next one starts when one ends", async () => {
    const { handler, open, contexts } = gates();
    const { accept, runner } = running(handler, { concurrency: 2, prefetch: 2 });
    accept(lease(1), lease(2), lease(3), lease(4));
    expect(contexts.map(({ jobId }) => jobId)).toEqual(["demo.task~1", "demo.task~2"]);
    await open(0);
    expect(contexts).toHaveLength(3);
    expect(runner.busy).toBe(2);
  });

  test("of one task do not block another one's", async () => {
    const { handler, contexts, open } = gates();
    const { accept } = running(handler, { concurrency: 3, options: { concurrency: 1 } });
    accept(lease(1), lease(2));
    expect(contexts).toHaveLength(1);
    await open(0);
    expect(contexts).toHaveLength(2);
  });

  test("are filled by handlers that return at once without ever nesting", () => {
    const { accept, holdings, runner } = running(() => 1, { concurrency: 1, prefetch: 9_999 });
    accept(...Array.from({ length: 10_000 }, (_, i) => lease(i + 1)));
    expect(runner.busy).toBe(0);
    expect(holdings.takeOutcomes()).toHaveLength(1_000);
  });

  test("stay taken until the handler has really ended, and the broker is told", async () => {
    const { handler, open, contexts } = gates();
    const { accept, runner, run } = running(handler, { concurrency: 1 });
    accept(lease(1));
    runner.cancel(run(1), CANCEL_REASON_LEASE_LOST);
    expect(runner.credit).toBe(0);
    expect([runner.busy, runner.abandoned]).toEqual([0, 1]);
    accept(lease(2));
    expect(contexts).toHaveLength(1);
    await open(0);
    expect(contexts).toHaveLength(2);
    expect(runner.credit).toBe(1);
  });
});

describe("a cancel", () => {
  test("aborts the signal; an error then is its answer, a return still counts", async () => {
    const { handler, contexts, open, fail } = gates();
    const { accept, runner, run, outcomes } = running(handler);
    accept(lease(1), lease(2));
    for (const leaseId of [1, 2]) runner.cancel(run(leaseId), CANCEL_REASON_REQUESTED);
    expect(contexts[0]?.signal.reason).toBeInstanceOf(JobCancelled);
    await fail(0, contexts[0]?.signal.reason);
    await open(1);
    expect(outcomes()).toEqual([
      [1, "cancelled"],
      [2, "success"],
    ]);
  });

  test("of a job that waits for a slot is answered at once", () => {
    const { handler, contexts } = gates();
    const { accept, runner, run, outcomes } = running(handler, { concurrency: 1, prefetch: 1 });
    accept(lease(1), lease(2));
    runner.cancel(run(2), CANCEL_REASON_REQUESTED);
    expect(outcomes()).toEqual([[2, "cancelled"]]);
    expect(contexts).toHaveLength(1);
  });

  test("that comes after the end changes nothing", async () => {
    const { handler, open } = gates();
    const { accept, runner, run, outcomes } = running(handler);
    accept(lease(1));
    await open(0);
    runner.cancel(run(1), CANCEL_REASON_REQUESTED);
    expect(outcomes()).toEqual([[1, "success"]]);
  });

  test.each([
    [CANCEL_REASON_LEASE_LOST, LeaseLost],
    [CANCEL_REASON_TIME_LIMIT, HardTimeLimitExceeded],
  ])("for reason %i ends the attempt: nothing is reported any more", async (reason, Why) => {
    const { handler, contexts, open } = gates();
    const { accept, runner, run, outcomes, holdings, names } = running(handler);
    accept(lease(1));
    runner.cancel(run(1), reason);
    expect(contexts[0]?.signal.reason).toBeInstanceOf(Why);
    await open(0);
    expect(outcomes()).toEqual([]);
    expect(holdings.size).toBe(0);
    expect(names()).toEqual(["task_started", "task_lost"]);
  });

  test("for a reason of the future asks, and lets the report stand", async () => {
    const { handler, open } = gates();
    const { accept, runner, run, outcomes } = running(handler);
    accept(lease(1));
    runner.cancel(run(1), 99 as CancelReason);
    await open(0);
    expect(outcomes()).toEqual([[1, "success"]]);
  });
});

describe("time limits", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("no timer is started for a run without limits", () => {
    const { handler } = gates();
    running(handler).accept(lease(1));
    expect(vi.getTimerCount()).toBe(0);
  });

  test("the soft one aborts the signal, and the run goes on", async () => {
    const { handler, contexts, open } = gates();
    const { accept, outcomes } = running(handler);
    accept(lease(1, { softTimeLimit: ms(1_000), hardTimeLimit: ms(3_000) }));
    vi.advanceTimersByTime(999);
    expect(contexts[0]?.signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(contexts[0]?.signal.reason).toBeInstanceOf(SoftTimeLimitExceeded);
    await open(0);
    expect(outcomes()).toEqual([[1, "success"]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([undefined, ms(1_000)])(
    "the hard one reports at once and only once (soft: %j)",
    async (softTimeLimit) => {
      const { handler, contexts, open } = gates();
      const { accept, runner, holdings, names } = running(handler);
      accept(lease(1, { softTimeLimit, hardTimeLimit: ms(3_000) }));
      vi.advanceTimersByTime(3_000);
      const report = holdings.takeOutcomes()[0]?.report;
      expect(report?.$case === "failure" && report.value.reason).toBe(
        FailureReason.FAILURE_REASON_TIME_LIMIT,
      );
      expect(contexts[0]?.signal.aborted).toBe(true);
      expect(runner.abandoned).toBe(1);
      await open(0);
      expect(holdings.takeOutcomes()).toEqual([]);
      expect(runner.abandoned).toBe(0);
      expect(names()).toEqual(["task_started", "task_failed"]);
    },
  );

  test("the hard one holds for a handler that returns late because it let no timer fire", () => {
    const began = performance.now();
    const now = vi.spyOn(performance, "now");
    const busy = () => void now.mockReturnValue(began + 3_000);
    const { accept, holdings, names } = running(busy);
    accept(lease(1, { hardTimeLimit: ms(3_000) }));
    now.mockRestore();
    const report = holdings.takeOutcomes()[0]?.report;
    expect(report?.$case === "failure" && report.value.reason).toBe(FailureReason.FAILURE_REASON_TIME_LIMIT);
    expect(names()).toEqual(["task_started", "task_failed"]);
  });

  test("end with the run", async () => {
    const { handler, open } = gates();
    const { accept } = running(handler);
    accept(lease(1, { hardTimeLimit: ms(3_000) }));
    await open(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of 30 days are no limits of 0 ms", () => {
    const { handler, contexts } = gates();
    const { accept, outcomes } = running(handler);
    const day = 24 * 3_600_000;
    accept(lease(1, { hardTimeLimit: ms(30 * day) }));
    vi.advanceTimersByTime(30 * day - 1);
    expect(contexts[0]?.signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(outcomes()).toEqual([[1, "failure"]]);
  });
});

describe("a draining worker", () => {
  test("gives back what waits for a slot and what still comes", async () => {
    const { handler, open } = gates();
    const { accept, runner, outcomes } = running(handler, { concurrency: 1, prefetch: 1 });
    accept(lease(1), lease(2));
    runner.drain();
    accept(lease(3));
    await open(0);
    expect(outcomes()).toEqual([
      [2, "release"],
      [3, "release"],
      [1, "success"],
    ]);
    expect(runner.credit).toBe(0);
  });

  test("starts nothing more when it is one of the handlers that stops it", () => {
    const setup = { concurrency: 1, prefetch: 9 };
    const { accept, outcomes, runner } = running(() => runner.drain(), setup);
    accept(lease(1), lease(2), lease(3));
    expect(outcomes().sort()).toEqual([
      [1, "success"],
      [2, "release"],
      [3, "release"],
    ]);
  });

  test("tells the last handlers to end; those that do with an error give their job back", async () => {
    const { handler, contexts, open, fail } = gates();
    const { accept, runner, outcomes } = running(handler);
    accept(lease(1), lease(2), lease(3));
    runner.drain();
    runner.interruptAll(() => new WorkerDraining());
    expect(contexts.map(({ signal }) => signal.reason)).toEqual(Array(3).fill(expect.any(WorkerDraining)));
    await fail(0, contexts[0]?.signal.reason);
    await open(1);
    await fail(2, new Snooze(5_000));
    expect(outcomes()).toEqual([
      [1, "release"],
      [2, "success"],
      [3, "snooze"],
    ]);
  });

  test("gives back the jobs of handlers that do not end, and ignores what they do", async () => {
    const { handler, open } = gates();
    const { accept, runner, outcomes } = running(handler);
    accept(lease(1));
    runner.drain();
    runner.releaseAll(() => new WorkerDraining());
    expect(outcomes()).toEqual([[1, "release"]]);
    expect([runner.busy, runner.abandoned]).toEqual([0, 1]);
    await open(0);
    expect(outcomes()).toEqual([]);
  });
});

describe("the log", () => {
  test("tells of each run's beginning and end, with job, task, attempt and duration, and no payload", () => {
    const { accept, events } = running(() => "secret result");
    accept(lease(1, { attempt: 2, payload: { data: Buffer.from('"secret payload"'), contentType: "" } }));
    expect(events).toEqual([
      ["task_started", { event: "task_started", job_id: "demo.task~1", task: "demo.task", attempt: 2 }],
      [
        "task_completed",
        expect.objectContaining({ job_id: "demo.task~1", attempt: 2, duration_ms: expect.any(Number) }),
      ],
    ]);
    expect(JSON.stringify(events)).not.toContain("secret");
  });

  test.each`
    failures | final    | why
    ${0}     | ${false} | ${"a failure that is retried"}
    ${3}     | ${true}  | ${"the last failure"}
  `("says of $why that final is $final", ({ failures, final }) => {
    const { accept, events } = running(() => Promise.reject(new TypeError("no")));
    accept(lease(1, { failures, maxAttempts: 4 }));
    return turn().then(() =>
      expect(events[1]).toEqual([
        "task_failed",
        expect.objectContaining({ error_type: "TypeError", error: "no", final }),
      ]),
    );
  });

  test("puts no line together that nobody wants", () => {
    const lines: string[] = [];
    const log = (_: object, event: string) => void lines.push(event);
    const logger = { debug: log, info: log, warn: log, error: log, isLevelEnabled: () => false };
    running(() => 1, { logger }).accept(lease(1));
    expect(lines).toEqual([]);
  });
});
