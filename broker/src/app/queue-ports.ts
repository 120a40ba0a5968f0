// What the store keeps of queues and tasks: their settings, what lies in them, how far their limits are used up, and the
// routes that lead there.

import type { Phase } from "../core/job.js";
import type { RateBook } from "../core/rate.js";
import type { Route } from "../core/routes.js";
import type { Limited, RunLimits } from "../core/run-limits.js";
import type { LaneKey } from "./ports.js";

/** A queue's settings: ms and counts, 0 = the default. */
export interface QueueSettings {
  name: string;
  paused: boolean;
  changedAt: number;
  keepSucceeded: number;
  keepFailed: number;
  keepCancelled: number;
  keepSucceededCount: number;
  limits: string[];
  /** While a purge is under way: nothing is handed out until then, ms since 1970. */
  restUntil: number;
  runLimits: RunLimits | undefined;
}

export interface TaskSettings {
  name: string;
  changedAt: number;
  runLimits: RunLimits | undefined;
}

/** A rate's book with the value for the compare-and-set. */
export interface KnownBook {
  book: RateBook;
  last: number;
}

/** Limits that brokers share. All of it throws Refusal STORE_UNAVAILABLE. */
export interface LimitStore {
  /** All tasks that have settings. */
  tasks(): Promise<TaskSettings[]>;
  /** Changes a task's settings, whoever else does at the same time. */
  updateTask(task: string, change: (settings: TaskSettings) => TaskSettings): Promise<TaskSettings>;
  /** In order. */
  books(limits: readonly Limited[]): Promise<KnownBook[]>;
  /** Writes these books in one step. Undefined: another broker wrote one of them since. */
  writeBooks(books: readonly (KnownBook & { limit: Limited })[]): Promise<number[] | undefined>;
  /** How many places each broker has, and the value for the compare-and-set over all of them. */
  places(limit: Limited): Promise<{ taken: ReadonlyMap<string, number>; last: number }>;
  /** Says how many this broker has, for 30 s. False: another broker wrote since. */
  take(limit: Limited, broker: string, taken: number, last: number): Promise<boolean>;
}

/** All routes of the namespace, in the order in which they are tried. */
export interface StoredRoutes {
  routes: readonly Route[];
  /** ms; 0 = there were never any. */
  changedAt: number;
}

export interface Routes {
  /** @throws Refusal STORE_UNAVAILABLE */
  read(): Promise<StoredRoutes>;
  /** Changes them, whoever else does at the same time. @throws whatever `change` does */
  update(change: (current: StoredRoutes) => StoredRoutes): Promise<StoredRoutes>;
}

/** What a purge has to know of a queue, or of one task in it. */
export interface QueueScope {
  queue: string;
  task: string | undefined;
}

/** All of it throws Refusal STORE_UNAVAILABLE. */
export interface Queues {
  /** All queues that have settings. */
  settings(): Promise<QueueSettings[]>;
  /** Changes a queue's settings, whoever else does at the same time. */
  update(queue: string, change: (settings: QueueSettings) => QueueSettings): Promise<QueueSettings>;
  /** Queues that any job lies in, with the lanes of each: tickets not delivered, and delivered but not acked. */
  lanes(): Promise<{ key: LaneKey; ready: number; delivered: number }[]>;
  /** How many tickets of a lane there are from a sequence on. */
  from(lane: LaneKey, seq: number): Promise<number>;
  /** Jobs in a phase, at most 15 s old. */
  count(phase: Phase, scope: QueueScope): Promise<number>;
  /** Removes what waits in the lanes, up to the last message as of now. Only when nothing is delivered there. How many. */
  purgeReady(scope: QueueScope): Promise<number>;
  /** Removes what waits for its time. How many. */
  purgeScheduled(scope: QueueScope): Promise<number>;
}
