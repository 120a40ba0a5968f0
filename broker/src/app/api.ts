// The use cases as the edges (grpc, ops) see them, in domain words. What arrives here has been checked: names, sizes
// and ranges by core/, tokens by the use case itself. Every method may throw Refusal; nothing else is expected. What is
// said of workers, queues, schedules and flows stands in a file of each.

import type { Refusal } from "../core/errors.js";
import type { Explanation } from "../core/explain.js";
import type { Content, JobRef, Progress, Spec, State, Stored } from "../core/job.js";
import type { FlowsApi } from "./flow-api.js";
import type { QueuesApi, RoutesApi, TasksApi } from "./queue-api.js";
import type { SchedulesApi } from "./schedule-api.js";
import type { WorkersApi } from "./worker-api.js";

/** A job for a reader. */
export interface JobView {
  stored: Stored;
  /** READY refined to RUNNING by asking the holders. */
  state: State;
  /** Who runs it, when a broker knows. */
  running: { worker: string; startedAt: number; progress: Progress | undefined } | undefined;
  cancelRequested: boolean;
  /** Only where it was asked for. */
  payload: Content | undefined;
}

export interface Submitted {
  ref: JobRef;
  deduplicated: boolean;
  state: State;
}

/** Undefined = any. */
export interface JobQuery {
  state: State | undefined;
  task: string | undefined;
  queue: string | undefined;
  /** 1 to 1,000. */
  pageSize: number;
  /** "" = from the start. */
  pageToken: string;
  includePayload: boolean;
}

export interface JobsApi {
  /** In order, 1,000 at most; each item has an answer of its own. `submittedAt` and an empty key are filled in here. */
  submit(specs: readonly Spec[], onConflict: "return" | "reject"): Promise<(Submitted | Refusal)[]>;
  /** In order; undefined = no such job. */
  status(refs: readonly JobRef[], includePayload: boolean): Promise<(JobView | undefined)[]>;
  /** Settles when the condition holds, the timeout (ms) is over or the caller has gone. */
  wait(
    refs: readonly JobRef[],
    mode: "all" | "any",
    timeout: number,
    gone: AbortSignal,
  ): Promise<{ jobs: (JobView | undefined)[]; done: boolean }>;
  /** The job now and after each change, until it has ended. @throws Refusal JOB_NOT_FOUND */
  watch(ref: JobRef, gone: AbortSignal): AsyncIterable<JobView>;
  /** A page may hold less than it could, or nothing: only an empty token says that there is no more.
   *  @throws Refusal INVALID_ARGUMENT for a token that is none */
  list(query: JobQuery): Promise<{ jobs: JobView[]; nextPageToken: string }>;
  /** `requested`: it runs, and its worker is asked to end it. @throws Refusal JOB_NOT_FOUND */
  cancel(
    ref: JobRef,
    reason: string,
  ): Promise<{ outcome: "cancelled" | "requested" | "already-finished"; previous: State }>;
  /** @throws Refusal JOB_NOT_FOUND, NOT_FAILED, JOB_EXISTS when another job has its unique key */
  redrive(ref: JobRef): Promise<JobView>;
  /** Undefined = as it was. @throws Refusal JOB_NOT_FOUND, NOT_WAITING, TOO_MANY_LANES */
  move(ref: JobRef, to: { queue: string | undefined; priority: number | undefined }): Promise<JobView>;
  /** @throws Refusal JOB_NOT_FOUND */
  explain(ref: JobRef): Promise<Explanation>;
}

export interface WorkerView {
  name: string;
  instance: string;
  broker: string;
  /** Name and version. */
  sdk: string;
  /** Address that its connection comes from. */
  peer: string;
  /** ms since 1970. */
  attachedAt: number;
  tasks: string[];
  queues: string[];
  /** Jobs that it wants to hold at a time. */
  credit: number;
  /** Jobs that it holds. */
  running: number;
  draining: boolean;
}

export interface ActiveView {
  id: string;
  queue: string;
  attempt: number;
  worker: string;
  broker: string;
  /** ms since 1970. */
  startedAt: number;
  cancelRequested: boolean;
}

/** What the brokers have in memory, asked of all that are known: `silentBrokers` is how many did not answer. */
export interface InspectApi {
  workers(): Promise<{ workers: WorkerView[]; silentBrokers: number }>;
  /** Attempts that are under way, `limit` of them at most. */
  active(limit: number): Promise<{ jobs: ActiveView[]; truncated: boolean; silentBrokers: number }>;
  /** Tasks that workers are attached for. */
  registered(): Promise<{
    tasks: { task: string; workers: string[]; queues: string[] }[];
    silentBrokers: number;
  }>;
  server(): Promise<{
    version: string;
    broker: string;
    brokers: string[];
    namespace: string;
    shards: number;
    replicas: number;
    natsServerVersion: string;
    /** ms since 1970, by the nats-server; both. */
    startedAt: number;
    now: number;
    maxLanes: number;
  }>;
}

export interface BrokerApi {
  jobs: JobsApi;
  workers: WorkersApi;
  queues: QueuesApi;
  tasks: TasksApi;
  routes: RoutesApi;
  flows: FlowsApi;
  schedules: SchedulesApi;
  inspect: InspectApi;
  /** Whether this broker can serve, and if not, why, in one line each. */
  readiness(): { ready: boolean; problems: string[] };
}
