// A job as it is stored. The interfaces have the shape of proto/drover/storage/v1, so that encoding one costs no
// conversion; core knows nothing of protobuf all the same. Times are ms since 1970 by the nats-server's clock, 0 =
// unset; durations are ms.

/** What a job's message says in its subject. `due` is an alarm: a schedule fired and nobody has looked yet. */
export type Phase =
  | "ready"
  | "held-a"
  | "held-b"
  | "later"
  | "blocked"
  | "due"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "kept";

/** Phases whose message is a schedule of the nats-server: writing on purges it. */
export type ScheduledPhase = "held-a" | "held-b" | "later" | "blocked";

/** Why an attempt or a job failed: the numbers of drover.v1.FailureReason. */
export const FailureReason = {
  ERROR: 1,
  PERMANENT: 2,
  TIME_LIMIT: 3,
  CRASHED: 4,
  LOST: 5,
  EXPIRED: 6,
  DEADLINE: 7,
  RESULT_TOO_LARGE: 8,
  CORRUPT: 9,
  UNDELIVERABLE: 10,
} as const;
export type FailureReason = (typeof FailureReason)[keyof typeof FailureReason];

/** How an attempt ended: the numbers of drover.v1.AttemptOutcome. */
export const AttemptOutcome = {
  SUCCEEDED: 1,
  FAILED: 2,
  CRASHED: 3,
  RELEASED: 4,
  SNOOZED: 5,
  CANCELLED: 6,
} as const;
export type AttemptOutcome = (typeof AttemptOutcome)[keyof typeof AttemptOutcome];

export interface RetryPolicy {
  /** Failures that end the job, 1 to 1,000. */
  maxAttempts: number;
  /** Unreported ends that the job survives, 0 to 100; 0 = at most once. */
  maxCrashes: number;
  initialDelay: number;
  factor: number;
  maxDelay: number;
  /** 0 to 1. */
  jitter: number;
}

export interface Content {
  data: Uint8Array;
  /** Empty = application/json. */
  type: string;
  /** Above 0: the data is in the job's body message and has this many bytes. */
  externalSize: number;
}

export interface Spec {
  task: string;
  key: string;
  queue: string;
  /** 0 to 9, 9 first. */
  priority: number;
  payload: Content | undefined;
  retry: RetryPolicy | undefined;
  softLimit: number;
  hardLimit: number;
  startBy: number;
  /** Unset = the queue's; 0 = keep no result. */
  retention?: number | undefined;
  labels: { [name: string]: string };
  headers: { [name: string]: string };
  submittedAt: number;
  /** First due time, 0 = at once. */
  runAt: number;
  traceParent: string;
  flow: FlowMembership | undefined;
  inputs: { jobId: string; size: number }[];
  concurrencyKey: string;
  limits: string[];
  unique: { key: string; until: number } | undefined;
  debounce: { wait: number; latest: number } | undefined;
  schedule: { schedule: string; plannedAt: number } | undefined;
}

/** What makes a job a member of a flow. */
export interface FlowMembership {
  flow: string;
  /** Its position. */
  member: number;
  dependents: number[];
  onFailure: number;
  /** From the moment it is unblocked, ms. */
  delay: number;
  /** Positions of the members that it waits for. */
  dependsOn: number[];
  /** The flow's redrives when it was last begun. */
  run: number;
}

export interface Failure {
  /** A FailureReason. */
  reason: number;
  type: string;
  message: string;
  stack: string;
}

/** Of a job whose message cannot be parsed. */
export const unreadable: Failure = {
  reason: FailureReason.CORRUPT,
  type: "",
  message: "what was stored of this job cannot be read; its bytes are kept here",
  stack: "",
};

export interface Attempt {
  number: number;
  worker: string;
  startedAt: number;
  endedAt: number;
  /** An AttemptOutcome. */
  outcome: number;
  failure: Failure | undefined;
  /** Nonce of the commit that ended it. */
  nonce: string;
}

export interface Progress {
  value?: number | undefined;
  /** JSON. */
  detail: Uint8Array;
  at: number;
}

/** Who holds a job, while it is held. */
export interface Hold {
  /** Sequence of the ticket the attempt began with: the fence. */
  origin: number;
  worker: string;
  startedAt: number;
  leaseUntil: number;
  /** Leased in a single call: lives by its lease alone. */
  unary: boolean;
  /** At most once: LOST when this lease ends unreported. */
  lostOnExpiry: boolean;
  broker: string;
}

export interface Job {
  spec: Spec | undefined;
  /** Number of the attempt that is running or comes next; in a record, of the last one made. */
  attempt: number;
  failures: number;
  crashes: number;
  redeliveries: number;
  dueAt: number;
  deadline: number;
  waitingFor: Uint8Array;
  hold: Hold | undefined;
  progress: Progress | undefined;
  history: Attempt[];
  cancelRequestedAt: number;
  cancelReason: string;
  /** Blocked because its concurrency key had no place. */
  parked: boolean;
  finishedAt: number;
  result: Content | undefined;
  failure: Failure | undefined;
  /** In a `kept` record: succeeded, failed or cancelled. */
  outcome: string;
  submitNonce: string;
  corrupt: Uint8Array;
}

export interface JobRef {
  task: string;
  key: string;
  /** What jobId says, where it is asked for many times. */
  readonly id?: string;
}

/** One message of a job, read back. */
export interface Stored {
  phase: Phase;
  /** For an alarm: the phase whose schedule fired. */
  firedFrom?: ScheduledPhase | undefined;
  /** From the subject: where the message lies. */
  queue: string;
  priority: number;
  rev: number;
  seq: number;
  /** Nonce of the commit that wrote it. */
  nonce: string;
  job: Job;
}

/** All there is of a job at one moment. */
export interface Snapshot {
  /** The message of the highest revision: the job's state. Unset = there is no such job. */
  current: Stored | undefined;
  /** Highest sequence of all of the job's messages, tombstones too: the value to compare and set. 0 = none. */
  last: number;
}

const nothing = new Uint8Array(0);

/** A job before its first attempt. */
export function newJob(spec: Spec, submitNonce: string): Job {
  return {
    spec,
    attempt: 1,
    failures: 0,
    crashes: 0,
    redeliveries: 0,
    dueAt: spec.runAt,
    deadline: 0,
    waitingFor: nothing,
    history: [],
    hold: undefined,
    progress: undefined,
    cancelRequestedAt: 0,
    cancelReason: "",
    parked: false,
    finishedAt: 0,
    result: undefined,
    failure: undefined,
    outcome: "",
    submitNonce,
    corrupt: nothing,
  };
}

/** Where a job stands. An alarm (`due`) stands where the schedule stood that fired; a `kept` record as it ended. */
export type Standing = "ready" | "held" | "later" | "blocked" | "succeeded" | "failed" | "cancelled";

export function standingOf(stored: Pick<Stored, "phase" | "firedFrom" | "job">): Standing {
  const phase = stored.phase === "due" ? (stored.firedFrom ?? "later") : stored.phase;
  switch (phase) {
    case "held-a":
    case "held-b":
      return "held";
    case "kept":
      return stored.job.outcome === "failed"
        ? "failed"
        : stored.job.outcome === "cancelled"
          ? "cancelled"
          : "succeeded";
    default:
      return phase;
  }
}

/** What the public is told of a job: READY may turn out to be RUNNING, which only the holders know. */
export type State =
  | "SCHEDULED"
  | "BLOCKED"
  | "READY"
  | "RUNNING"
  | "RETRYING"
  | "SUCCEEDED"
  | "FAILED"
  | "CANCELLED";

const stateAs: Readonly<Record<Exclude<Standing, "later">, State>> = {
  ready: "READY",
  held: "RUNNING",
  blocked: "BLOCKED",
  succeeded: "SUCCEEDED",
  failed: "FAILED",
  cancelled: "CANCELLED",
};

export function stateOf(stored: Pick<Stored, "phase" | "firedFrom" | "job">): State {
  const standing = standingOf(stored);
  if (standing !== "later") return stateAs[standing];
  return stored.job.failures > 0 || stored.job.crashes > 0 ? "RETRYING" : "SCHEDULED";
}

export function hasEnded(state: State): boolean {
  return state === "SUCCEEDED" || state === "FAILED" || state === "CANCELLED";
}

/** The spec of a job that has one. Every job does; only an unreadable message leaves it out. */
export function specOf(job: Job): Spec {
  if (job.spec === undefined) throw new Error("a stored job has no spec");
  return job.spec;
}
