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
