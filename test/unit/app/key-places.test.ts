// Who gets the place of a concurrency key that becomes free: whoever waits for it, and at once. Nothing here looks
// through the keys now and then, so what is forgotten here stays forgotten.

import { beforeEach, describe, expect, test } from "vitest";
import { KeyPlaces } from "../../../broker/src/app/key-places.js";
import type { ParkedJob } from "../../../broker/src/app/key-ports.js";
import type { Changed, Known } from "../../../broker/src/app/ledger.js";
import type { JobRef, Stored } from "../../../broker/src/core/job.js";
import { type KeyUse, unusedKey } from "../../../broker/src/core/key-use.js";
import { jobId } from "../../../broker/src/core/names.js";
import type { Event } from "../../../broker/src/core/transitions.js";
import { quiet } from "../../support/quiet-log.js";
import { aSpec, now, stored } from "../../support/stored-jobs.js";

const task = "mail.send";
/** Sequence of the first ticket. */
const firstTicket = 10;

let use: KeyUse;
let parked: ParkedJob[];
/** Jobs as they are stored, by id. */
let jobs: Map<string, Stored>;
let admitted: string[];
let most: number;
let time: number;
/** What happens before a job is stored as parked. */
let parking: (key: string) => Promise<void>;
let keys: KeyPlaces;

beforeEach(() => {
  use = unusedKey;
  parked = [];
  jobs = new Map();
  admitted = [];
  most = 1;
  time = now;
  parking = async () => undefined;
  keys = new KeyPlaces({
    store: {
      read: async () => use,
      update: async (_, change) => {
        use = change(use);
        return use;
      },
      hasWaiting: async () => parked.length > 0,
      waiting: async (_, count) => parked.slice(0, count),
      waitingBefore: async () => parked.length,
      waitedFor: async () => [],
    },
    ledger: { change },
    jobs: { read: async (refs) => refs.map(snapshotOf) },
    most: () => most,
    peers: { self: "a", all: () => ["a"], ask: async () => ({ answers: [], silent: 0 }) },
    clock: { now: () => time },
    log: quiet,
  });
});

function snapshotOf(ref: JobRef) {
  const current = jobs.get(jobId(ref));
  return { current, last: current?.seq ?? 0 };
}

/** The ledger, as far as keys need it. */
async function change(ref: JobRef, { stored: before, last }: Known, event: Event): Promise<Changed> {
  if (event.type === "park") {
    await parking(ref.key);
    parked.push({ key: ref.key, queue: before.queue });
  } else {
    parked = parked.filter(({ key }) => key !== ref.key);
    admitted.push(ref.key);
  }
  const park = event.type === "park";
  const after = stored(park ? "blocked" : "ready", { seq: last + 100 }, { parked: park }, specOf(ref.key));
  return tell(before, after);
}

function tell(before: Stored, after: Stored): Changed {
  jobs.set(jobId(before.job.spec ?? { task, key: "" }), after);
  const changed = { before, stored: after, last: after.seq } as Changed;
  keys.changed(changed);
  return changed;
}

const specOf = (key: string) => aSpec({ task, key, concurrencyKey: "acme" });

/** A ticket of this job is about to be handed out. */
async function enters(key: string, seq: number): Promise<boolean> {
  const ticket = stored("ready", { seq, rev: 1 }, {}, specOf(key));
  jobs.set(`${task}~${key}`, ticket);
  return keys.enter({ task, key }, { stored: ticket, last: seq }, seq);
}

/** The run of a job ends. */
function ends(key: string): void {
  const before = jobs.get(`${task}~${key}`) as Stored;
  tell(before, stored("succeeded", { seq: before.seq + 100 }, { finishedAt: now }, specOf(key)));
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("a place that becomes free", () => {
  test("goes at once to the job that waits for it", async () => {
    expect(await enters("first", firstTicket)).toBe(true);
    expect(await enters("second", firstTicket + 1)).toBe(false);
    await settled();
    expect(admitted).toEqual([]);
    ends("first");
    await settled();
    expect(admitted).toEqual(["second"]);
  });

  test("between the look that found none and the parking is not missed", async () => {
    expect(await enters("first", firstTicket)).toBe(true);
    parking = async () => {
      ends("first");
      await settled();
      expect(admitted).toEqual([]);
    };
    expect(await enters("second", firstTicket + 1)).toBe(false);
    await settled();
    expect(admitted).toEqual(["second"]);
  });

  test("while several are being parked goes to one of them, and the next one to another", async () => {
    expect(await enters("first", firstTicket)).toBe(true);
    parking = async (key) => {
      if (key === "third") ends("first");
      await settled();
    };
    const entered = await Promise.all([enters("second", firstTicket + 1), enters("third", firstTicket + 2)]);
    expect(entered).toEqual([false, false]);
    await settled();
    const [next] = admitted;
    expect(admitted).toHaveLength(1);
    expect(await enters(next ?? "", firstTicket + 3)).toBe(true);
    ends(next ?? "");
    await settled();
    expect(admitted.toSorted()).toEqual(["second", "third"]);
  });

  test("by a job that was cancelled after it was admitted goes on to the next", async () => {
    expect(await enters("first", firstTicket)).toBe(true);
    for (const [i, key] of ["second", "third"].entries()) await enters(key, firstTicket + 1 + i);
    ends("first");
    await settled();
    expect(admitted).toEqual(["second"]);
    expect(await enters("second", firstTicket + 5)).toBe(true);
    const running = jobs.get(`${task}~second`) as Stored;
    tell(running, stored("cancelled", { seq: running.seq + 1 }, { finishedAt: now }, specOf("second")));
    await settled();
    expect(admitted).toEqual(["second", "third"]);
  });
});

describe("a job that comes when a place is free", () => {
  test("does not overtake one that waits for it", async () => {
    expect(await enters("first", firstTicket)).toBe(true);
    expect(await enters("second", firstTicket + 1)).toBe(false);
    await settled();
    // As when the place of a broker that died was found to be worth nothing.
    use = { ...use, taken: [] };
    time += 1_000;
    expect(await enters("third", firstTicket + 2)).toBe(false);
    await settled();
    expect(admitted).toEqual(["second"]);
  });

  test("takes it where others waited a moment ago and none does any more", async () => {
    expect(await enters("first", firstTicket)).toBe(true);
    expect(await enters("second", firstTicket + 1)).toBe(false);
    ends("first");
    await settled();
    expect(await enters("second", firstTicket + 2)).toBe(true);
    ends("second");
    await settled();
    expect(await enters("third", firstTicket + 3)).toBe(true);
  });
});

test("one key's places are taken by as many as may run, each in the order of its coming", async () => {
  most = 2;
  const entered: boolean[] = [];
  for (const [i, key] of ["a", "b", "c", "d"].entries()) entered.push(await enters(key, firstTicket + i));
  expect(entered).toEqual([true, true, false, false]);
  ends("b");
  await settled();
  expect(admitted).toEqual(["c"]);
  ends("a");
  await settled();
  expect(admitted).toEqual(["c", "d"]);
});
