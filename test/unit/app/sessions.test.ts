// Who is silent and who is gone, for a broker that stands still itself now and then: what was said to it meanwhile lies
// unread, and nobody loses his jobs for that.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Dispatcher } from "../../../broker/src/app/dispatcher.js";
import { Granting } from "../../../broker/src/app/granting.js";
import { Holdings } from "../../../broker/src/app/holdings.js";
import type { WorkSession } from "../../../broker/src/app/session.js";
import { Sessions, type SessionTimes } from "../../../broker/src/app/sessions.js";
import { Settling } from "../../../broker/src/app/settling.js";
import { silent } from "../../../broker/src/app/telemetry.js";
import type { Grant, Hello, Session, SessionSink } from "../../../broker/src/app/worker-api.js";
import { SignedTokens } from "../../../broker/src/tokens.js";
import { aTicket, HandDrivenLanes } from "../../support/hand-driven-lanes.js";
import { ScriptedStore } from "../../support/scripted-store.js";
import { steppedClock } from "../../support/stepped-time.js";

const log = { outcome() {}, debug() {}, info() {}, warn() {}, error() {} };

/** A worker with what the broker said to it. */
class Worker implements SessionSink {
  session: Session | undefined;
  held: readonly { token: string }[] = [];
  readonly grants: Grant[] = [];
  readonly recorded: number[] = [];
  pings = 0;
  closedBecause: string | undefined;

  attached({ held }: { held: readonly { token: string }[] }): void {
    this.held = held;
  }
  leases(grants: readonly Grant[]): void {
    this.grants.push(...grants);
  }
  settled(recorded: readonly number[]): void {
    this.recorded.push(...recorded);
  }
  ping(): void {
    this.pings += 1;
  }
  close(reason: string): void {
    this.closedBecause = reason;
  }
  cancel(): void {}
  drain(): void {}
}

let store: ScriptedStore;
let lanes: HandDrivenLanes;
let dispatcher: Dispatcher;
let sessions: Sessions;

function open(times: SessionTimes): void {
  store = new ScriptedStore();
  lanes = new HandDrivenLanes();
  const { ledger, hints } = store;
  const holdings = new Holdings();
  const jobs = { dropBody() {}, body: async () => undefined, read: async () => [] };
  const shared = { ledger, holdings, jobs, clock: steppedClock, telemetry: silent, log, broker: "broker-1" };
  const settling = new Settling(shared);
  const tokens = new SignedTokens(Buffer.alloc(32, 7));
  const granting = new Granting(
    ...([ledger, settling, holdings, jobs, tokens, hints, steppedClock, silent, log] as const),
    async () => [],
    async () => true,
  );
  dispatcher = new Dispatcher(
    lanes,
    () => undefined,
    async () => undefined,
    { buffered: 5_000 },
  );
  sessions = new Sessions({ ...shared, dispatcher, settling, granting, tokens, hints }, times);
}

async function attach(held: readonly string[] = []): Promise<Worker> {
  const hello: Hello = {
    ...{ worker: "worker-1", instance: "i", sdk: "test", peer: "", queues: [{ queue: "q", weight: 1 }] },
    ...{ tasks: [{ task: "a", concurrency: 0 }], credit: { jobs: 10, bytes: 1_000 }, held },
  };
  const worker = new Worker();
  worker.session = await sessions.attach(hello, worker);
  return worker;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
async function turnsUntil(reached: () => boolean): Promise<void> {
  while (!reached()) await turn();
}

async function withJob(): Promise<{ worker: Worker; token: string }> {
  const worker = await attach();
  dispatcher.accept(aTicket(lanes.lane("a", 5).key));
  await turnsUntil(() => worker.grants.length === 1);
  return { worker, token: worker.grants[0]?.token ?? "" };
}

afterEach(() => {
  vi.useRealTimers();
  sessions.stop();
  dispatcher.stop();
  store.close();
});

describe("a session of a worker that is silent", () => {
  let worker: Worker;

  beforeEach(async () => {
    vi.useFakeTimers({ now: Date.UTC(2026, 0, 1), toFake: ["setInterval", "clearInterval", "Date"] });
    open({ pingEvery: 5_000, timeout: 15_000, grace: 1_000 });
    worker = await attach();
  });

  /** No timer runs, and nothing is read. */
  const standStill = (ms: number) => vi.setSystemTime(Date.now() + ms);
  const pass = (ms: number) => vi.advanceTimersByTime(ms);

  test("ends after the timeout, and not before", () => {
    pass(15_000);
    expect(worker.closedBecause).toBe(undefined);
    pass(1_000);
    expect(worker.closedBecause).toBe("nothing was heard for 15000 ms");
    expect(worker.pings).toBe(3);
  });

  test.each([1, 6, 9, 11, 14, 30, 3_600])(
    "does not end by the %i s that the broker stood still itself",
    (s) => {
      pass(5_000);
      standStill(s * 1_000);
      pass(1_000);
      expect(worker.closedBecause).toBe(undefined);
      // The pong that lay there is read behind the timers.
      worker.session?.pong();
      pass(15_000);
      expect(worker.closedBecause).toBe(undefined);
      pass(1_000);
      expect(worker.closedBecause).toBeDefined();
    },
  );

  test("ends as late as ever when the broker stood still and there is nothing to read", () => {
    pass(5_000);
    standStill(30_000);
    pass(10_000);
    expect(worker.closedBecause).toBe(undefined);
    pass(1_000);
    expect(worker.closedBecause).toBeDefined();
  });

  test("is asked at once for a sign of life after the broker stood still, or the clock was set back", () => {
    standStill(7_000);
    pass(1_000);
    expect(worker.pings).toBe(1);
    standStill(-3_600_000);
    pass(1_000);
    expect(worker.pings).toBe(2);
    pass(5_000);
    expect(worker.pings).toBe(3);
  });

  test("ends in time when the clock was set back", () => {
    pass(5_000);
    standStill(-3_600_000);
    pass(11_000);
    expect(worker.closedBecause).toBeDefined();
  });

  test("lasts for as long as was vouched for it, not counting the time that the broker stood still", async () => {
    const { worker, token } = await withJob();
    expect(token).not.toBe("");
    (worker.session as WorkSession).vouched(20_000);
    pass(10_000);
    standStill(30_000);
    pass(10_000);
    expect(worker.closedBecause).toBe(undefined);
    pass(2_000);
    expect(worker.closedBecause).toBeDefined();
  });
});

describe("a worker whose stream broke", () => {
  beforeEach(() => open({ pingEvery: 5_000, timeout: 15_000, grace: 300 }));

  test("loses its jobs after the grace", async () => {
    const { worker } = await withJob();
    worker.session?.closed(false);
    const since = performance.now();
    await turnsUntil(() => store.writes.length === 1);
    expect(performance.now() - since).toBeGreaterThan(250);
  });

  test("keeps them when it came back while the broker stood still for longer than the grace", async () => {
    const { worker, token } = await withJob();
    await turn();
    worker.session?.closed(false);
    for (const until = performance.now() + 1_000; performance.now() < until; );
    // Timers that are due run first, then what has come in is read, then this goes on.
    await turn();
    const back = await attach([token]);
    expect(back.held).toMatchObject([{ token }]);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(store.writes).toEqual([]);
  });
});

test("a session is told what was recorded of its reports", async () => {
  open({ pingEvery: 5_000, timeout: 15_000, grace: 300 });
  const { worker } = await withJob();
  const [grant] = worker.grants;
  store.answers = [10];
  worker.session?.outcomes([
    { leaseId: grant?.leaseId ?? 0, token: "", report: { type: "success", result: undefined } },
  ]);
  await turnsUntil(() => worker.recorded.length > 0);
  expect(worker.recorded).toEqual([grant?.leaseId]);
});
