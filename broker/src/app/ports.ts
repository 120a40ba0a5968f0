// What the use cases need from the outside, in domain words. jetstream/ implements all of it; nothing above this line
// of the architecture knows what a subject, a consumer or a header is.

import type { Content, Failure, Job, JobRef, Phase, ScheduledPhase, Snapshot, Stored } from "../core/job.js";
import type { KeyUse } from "../core/key-use.js";
import type { RateBook } from "../core/rate.js";
import type { Route } from "../core/routes.js";
import type { Limited, RunLimits } from "../core/run-limits.js";

export interface LaneKey {
  task: string;
  queue: string;
  priority: number;
}

/** One write of a job, indivisible with the others of its Change. */
export type Write =
  | {
      kind: "job";
      phase: Phase;
      job: Job;
      rev: number;
      queue: string;
      priority: number;
      /** When the store raises the alarm, ms; 0 = never. */
      fireAt: number;
      /** ms; 0 = by bulk retention. */
      keepFor: number;
      /** The schedule of the job that this write ends. */
      purges?: { phase: ScheduledPhase; queue: string; priority: number; nonce: string } | undefined;
    }
  /** Empties an older message of the job. */
  | { kind: "tombstone"; phase: Phase; queue: string; priority: number }
  /** How a member of a flow ended: moves the flow on, and stays as an input of later members. */
  | { kind: "flow-end"; flow: string; member: number; end: FlowEnd }
  /** Who has a unique key; `holder` undefined = nobody any more. `expected` as for the job; undefined = whatever there is. */
  | { kind: "claim"; key: string; holder: Claim | undefined; expected: number | undefined; keepFor: number }
  /** A job that waits for a place of its concurrency key is found by that, or no more. */
  | { kind: "parked"; key: string; queue: string; priority: number; present: boolean }
  /** The job's payload, beside it. */
  | { kind: "body"; data: Uint8Array };

/** A job that has a unique key. */
export interface Claim {
  /** Its own key. */
  key: string;
  /** ms since 1970; 0 = until it has ended. */
  until: number;
}

export interface Claims {
  /** Who has a unique key of a task, with the value for the compare-and-set. @throws Refusal STORE_UNAVAILABLE */
  read(task: string, key: string): Promise<{ holder: Claim | undefined; last: number }>;
}

/** Jobs of a task that share a concurrency key. */
export interface ConcurrencyKey {
  task: string;
  key: string;
}

/** A job that waits for a place of its key. */
export interface ParkedJob {
  /** Its own key. */
  key: string;
  queue: string;
}

/** Concurrency keys as all brokers see them. All of it throws Refusal STORE_UNAVAILABLE. */
export interface KeyStore {
  read(key: ConcurrencyKey): Promise<KeyUse>;
  /** Changes who has its places, whoever else does at the same time; the same value writes nothing. `change` may be
   *  called several times, and what the last call made of it holds. */
  update(key: ConcurrencyKey, change: (use: KeyUse) => KeyUse): Promise<KeyUse>;
  hasWaiting(key: ConcurrencyKey): Promise<boolean>;
  /** Those that wait, in the order of their turn. */
  waiting(key: ConcurrencyKey, most: number): Promise<ParkedJob[]>;
  /** How many come before a parked job of this sequence; undefined: before one that would be parked now. */
  waitingBefore(key: ConcurrencyKey, priority: number, seq: number | undefined): Promise<number>;
  /** Keys that jobs wait for, or have lately. */
  waitedFor(): Promise<ConcurrencyKey[]>;
}

/** One transition of one job. */
export interface Change {
  ref: JobRef;
  /** Highest sequence of the job's messages; 0 = there must be none. */
  expected: number;
  /** Names the commit, so that its own write is recognised when the answer was lost. */
  nonce: string;
  writes: Write[];
}

/** The compare-and-set failed: somebody else (or a firing) wrote the job. */
export class Conflict extends Error {
  constructor(readonly ref: JobRef) {
    super(`${ref.task}~${ref.key} has moved on`);
    this.name = "Conflict";
  }
}

export interface Journal {
  /** Stores a change durably and returns the sequence of its last job message.
   *  @throws Conflict; Refusal QUEUE_FULL when too many changes wait, STORE_UNAVAILABLE when the outcome stayed unknown */
  commit(change: Change): Promise<number>;
  /** The same for thousands at a time: a promise for each costs as much as writing it. Calls one of the two, once, later
   *  or at once; they must not throw. */
  write(change: Change, stored: (seq: number) => void, failed: (error: Error) => void): void;
  nonce(): string;
}

export interface Jobs {
  /** All there is of each job, in order; one read for up to 200. @throws Refusal STORE_UNAVAILABLE */
  read(refs: readonly JobRef[]): Promise<Snapshot[]>;
  /** The payload of a job that lies beside it. */
  body(ref: JobRef): Promise<Uint8Array | undefined>;
  /** Removes a body that no run needs any more. Best effort. */
  dropBody(ref: JobRef): void;
  /** A page of jobs by phase, task and queue, from a position on. The position to go on from is undefined at the end. */
  list(query: ListQuery): Promise<{ jobs: Stored[]; next: ListPosition | undefined }>;
  /** Calls back when the job may have changed; a hint, never the state. */
  watch(ref: JobRef, hint: () => void): () => void;
}

export interface ListPosition {
  shard: number;
  seq: number;
}

export interface ListQuery {
  phases: readonly Phase[];
  task: string | undefined;
  queue: string | undefined;
  limit: number;
  from: ListPosition | undefined;
}

/** A delivered ticket. Not acked, it is the lease of a run of up to 10 s. */
export interface Ticket {
  lane: LaneKey;
  ref: JobRef;
  seq: number;
  /** How often JetStream delivered this sequence, from 1. */
  deliveries: number;
  /** May run unread: a first delivery above the lane's trust line. */
  trusted: boolean;
  /** Undefined: a tombstone, or bytes that cannot be read (then `corrupt`). */
  stored: Stored | undefined;
  corrupt: Uint8Array | undefined;
  /** Moves the lane on; says nothing about the job. */
  ack(): void;
}

/** One broker's hold on the lanes. */
export interface Lanes {
  /** Makes the lane if there is none. Before the first message into it. @throws Refusal TOO_MANY_LANES */
  ensure(lane: LaneKey): Promise<void>;
  /** Whether a call of ensure would be for nothing. */
  has(lane: LaneKey): boolean;
  /** A ticket was written into the lane: where nobody listens, that is how it is known not to be empty. */
  filled(lane: LaneKey): void;
  all(): readonly LaneView[];
  /** Asks for up to n tickets that are there now. They come through `delivered`, then `pulled` says the call is over. */
  pull(lane: LaneView, n: number): void;
  /** Keeps a request for one ticket open, or lets it lapse. */
  probe(lane: LaneView, open: boolean): void;
}

export interface LaneView {
  readonly key: LaneKey;
  /** Tickets not delivered yet, as last heard. */
  pending: number;
  /** Tickets asked for by `pull` and not come yet. */
  pulling: number;
  /** A probe is open. */
  readonly probing: boolean;
}

export interface LaneEvents {
  delivered(ticket: Ticket): void;
  /** A pull is over, or a lane is new or changed: time to plan again. */
  moved(lane: LaneView): void;
}

export interface Clock {
  /** The nats-server's time, ms. */
  now(): number;
}

/** For what must never happen early. */
export interface SureClock {
  /** A time that the nats-server's clock has certainly reached, ms: at most a few behind it. */
  reached(): number;
}

/** The other brokers of the namespace. Messages are JSON values, small and rare; none of them carries state that
 *  matters when it is lost. */
export interface Peers {
  readonly self: string;
  /** Names of all brokers heard in the last 7 s, this one included. */
  all(): string[];
  /** Asks every broker, this one included, and waits until all known ones have answered, 300 ms at most. */
  ask(
    topic: string,
    body: unknown,
  ): Promise<{ answers: { broker: string; body: unknown }[]; silent: number }>;
  /** Answers what `ask` asks. */
  answer(topic: string, handler: (body: unknown) => unknown): void;
  /** Tells every broker, this one included. */
  tell(topic: string, body: unknown): void;
  hear(topic: string, handler: (body: unknown, broker: string) => void): void;
}

/** How full the store is. */
export interface StorageGauge {
  /** Above the high-water mark: submits are refused, everything else goes on. */
  readonly full: boolean;
}

/** What a lease token says. */
export interface LeaseClaim {
  ref: JobRef;
  attempt: number;
  /** Sequence of the ticket the attempt began with. */
  origin: number;
}

export interface Tokens {
  /** Signed, URL-safe. */
  sign(claim: LeaseClaim): string;
  /** Undefined for anything that this namespace did not sign. */
  verify(token: string): LeaseClaim | undefined;
}

/** An alarm to be looked into. Not acked, it comes again after some 20 s. */
export interface Alarm {
  ref: JobRef;
  seq: number;
  /** Undefined for a message that is no job's. */
  stored: Stored | undefined;
  /** Its bytes cannot be read: `stored` is what its subject says. */
  corrupt: boolean;
  ack(): void;
}

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
  /** While a purge is under way. */
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
  tasks(): Promise<TaskSettings[]>;
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

export interface Firing {
  plannedAt: number;
  handledAt: number;
  /** A FiringOutcome. */
  outcome: number;
  jobId: string;
  count: number;
  detail: string;
}

/** A schedule as it is stored. Times in ms, 0 = unset. */
export interface ScheduleRecord {
  name: string;
  owner: string;
  createdAt: number;
  changedAt: number;
  /** When its rule was declared. */
  declaredAt: number;
  /** As its owner sent it. */
  declared: Uint8Array;
  paused: boolean;
  /** Everything up to this has been dealt with. */
  lastAt: number;
  /** 0 = never again, or paused. */
  nextAt: number;
  lastTask: string;
  lastKey: string;
  /** The latest first. */
  firings: Firing[];
  nonce: string;
}

/** A schedule with the value for the compare-and-set; a record that was removed lately has one too. */
export interface KnownSchedule {
  record: ScheduleRecord | undefined;
  seq: number;
}

/** A planned time has come. Not acked, it comes again. */
export interface FiringTicket {
  name: string;
  plannedAt: number;
  ack(): void;
}

/** All of it throws Refusal STORE_UNAVAILABLE. */
export interface Schedules {
  /** In order. */
  read(names: readonly string[]): Promise<KnownSchedule[]>;
  /** Of all schedules, in order. */
  names(): Promise<string[]>;
  /** Writes them in one step, each with its alarm (`nextAt`); a record of nothing removes. False: another broker was
   *  faster with one of them, and nothing was written. */
  write(
    changes: readonly { name: string; record: ScheduleRecord | undefined; seq: number }[],
  ): Promise<boolean>;
}

/** What a purge has to know of a queue, or of one task in it. */
export interface QueueScope {
  queue: string;
  task: string | undefined;
}

export interface Queues {
  /** All queues that have settings. @throws Refusal STORE_UNAVAILABLE */
  settings(): Promise<QueueSettings[]>;
  /** Changes a queue's settings, whoever else does at the same time. */
  update(queue: string, change: (settings: QueueSettings) => QueueSettings): Promise<QueueSettings>;
  /** Queues that any job lies in, with the lanes of each: tickets not delivered, and delivered but not acked. */
  lanes(): Promise<{ key: LaneKey; ready: number; delivered: number }[]>;
  /** Tickets of a lane from a sequence on. @throws Refusal STORE_UNAVAILABLE */
  from(lane: LaneKey, seq: number): Promise<number>;
  /** Jobs in a phase, at most 15 s old. */
  count(phase: Phase, scope: QueueScope): Promise<number>;
  /** Removes what waits in the lanes, up to the last message as of now. Only when nothing is delivered there. */
  purgeReady(scope: QueueScope): Promise<number>;
  purgeScheduled(scope: QueueScope): Promise<number>;
}

/** How a member of a flow ended. */
export interface FlowEnd {
  jobId: string;
  /** succeeded, failed or cancelled. */
  outcome: string;
  result: Content | undefined;
  failure: Failure | undefined;
  /** The flow's redrives when the member was begun. */
  run: number;
}

/** A flow as it is stored: what of it changes. Times in ms, 0 = unset. */
export interface FlowRecord {
  key: string;
  name: string;
  labels: { [name: string]: string };
  submittedAt: number;
  deadline: number;
  finishedAt: number;
  /** Not stored as a whole yet: nothing of it runs. */
  preparing: boolean;
  digest: Uint8Array;
  parts: number;
  /** A MemberStatus each. */
  members: Uint8Array;
  run: number;
  /** A Stop. */
  stop: number;
  stopReason: string;
  /** Position + 1 of the member that failed first. */
  failedMember: number;
  failure: Failure | undefined;
  nonce: string;
  lastMembers: number[];
}

/** A member as its flow knows it; never changes. */
export interface FlowEntry {
  task: string;
  key: string;
  name: string;
  dependsOn: number[];
  onFailure: number;
}

/** Something that a flow has to act upon. Not acked, it comes again. */
export interface FlowTicket {
  flow: string;
  /** A member's end; undefined: the flow itself, which has begun, was stopped or is over its deadline. */
  member: number | undefined;
  end: FlowEnd | undefined;
  /** The deadline has come. */
  deadline: boolean;
  ack(): void;
}

export interface Flows {
  read(key: string): Promise<{ record: FlowRecord; seq: number } | undefined>;
  /** Writes the record if nobody else has since `expected` (0 = there is none), and with `ticket` one for the flow itself
   *  in the same step. Undefined: somebody has. @throws Refusal STORE_UNAVAILABLE */
  write(record: FlowRecord, expected: number, ticket: boolean): Promise<number | undefined>;
  /** @returns how many parts they take */
  writeMembers(key: string, members: readonly FlowEntry[]): Promise<number>;
  members(key: string, parts: number): Promise<FlowEntry[]>;
  /** How these members ended, of those that have. */
  ends(key: string, members: readonly number[]): Promise<Map<number, FlowEnd>>;
  list(): Promise<FlowRecord[]>;
  /** Removes all there is of a flow but its jobs. */
  remove(key: string): Promise<void>;
  /** Calls back when the record may have changed. */
  watch(key: string, hint: () => void): () => void;
}
