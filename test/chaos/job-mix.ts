// Jobs of every kind, drawn by a seed.

import type { JobOptions } from "@drover/client";

type Fate = "SUCCEEDED" | "FAILED" | "CANCELLED";

export interface PlannedJob {
  task: string;
  /** With the task it makes the id, known before the submit. */
  id: string;
  kind: keyof typeof kinds;
  payload: object;
  options: JobOptions & { key: string };
  /** How it may end. */
  fates: readonly Fate[];
  /** Is to be cancelled this long after the submit, ms. */
  cancelAfter?: number;
  /** Submitted a second time beside the first. */
  twice: boolean;
}

export type Random = () => number;

/** Numbers from [0, 1) that a seed repeats (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const between = (random: Random, least: number, most: number) =>
  Math.floor(least + random() * (most - least + 1));

type Draw = Pick<PlannedJob, "payload" | "fates"> &
  Partial<Pick<PlannedJob, "cancelAfter">> & { options?: JobOptions };

const succeeds = ["SUCCEEDED"] as const;
const quickRetry = { initialDelay: 200, factor: 1.5 };

/** Shares of 10,000, and what a job of each kind is. */
const kinds = {
  nothing: { share: 5_700, draw: (): Draw => ({ payload: { does: "nothing" }, fates: succeeds }) },
  short: {
    share: 2_500,
    draw: (random: Random): Draw => ({
      payload: { does: "sleep", ms: between(random, 5, 50) },
      fates: succeeds,
    }),
  },
  /** Over 10 s, so that the broker writes a lease for it. */
  long: {
    share: 8,
    draw: (random: Random): Draw => ({
      payload: { does: "sleep", ms: between(random, 11_000, 16_000) },
      fates: succeeds,
    }),
  },
  retried: {
    share: 500,
    draw: (random: Random): Draw => ({
      payload: { does: "fail", times: between(random, 1, 2), ms: between(random, 0, 20) },
      options: { retry: { ...quickRetry, retries: 3 } },
      fates: succeeds,
    }),
  },
  exhausted: {
    share: 100,
    draw: (): Draw => ({
      payload: { does: "fail", times: 2 },
      options: { retry: { ...quickRetry, retries: 1 } },
      fates: ["FAILED"],
    }),
  },
  refused: { share: 100, draw: (): Draw => ({ payload: { does: "failForGood" }, fates: ["FAILED"] }) },
  snoozed: {
    share: 100,
    draw: (random: Random): Draw => ({
      payload: { does: "snooze", ms: between(random, 100, 3_000) },
      fates: succeeds,
    }),
  },
  delayed: {
    share: 600,
    draw: (random: Random): Draw => ({
      payload: { does: "nothing" },
      options: { delay: between(random, 500, 20_000) },
      fates: succeeds,
    }),
  },
  atMostOnce: {
    share: 192,
    draw: (random: Random): Draw => ({
      payload: { does: "sleep", ms: between(random, 0, 50) },
      options: { retry: { maxCrashes: 0 } },
      fates: ["SUCCEEDED", "FAILED"],
    }),
  },
  cancelledWaiting: {
    share: 100,
    draw: (random: Random): Draw => ({
      payload: { does: "nothing" },
      options: { delay: between(random, 1_000, 30_000) },
      fates: ["CANCELLED", "SUCCEEDED"],
      cancelAfter: between(random, 0, 2_000),
    }),
  },
  cancelledRunning: {
    share: 100,
    draw: (random: Random): Draw => ({
      payload: { does: "sleep", ms: between(random, 100, 1_500) },
      fates: ["CANCELLED", "SUCCEEDED"],
      cancelAfter: between(random, 0, 1_000),
    }),
  },
};

const shares = Object.entries(kinds).flatMap(([kind, { share }]) =>
  Array.from({ length: share }, () => kind as keyof typeof kinds),
);

/** Spread over four tasks and three priorities. */
export function plan(count: number, random: Random, name = "job"): PlannedJob[] {
  return Array.from({ length: count }, (_, n) => {
    const kind = shares[Math.floor(random() * shares.length)] ?? "nothing";
    const { options = {}, ...drawn } = kinds[kind].draw(random);
    const task = `chaos.${between(random, 0, 3)}`;
    const key = `${name}-${n}`;
    return {
      ...drawn,
      kind,
      task,
      id: `${task}~${key}`,
      options: {
        ...options,
        key,
        priority: between(random, 4, 6),
        // Which processes die is chance; how often must not decide how a job ends.
        retry: { maxCrashes: 100, ...options.retry },
      },
      twice: random() < 0.02,
    };
  });
}
