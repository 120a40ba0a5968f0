// What waiting for a job asks of the store: nothing at all for a short job of one's own, everything as soon as somebody
// else may have a hand in it.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { JobView } from "../../../broker/src/app/api.js";
import { Hints } from "../../../broker/src/app/hints.js";
import { endedView, type Reader } from "../../../broker/src/app/reader.js";
import { Waiting } from "../../../broker/src/app/waiting.js";
import { jobId } from "../../../broker/src/core/names.js";
import { stored as storedAs } from "../../support/stored-jobs.js";

const ref = { task: "mail.send", key: "k1" };
const id = jobId(ref);
const open = storedAs("ready");
const done = storedAs("succeeded");

let brokers: string[];
let followed: number;
let looks: number;
let stored: typeof open;
let hints: Hints;
let waiting: Waiting;

beforeEach(() => {
  brokers = ["a"];
  followed = 0;
  looks = 0;
  stored = open;
  const peers = {
    self: "a",
    all: () => brokers,
    ask: async () => ({ answers: [], silent: 0 }),
    answer() {},
    tell() {},
    hear() {},
  };
  const follow = () => {
    followed++;
    return () => undefined;
  };
  hints = new Hints({ watch: follow }, peers);
  const look = async (): Promise<(JobView | undefined)[]> => {
    looks++;
    return [endedView(stored)];
  };
  waiting = new Waiting({ glance: look, status: look } satisfies Pick<Reader, "glance" | "status">, hints);
});

const wait = (timeout = 60_000) => waiting.wait([ref], "all", timeout, new AbortController().signal);
const states = ({ jobs }: Awaited<ReturnType<typeof wait>>) => jobs.map((view) => view?.state);

describe("a job that this broker stored last, with no other broker about", () => {
  beforeEach(() => hints.created(id));

  test("is answered from its end, and the store is asked nothing", async () => {
    const answer = wait();
    hints.changed(id, done);
    expect(states(await answer)).toEqual(["SUCCEEDED"]);
    expect([followed, looks]).toEqual([0, 0]);
  });

  test("is looked at and followed when its end does not come at once", async () => {
    const answer = wait();
    await expect.poll(() => [followed, looks], { timeout: 8_000 }).toEqual([1, 1]);
    hints.changed(id, done);
    expect(states(await answer)).toEqual(["SUCCEEDED"]);
  });

  test("is looked at once more when the time is over", async () => {
    const { done: isDone, ...answer } = await wait(1);
    expect([isDone, states({ done: isDone, ...answer })]).toEqual([false, ["READY"]]);
    expect(looks).toBeGreaterThan(0);
  });
});

test.each([
  [
    "another broker is about",
    () => {
      hints.created(id);
      brokers.push("b");
    },
  ],
  ["it was stored by somebody else", () => undefined],
  [
    "its end was stored before",
    () => {
      hints.created(id);
      hints.changed(id, done);
    },
  ],
  [
    "twenty thousand have been stored since",
    () => {
      hints.created(id);
      for (let i = 0; i < 20_000; i++) hints.created(`mail.send/${i}`);
    },
  ],
])("a job is looked at without delay when %s", async (_, arrange) => {
  arrange();
  stored = done;
  const answer = wait();
  expect([followed, looks]).toEqual([1, 1]);
  expect(states(await answer)).toEqual(["SUCCEEDED"]);
});

describe("by this machine's clock", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());
  const asked = () => [followed, looks];

  test("a short job of one's own is left alone for 25 ms, and is then looked at", async () => {
    hints.created(id);
    const answer = wait();
    await vi.advanceTimersByTimeAsync(24);
    expect(asked()).toEqual([0, 0]);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked()).toEqual([1, 1]);
    hints.changed(id, done);
    await vi.advanceTimersByTimeAsync(1);
    expect(states(await answer)).toEqual(["SUCCEEDED"]);
  });

  test("a hint that came before the write that it announces is followed by looks until that is stored", async () => {
    const answer = wait();
    await vi.advanceTimersByTimeAsync(100);
    expect(looks).toBe(1);
    hints.changed(id);
    await vi.advanceTimersByTimeAsync(20);
    expect(looks).toBeGreaterThan(2);
    stored = done;
    // Its end is found by one of those looks, long before the slow one.
    await vi.advanceTimersByTimeAsync(100);
    expect(states(await answer)).toEqual(["SUCCEEDED"]);
  });

  test("a hint that was for nothing costs a few looks and no more", async () => {
    const answer = wait(60_000);
    hints.changed(id);
    await vi.advanceTimersByTimeAsync(4_000);
    const after = looks;
    expect(after).toBeLessThan(12);
    await vi.advanceTimersByTimeAsync(900);
    expect(looks).toBe(after);
    hints.changed(id, done);
    await vi.advanceTimersByTimeAsync(1);
    expect(states(await answer)).toEqual(["SUCCEEDED"]);
  });

  test("a change that nobody hinted at is found by the slow look", async () => {
    const answer = wait();
    await vi.advanceTimersByTimeAsync(100);
    stored = done;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(states(await answer)).toEqual(["SUCCEEDED"]);
  });
});

describe("a watch", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  test("tells the job now and after each change, however early its hint came, and ends with the job", async () => {
    const told: string[] = [];
    const over = (async () => {
      for await (const view of waiting.watch(ref, new AbortController().signal)) told.push(view.state);
    })();
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual(["READY"]);
    hints.changed(id);
    await vi.advanceTimersByTimeAsync(5);
    stored = done;
    await vi.advanceTimersByTimeAsync(100);
    await over;
    expect(told).toEqual(["READY", "SUCCEEDED"]);
  });
});
