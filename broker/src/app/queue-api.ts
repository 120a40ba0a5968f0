// What operators see and set of queues and tasks, and of the routes that lead there.

import type { Route, RouteChanges, Routing } from "../core/routes.js";
import type { RunLimits } from "../core/run-limits.js";
import type { Rates } from "./traffic.js";

/** What is set for a queue or a task, and how far its rate is used up. */
export interface LimitsView extends RunLimits {
  /** Starts that would be allowed now; unset without a rate. */
  tokens: number | undefined;
  /** ms since 1970. */
  nextTokenAt: number | undefined;
}

/** ms and a count; 0 = the default. */
export interface RetentionView {
  succeeded: number;
  failed: number;
  cancelled: number;
  succeededCount: number;
}

export interface TaskView {
  name: string;
  limits: LimitsView | undefined;
  /** Queues that it has lanes in. */
  queues: string[];
  ready: number;
  running: number;
  /** Attached for it, at all brokers. */
  workers: number;
}

export interface TasksApi {
  get(task: string): Promise<TaskView>;
  /** Holds for every broker that can be heard once this has answered. */
  update(task: string, limits: RunLimits): Promise<TaskView>;
}

/** Counts are of jobs; those of the last three are 0 in a list. */
export interface QueueView {
  name: string;
  paused: boolean;
  ready: number;
  running: number;
  scheduled: number;
  blocked: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  lanes: { task: string; priority: number; ready: number }[];
  /** ms; undefined: none waits. */
  oldestReadyAge: number | undefined;
  /** Jobs a second, over the last ten seconds. */
  rates: Rates;
  limits: LimitsView | undefined;
  retention: RetentionView | undefined;
}

export interface QueuesApi {
  list(): Promise<QueueView[]>;
  /** @throws Refusal QUEUE_NOT_FOUND */
  get(queue: string): Promise<QueueView>;
  /** What is undefined is left as it is. Holds for every broker that can be heard once this has answered. */
  update(
    queue: string,
    change: { limits: RunLimits | undefined; retention: RetentionView | undefined },
  ): Promise<QueueView>;
  /** Both hold for every broker that can be heard once they have answered. */
  pause(queue: string): Promise<void>;
  resume(queue: string): Promise<void>;
  /** Removes what waits, and says how many jobs that were, or with `dryRun` would be.
   *  @throws Refusal QUEUE_NOT_FOUND; QUEUE_BUSY when jobs were being handed out for 30 s */
  purge(request: {
    queue: string;
    task: string | undefined;
    includeScheduled: boolean;
    dryRun: boolean;
  }): Promise<{ ready: number; scheduled: number }>;
}

/** A route as its owner declares it. */
export type DeclaredRoute = Omit<Route, "owner">;

export interface RoutesPut extends RouteChanges {
  /** The owner's, as they are now. */
  routes: readonly Route[];
}

export interface RoutesApi extends Routing {
  list(): Promise<{ routes: readonly Route[]; changedAt: number }>;
  /** Replaces an owner's routes as a whole; holds for every broker that can be heard once this has answered.
   *  @throws Refusal OWNED_BY_ANOTHER, INVALID_ARGUMENT */
  put(request: { owner: string; routes: readonly DeclaredRoute[]; dryRun: boolean }): Promise<RoutesPut>;
}
