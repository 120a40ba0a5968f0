// What a declaration of schedules reads, on schedules kept in this file: what it declares, and not all there are.

import { beforeEach, describe, expect, test } from "vitest";
import { ScheduleOwners } from "../../../broker/src/app/schedule-owners.js";
import type { KnownSchedule, ScheduleRecord } from "../../../broker/src/app/schedule-ports.js";
import { ScheduleControl } from "../../../broker/src/app/schedules.js";
import { scheduleLimits } from "../../../broker/src/core/limits.js";
import { noRoutes } from "../../../broker/src/core/routes.js";
import type { Schedule } from "../../../broker/src/core/schedule.js";
import { now } from "../../support/stored-jobs.js";

const minute = 60_000;

let kept: Map<string, { record: ScheduleRecord; seq: number }>;
let time: number;
/** Records read since the test began to count. */
let reads: number;
/** What brokers hear of one another. */
let hearers: ((body: unknown, broker: string) => void)[];
let deaf: boolean;
/** Happens before records are read. */
let reading: (names: readonly string[]) => void;
let here: ScheduleControl;
let there: ScheduleControl;

beforeEach(() => {
  kept = new Map();
  time = now;
  reads = 0;
  hearers = [];
  deaf = false;
  reading = () => undefined;
  [here, there] = [control(), control()];
});

/** Of one broker. */
function control(): ScheduleControl {
  const schedules = {
    read: async (names: readonly string[]) => {
      reading(names);
      reads += names.length;
      return names.map((name): KnownSchedule => kept.get(name) ?? { record: undefined, seq: 0 });
    },
    names: async () => [...kept.keys()].sort(),
    write: async (changes: readonly { name: string; record: ScheduleRecord | undefined; seq: number }[]) => {
      if (changes.some(({ name, seq }) => (kept.get(name)?.seq ?? 0) !== seq)) return false;
      for (const { name, record, seq } of changes) {
        if (record === undefined) kept.delete(name);
        else kept.set(name, { record, seq: seq + 1 });
      }
      return true;
    },
  };
  const peers = {
    tell: (_: string, body: unknown) => {
      if (!deaf) for (const hear of hearers) hear(body, "");
    },
    hear: (_: string, hear: (body: unknown, broker: string) => void) => hearers.push(hear),
  };
  const clock = { now: () => time };
  const firings = {
    settled: async () => undefined,
    submitNow: async () => Promise.reject(new Error("nothing is triggered here")),
  };
  const owners = new ScheduleOwners(schedules, peers, clock);
  const read = (bytes: Uint8Array): Schedule => scheduleOf(Buffer.from(bytes).toString());
  return new ScheduleControl({ schedules, owners, firings, clock, routes: noRoutes, read });
}

function scheduleOf(name: string): Schedule {
  return {
    name,
    interval: minute,
    timeZone: "",
    job: { task: "t", key: "", labels: {}, headers: {} },
    overlap: "allow",
    misfire: "once",
    maxCatchUp: 0,
    paused: false,
    description: "",
  };
}

const put = (at: ScheduleControl, owner: string, names: readonly string[], removeUndeclared = false) =>
  at.put({
    owner,
    schedules: names.map((name) => ({ schedule: scheduleOf(name), bytes: Buffer.from(name) })),
    removeUndeclared,
    dryRun: false,
  });
const named = (count: number) => Array.from({ length: count }, (_, i) => `s-${String(i).padStart(5, "0")}`);

describe("a declaration", () => {
  test("of one schedule after the other reads each once, however many there are", async () => {
    const names = named(2_000);
    for (const name of names) await put(here, "app", [name]);
    expect(reads).toBe(names.length);
    expect(kept.size).toBe(names.length);
  });

  test("tells what its owner has beside it, whichever broker it was declared at", async () => {
    await put(here, "app", ["a", "b"]);
    await put(there, "other", ["c"]);
    expect(await put(there, "app", ["b"])).toMatchObject({ unchanged: ["b"], undeclared: ["a"] });
    await there.remove("a");
    expect(await put(here, "app", ["b"])).toMatchObject({ undeclared: [] });
  });

  test("tells the first thousand of them at most", async () => {
    for (let i = 0; i < 1_200; i += scheduleLimits.declared)
      await put(here, "app", named(1_200).slice(i, i + scheduleLimits.declared));
    const { undeclared } = await put(here, "app", ["one"]);
    expect(undeclared).toEqual(named(1_000));
  });

  test("reads all of them again after a minute: news may get lost", async () => {
    await put(here, "app", ["a"]);
    deaf = true;
    await put(there, "app", ["b"]);
    expect(await put(here, "app", ["a"])).toMatchObject({ undeclared: [] });
    time += minute;
    expect(await put(here, "app", ["a"])).toMatchObject({ undeclared: ["b"] });
  });

  test("that removes the others goes by the store, and leaves what has another owner by then", async () => {
    await put(here, "app", ["a", "b"]);
    deaf = true;
    await put(there, "app", ["c"]);
    await there.remove("b");
    await put(there, "other", ["b"]);
    expect(await put(here, "app", ["a"], true)).toMatchObject({ undeclared: ["c"] });
    expect([...kept.keys()].sort()).toEqual(["a", "b"]);
  });

  test("that removes the others leaves what changes hands while it looks", async () => {
    await put(here, "app", ["a", "b"]);
    reading = (names) => {
      const b = kept.get("b");
      if (names.join() === "b" && b !== undefined)
        kept.set("b", { record: { ...b.record, owner: "other" }, seq: 9 });
    };
    await put(here, "app", ["a"], true);
    expect(kept.get("b")?.record.owner).toBe("other");
  });
});
