// What workers and a broker say to one another, in domain words: by single calls, or in a session.

import type { Refusal } from "../core/errors.js";
import type { Content, Failure, JobRef, Progress, Spec, State } from "../core/job.js";
import type { FlowInput } from "./flow-api.js";

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
  /** ms. */
  | { type: "snooze"; delay: number }
  | { type: "cancelled" };

export interface OutcomeReport {
  /** Either of the two. */
  leaseId: number;
  token: string;
  report: Report;
}

export interface LeaseCall {
  worker: string;
  tasks: readonly string[];
  queues: readonly string[];
  /** 1 to 1,000. */
  maxJobs: number;
  /** How long for the first of them, ms. */
  wait: number;
  /** ms, 1 s to 24 h. */
  leaseDuration: number;
  /** The caller waits no more. */
  gone: AbortSignal;
}

export interface Extended {
  /** ms since 1970. */
  expiresAt: number;
  cancelRequested: boolean;
  /** This broker is stopping: no more is to be leased here. */
  drain: boolean;
}

export interface WorkersApi {
  /** What there is now, or comes while the call may wait. @throws Refusal DRAINING */
  lease(request: LeaseCall): Promise<Grant[]>;
  /** In order: the state that the job took, or why the report is refused. */
  ack(outcomes: readonly OutcomeReport[]): Promise<(State | Refusal)[]>;
  /** In order. `duration`: ms from now. A run that is to end gets no more time than it has. */
  extend(
    leases: readonly { token: string; duration: number; progress: Progress | undefined }[],
  ): Promise<(Extended | Refusal)[]>;
  /** A session. The sink is called from then on until it, or the session, is closed. @throws Refusal DRAINING */
  attach(hello: Hello, sink: SessionSink): Promise<Session>;
}

/** With what a worker begins a session. */
export interface Hello {
  worker: string;
  /** Of the worker's process: one that comes back with the same takes the place of the one before. */
  instance: string;
  /** Name and version. */
  sdk: string;
  /** Address that its connection comes from. */
  peer: string;
  /** `concurrency`: jobs of the task at a time; 0 = as many as there is credit. */
  tasks: readonly { task: string; concurrency: number }[];
  /** Jobs come from them in these shares. */
  queues: readonly { queue: string; weight: number }[];
  /** The most that it wants to hold at a time, of all its tasks; bytes are of payloads. */
  credit: { jobs: number; bytes: number };
  /** Tokens of leases that it brings along from an earlier session. */
  held: readonly string[];
}

/** What a broker says to a worker. Messages keep their order; the sink must not throw. */
export interface SessionSink {
  attached(hello: {
    broker: string;
    /** ms, as the timeout. */
    pingInterval: number;
    sessionTimeout: number;
    /** Of the leases that it brought along: those it still has, and those it may drop. */
    held: readonly { token: string; leaseId: number; cancelRequested: boolean }[];
    lost: readonly string[];
  }): void;
  /** Jobs to run. */
  leases(grants: readonly Grant[]): void;
  /** What became of reports: recorded ones by their lease ids. */
  settled(
    recorded: readonly number[],
    refused: readonly { leaseId: number; token: string; refusal: Refusal }[],
  ): void;
  cancel(leases: readonly { leaseId: number; reason: "requested" | "time-limit" | "lease-lost" }[]): void;
  /** ms since 1970, by the nats-server. */
  ping(serverTime: number): void;
  /** The broker is stopping: the worker is to attach elsewhere. */
  drain(): void;
  /** The broker ends the session: silent for too long, or replaced by one of the same instance. */
  close(reason: string): void;
}

/** What a worker says to a broker. */
export interface Session {
  /** The most that it wants to hold at a time, of all its tasks; bytes are of payloads. */
  credit(jobs: number, bytes: number): void;
  outcomes(outcomes: readonly OutcomeReport[]): void;
  progress(reports: readonly { leaseId: number; progress: Progress }[]): void;
  pong(): void;
  /** Nothing more is to be leased to it; what it holds it goes on with. */
  drain(): void;
  /** The stream ended. `clean` = the worker closed it in good order: nothing it still held comes back. */
  closed(clean: boolean): void;
}
