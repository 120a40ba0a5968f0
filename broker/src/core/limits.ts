// Sizes and times that bound everything a job may carry. Bytes and milliseconds.

const KiB = 1024;
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

export const sizes = {
  name: 128,
  payload: 512 * KiB,
  result: 256 * KiB,
  /** Payloads above this are stored once beside the job instead of being rewritten at every heartbeat and retry. */
  inlinePayload: 16 * KiB,
  contentType: 128,
  labels: 16,
  labelValue: 256,
  headers: 64,
  headerBytes: 8 * KiB,
  errorType: 256,
  errorMessage: 4 * KiB,
  stack: 8 * KiB,
  progress: 4 * KiB,
  cancelReason: 1 * KiB,
  history: 20,
  /** Bytes of an unreadable message that its record keeps. */
  corrupt: 64 * KiB,
  /** Items in one request. */
  batch: 1_000,
  /** All routes together, as they are stored: one message. */
  routes: 512 * KiB,
} as const;

export const times = {
  /** Delays of retries and snoozes, run limits. */
  longestWait: 30 * day,
  longestDelay: 3650 * day,
  shortestUnique: 1 * second,
  /** The nats-server's clock overflows in 2262; what has no deadline waits until this time instead. */
  never: Date.UTC(2200, 0, 1),
  /** Records stay at least this long, so that a repeated submit or report meets them. */
  idempotencyWindow: 10 * minute,
  longestRetention: 365 * day,
  keepSucceeded: 1 * hour,
  keepFailed: 7 * day,
  keepCancelled: 1 * hour,
  /** A run of over this gets a lease of its own in the store. */
  holdAfter: 10 * second,
  /** A dead broker's jobs are to run elsewhere within 30 s: this, and what firing and handing out take. */
  lease: 28 * second,
  /** Of a single call that does not say. */
  unaryLease: 30 * second,
  renewEvery: 9 * second,
  shortestLease: 1 * second,
  longestLease: 24 * hour,
  /** What was delivered and is not acked for this long is delivered again: tickets of jobs and of flows. */
  ackWait: 20 * second,
  /** How long a cancelled run has to answer. */
  cancelGrace: 10 * second,
  /** What a worker gets to report a hard time limit by itself before the broker does. */
  hardLimitGrace: 2 * second,
  /** No ticket waits in a broker for longer. */
  buffered: 5 * second,
  /** The store's alarm for a delay that a broker means to end by itself comes this much later than its time. */
  net: 5 * second,
  /** What a broker could not end within this much of its time it leaves to that alarm. */
  netIsNear: 4 * second,
  /** A delay of over this is distant: brokers keep room for nearer ones. */
  distant: 10 * minute,
  /** A schedule's planned time that nobody dealt with for this long is missed; a dead broker's are dealt with sooner. */
  misfireGrace: 30 * second,
  /** How long a purge waits for jobs that are just being handed out. */
  purgePatience: 30 * second,
} as const;

/** Those of a run and its lease, of its ticket, of schedules, and of a purge, ms. A broker is built with them, so that tests
 *  need not wait as long as people do. */
export type RunTimes = Readonly<
  Record<
    | "holdAfter"
    | "lease"
    | "renewEvery"
    | "ackWait"
    | "cancelGrace"
    | "hardLimitGrace"
    | "buffered"
    | "misfireGrace"
    | "purgePatience",
    number
  >
>;

export const counts = {
  keepSucceeded: 1_000_000,
  /** Delays that one broker keeps in mind, some 80 bytes each; those beyond are left to the store. */
  agenda: 150_000,
  /** How many of them may be distant ones. */
  agendaDistant: 100_000,
  /** Deliveries that may end without reaching a worker. */
  redeliveries: 20,
  /** Of all owners together. */
  routes: 1_000,
} as const;

export const flowLimits = {
  members: 10_000,
  /** Of all members together. */
  dependencies: 200_000,
  /** Characters: a member's own key is made of it and its position. */
  key: 100,
  memberName: 128,
  /** Bytes of a whole submit. */
  submit: 16 * 1024 * 1024,
  /** Inputs that are handed out with the lease, bytes; beyond, they are read in pages. */
  inlineInputs: 256 * KiB,
  /** Bytes of a page of inputs or of members. */
  page: 3 * 1024 * 1024,
  /** How long an ended flow is kept with the results of its members, ms. */
  keepEnded: 1 * day,
  keepFailed: 7 * day,
  /** A submit that got no further for this long was left by a crash, ms. */
  abandoned: 10 * minute,
} as const;

export const scheduleLimits = {
  /** Characters: a planned time follows, and both are a job's key. */
  name: 100,
  shortest: 1 * second,
  longest: 365 * day,
  jitter: 1 * hour,
  catchUp: 1_000,
  catchUpUnset: 10,
  /** In one declaration: each takes two messages of one batch. */
  declared: 400,
  /** Of all owners. */
  schedules: 50_000,
  /** Names in the answer to a declaration. */
  undeclaredTold: 1_000,
  firings: 20,
  preview: 1_000,
} as const;

/** What may be set for a queue or a task, and how brokers share it. */
export const runLimits = {
  rateCount: 1_000_000,
  shortestPeriod: 100,
  longestPeriod: 1 * day,
  concurrency: 100_000,
  /** Starts are reserved this far ahead: time enough to fetch their tickets. */
  ahead: 200,
  /** A broker that waits for a start or for tickets to come due looks no more often than this. */
  tick: 5,
  /** The places of a broker that is not heard of for this long come back. */
  placesLast: 30 * second,
  placesRenewed: 10 * second,
  /** Places that nobody wants go back after this long. */
  placesUnwanted: 250,
  /** Concurrency keys that jobs wait for are looked through this often. */
  keysSwept: 5 * second,
  /** A key that was found full counts as full for this long. */
  keyFull: 100,
  /** A job that was promised a place of its key and reached no worker in this time loses it to the next. */
  keyPromised: 15 * second,
  concurrencyPerKey: 10_000,
  /** While no place is free it is looked for one this often, unless a broker says that it gave some back. */
  placesLooked: 1 * second,
  placesLookedIdle: 5 * second,
} as const;

export const retryDefaults = {
  maxAttempts: 4,
  maxCrashes: 3,
  initialDelay: 1 * second,
  factor: 2,
  maxDelay: 10 * minute,
  jitter: 0.1,
} as const;

export const defaultQueue = "default";
export const defaultPriority = 5;
