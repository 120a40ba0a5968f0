// The use cases as the edges (grpc, ops) see them, in domain words. What arrives here has been checked: names, sizes
// and ranges by core/, tokens by the use case itself. Every method may throw Refusal; nothing else is expected.

import type { Refusal } from "../core/errors.js";
import type { Explanation } from "../core/explain.js";
import type { FlowState } from "../core/flow.js";
import type { FlowSpec } from "../core/flow-spec.js";
import type { Content, Failure, JobRef, Progress, Spec, State, Stored } from "../core/job.js";
import type { Route, RouteChanges, Routing } from "../core/routes.js";
import type { RunLimits } from "../core/run-limits.js";
import type { Schedule } from "../core/schedule.js";
import type { FlowEnd, FlowEntry, FlowRecord, ScheduleRecord } from "./ports.js";
import type { Rates } from "./traffic.js";

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

export interface JobsApi {
  /** In order; each item has an answer of its own. `submittedAt` and an empty key are filled in here. */
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
  list(query: {
    state: State | undefined;
    task: string | undefined;
    queue: string | undefined;
    pageSize: number;
    pageToken: string;
    includePayload: boolean;
  }): Promise<{ jobs: JobView[]; nextPageToken: string }>;
  cancel(
    ref: JobRef,
    reason: string,
  ): Promise<{ outcome: "cancelled" | "requested" | "already-finished"; previous: State }>;
  redrive(ref: JobRef): Promise<JobView>;
  /** Undefined = as it was. @throws Refusal JOB_NOT_FOUND, NOT_WAITING, TOO_MANY_LANES */
  move(ref: JobRef, to: { queue: string | undefined; priority: number | undefined }): Promise<JobView>;
  /** @throws Refusal JOB_NOT_FOUND */
  explain(ref: JobRef): Promise<Explanation>;
}

/** One attempt handed to a worker. */
export interface Grant {
  /** Names the lease in its session; 0 for a unary one. */
  leaseId: number;
  token: string;
  ref: JobRef;
  spec: Spec;
  payload: Content | undefined;
  /** What the members that it depends on came to; empty where they are too many bytes for a lease. */
  inputs: readonly FlowInput[];
  attempt: number;
  failures: number;
  /** ms since 1970; 0 = lives with its session. */
  expiresAt: number;
}

export type Report =
  | { type: "success"; result: Content | undefined }
  /** `reason` is ERROR, PERMANENT or TIME_LIMIT; retryAfter in ms. */
  | { type: "failure"; failure: Failure; retryAfter: number | undefined }
  | { type: "release" }
  | { type: "snooze"; delay: number }
  | { type: "cancelled" };

export interface OutcomeReport {
  /** Either of the two. */
  leaseId: number;
  token: string;
  report: Report;
}

export interface WorkersApi {
  lease(request: {
    worker: string;
    tasks: readonly string[];
    queues: readonly string[];
    maxJobs: number;
    /** ms. */
    wait: number;
    leaseDuration: number;
    gone: AbortSignal;
  }): Promise<Grant[]>;
  /** In order: the state that the job took, or why the report is refused. */
  ack(outcomes: readonly OutcomeReport[]): Promise<(State | Refusal)[]>;
  extend(
    leases: readonly { token: string; duration: number; progress: Progress | undefined }[],
  ): Promise<({ expiresAt: number; cancelRequested: boolean; drain: boolean } | Refusal)[]>;
  /** A session. The sink is called from then on until it, or the session, is closed. @throws Refusal DRAINING */
  attach(hello: Hello, sink: SessionSink): Promise<Session>;
}

export interface Hello {
  worker: string;
  instance: string;
  sdk: string;
  peer: string;
  tasks: readonly { task: string; concurrency: number }[];
  queues: readonly { queue: string; weight: number }[];
  credit: { jobs: number; bytes: number };
  held: readonly string[];
}

/** What a broker says to a worker. Messages keep their order; the sink must not throw. */
export interface SessionSink {
  attached(hello: {
    broker: string;
    pingInterval: number;
    sessionTimeout: number;
    held: readonly { token: string; leaseId: number; cancelRequested: boolean }[];
    lost: readonly string[];
  }): void;
  leases(grants: readonly Grant[]): void;
  settled(
    recorded: readonly number[],
    refused: readonly { leaseId: number; token: string; refusal: Refusal }[],
  ): void;
  cancel(leases: readonly { leaseId: number; reason: "requested" | "time-limit" | "lease-lost" }[]): void;
  ping(serverTime: number): void;
  drain(): void;
  /** The broker ends the session: silent for too long, or replaced by one of the same instance. */
  close(reason: string): void;
}

/** What a worker says to a broker. */
export interface Session {
  credit(jobs: number, bytes: number): void;
  outcomes(outcomes: readonly OutcomeReport[]): void;
  progress(reports: readonly { leaseId: number; progress: Progress }[]): void;
  pong(): void;
  drain(): void;
  /** The stream ended. `clean` = the worker closed it in good order: nothing it still held comes back. */
  closed(clean: boolean): void;
}

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
  queues: string[];
  ready: number;
  running: number;
  workers: number;
}

export interface TasksApi {
  get(task: string): Promise<TaskView>;
  /** Holds for every broker that can be heard once this has answered. */
  update(task: string, limits: RunLimits): Promise<TaskView>;
}

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
  /** Jobs a second, over the last ten. */
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
  pause(queue: string): Promise<void>;
  resume(queue: string): Promise<void>;
  /** @throws Refusal QUEUE_BUSY */
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

export interface ScheduleView {
  record: ScheduleRecord;
  schedule: Schedule;
}

/** A schedule and the bytes that it was sent as. */
export interface DeclaredSchedule {
  schedule: Schedule;
  bytes: Uint8Array;
}

export interface SchedulesApi {
  /** Declares an owner's schedules: all or nothing. @throws Refusal OWNED_BY_ANOTHER, INVALID_ARGUMENT */
  put(request: {
    owner: string;
    schedules: readonly DeclaredSchedule[];
    removeUndeclared: boolean;
    dryRun: boolean;
  }): Promise<{ added: string[]; changed: string[]; unchanged: string[]; undeclared: string[] }>;
  /** @throws Refusal SCHEDULE_NOT_FOUND, as those below do */
  get(name: string): Promise<ScheduleView>;
  list(query: {
    owner: string;
    task: string;
    pageSize: number;
    pageToken: string;
  }): Promise<{ schedules: ScheduleView[]; nextPageToken: string }>;
  remove(name: string): Promise<void>;
  pause(name: string): Promise<ScheduleView>;
  resume(name: string): Promise<ScheduleView>;
  /** The id of the job that it submitted. */
  trigger(name: string): Promise<string>;
  /** The next planned times, ms since 1970; `from` 0 = now. */
  preview(of: string | Schedule, count: number, from: number): Promise<number[]>;
}

export interface FlowView {
  record: FlowRecord;
  state: FlowState;
  counts: {
    total: number;
    blocked: number;
    open: number;
    succeeded: number;
    failed: number;
    cancelled: number;
  };
}

export interface FlowMemberView extends FlowEntry {
  member: number;
  /** A MemberStatus. */
  status: number;
  result: Content | undefined;
  failure: Failure | undefined;
}

export interface FlowInput {
  member: number;
  end: FlowEnd;
}

export interface FlowsApi {
  submit(flow: FlowSpec): Promise<{ key: string; deduplicated: boolean; jobIds: string[] }>;
  /** @throws Refusal FLOW_NOT_FOUND, as the others do */
  get(key: string): Promise<FlowView>;
  /** Members from a position on; `next` 0 = that was all. */
  members(
    key: string,
    from: number,
    count: number,
    options: { results: boolean; lastOnly: boolean },
  ): Promise<{ flow: FlowView; members: FlowMemberView[]; next: number }>;
  list(query: {
    state: FlowState | undefined;
    name: string;
    pageSize: number;
    pageToken: string;
  }): Promise<{ flows: FlowView[]; nextPageToken: string }>;
  watch(key: string, gone: AbortSignal): AsyncIterable<FlowView>;
  cancel(
    key: string,
    reason: string,
  ): Promise<{ cancelled: number; requested: number; alreadyFinished: boolean }>;
  redrive(key: string): Promise<{ flow: FlowView; redriven: number }>;
  inputs(ref: JobRef, from: number, count: number): Promise<{ inputs: FlowInput[]; next: number }>;
}

export interface WorkerView {
  name: string;
  instance: string;
  broker: string;
  sdk: string;
  peer: string;
  attachedAt: number;
  tasks: string[];
  queues: string[];
  credit: number;
  running: number;
  draining: boolean;
}

export interface ActiveView {
  id: string;
  queue: string;
  attempt: number;
  worker: string;
  broker: string;
  startedAt: number;
  cancelRequested: boolean;
}

export interface InspectApi {
  workers(): Promise<{ workers: WorkerView[]; silentBrokers: number }>;
  active(limit: number): Promise<{ jobs: ActiveView[]; truncated: boolean; silentBrokers: number }>;
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
