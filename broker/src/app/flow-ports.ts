// What the store keeps of flows, and how it says that one has to be acted upon.

import type { Content, Failure } from "../core/job.js";

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
  /** Of what was submitted: tells a repeat from another flow of the same key. */
  digest: Uint8Array;
  /** How many messages hold its members. */
  parts: number;
  /** A MemberStatus each. */
  members: Uint8Array;
  /** Counts redrives. */
  run: number;
  /** A Stop. */
  stop: number;
  stopReason: string;
  /** Position + 1 of the member that failed first. */
  failedMember: number;
  failure: Failure | undefined;
  /** Names the commit that wrote it. */
  nonce: string;
  /** Positions of those that no other one depends on. */
  lastMembers: number[];
}

/** A member as its flow knows it; never changes. */
export interface FlowEntry {
  task: string;
  key: string;
  name: string;
  /** Positions. */
  dependsOn: number[];
  /** An OnFailure. */
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

/** All of it throws Refusal STORE_UNAVAILABLE. */
export interface Flows {
  /** Undefined: there is no such flow. */
  read(key: string): Promise<{ record: FlowRecord; seq: number } | undefined>;
  /** Writes the record if nobody else has since `expected` (0 = there is none), and with `ticket` one for the flow itself
   *  in the same step. The sequence of the record; undefined: somebody has. */
  write(record: FlowRecord, expected: number, ticket: boolean): Promise<number | undefined>;
  /** @returns how many parts they take */
  writeMembers(key: string, members: readonly FlowEntry[]): Promise<number>;
  /** All of them, in order. */
  members(key: string, parts: number): Promise<FlowEntry[]>;
  /** How these members ended, of those that have. */
  ends(key: string, members: readonly number[]): Promise<Map<number, FlowEnd>>;
  /** Every flow of the namespace. */
  list(): Promise<FlowRecord[]>;
  /** Removes all there is of a flow but its jobs. */
  remove(key: string): Promise<void>;
  /** Calls back when the record may have changed: a hint, never the state. Returns what ends it. */
  watch(key: string, hint: () => void): () => void;
}
