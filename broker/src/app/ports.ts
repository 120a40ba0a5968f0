// What the use cases need from the outside, in domain words. jetstream/ implements all of it; nothing above this line
// of the architecture knows what a subject, a consumer or a header is. Here is what every job takes part in; what queues,
// flows, schedules and keys need besides stands in a file of each.

import type { Job, JobRef, Phase, ScheduledPhase, Snapshot, Stored } from "../core/job.js";
import type { FlowEnd } from "./flow-ports.js";
import type { Claim } from "./key-ports.js";

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
  /** Who has a unique key; `holder` undefined = nobody any more. `expected` as for the job; undefined = whatever there is.
   *  `keepFor`: ms, 0 = until it is freed. */
  | { kind: "claim"; key: string; holder: Claim | undefined; expected: number | undefined; keepFor: number }
  /** A job that waits for a place of its concurrency key is found by that, or no more. */
  | { kind: "parked"; key: string; queue: string; priority: number; present: boolean }
  /** The job's payload, beside it. */
  | { kind: "body"; data: Uint8Array };

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
  /** Another one with each call: no commit of any broker has it. */
  nonce(): string;
}

export interface Jobs {
  /** All there is of each job, in order; one read for up to 200. @throws Refusal STORE_UNAVAILABLE */
  read(refs: readonly JobRef[]): Promise<Snapshot[]>;
  /** The payload of a job that lies beside it; undefined: it is not there any more. @throws Refusal STORE_UNAVAILABLE */
  body(ref: JobRef): Promise<Uint8Array | undefined>;
  /** Removes a body that no run needs any more. Best effort. */
  dropBody(ref: JobRef): void;
  /** A page of jobs by phase, task and queue, from a position on. The position to go on from is undefined at the end.
   *  @throws Refusal STORE_UNAVAILABLE */
  list(query: ListQuery): Promise<{ jobs: Stored[]; next: ListPosition | undefined }>;
  /** Calls back when the job may have changed; a hint, never the state. */
  watch(ref: JobRef, hint: () => void): () => void;
}

export interface ListPosition {
  shard: number;
  /** The first sequence that was not looked at. */
  seq: number;
}

/** Undefined = any. */
export interface ListQuery {
  phases: readonly Phase[];
  task: string | undefined;
  queue: string | undefined;
  /** Jobs in the answer, at most. */
  limit: number;
  /** Undefined = from the start. */
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
  /** Makes the lane if there is none. Before the first message into it.
   *  @throws Refusal TOO_MANY_LANES, STORE_UNAVAILABLE */
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
  /** Asks every broker, this one included, and waits until all known ones have answered, 300 ms at most. `silent`: how
   *  many of them did not. */
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
