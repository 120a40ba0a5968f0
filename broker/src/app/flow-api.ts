// What may be asked and said of flows.

import type { FlowState } from "../core/flow.js";
import type { FlowSpec } from "../core/flow-spec.js";
import type { Content, Failure, JobRef } from "../core/job.js";
import type { FlowEnd, FlowEntry, FlowRecord } from "./flow-ports.js";

export interface FlowView {
  record: FlowRecord;
  state: FlowState;
  /** Members. */
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
  /** All of it or nothing. A repeated key gives the flow that is there. @throws Refusal JOB_EXISTS, STORAGE_FULL */
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
  /** `name` "" = any; `pageSize` 1 to 1,000; `pageToken` "" = from the start. */
  list(query: {
    state: FlowState | undefined;
    name: string;
    pageSize: number;
    pageToken: string;
  }): Promise<{ flows: FlowView[]; nextPageToken: string }>;
  /** The flow now and after each change, until it has ended. */
  watch(key: string, gone: AbortSignal): AsyncIterable<FlowView>;
  /** Of its members: cancelled at once, or asked to end. */
  cancel(
    key: string,
    reason: string,
  ): Promise<{ cancelled: number; requested: number; alreadyFinished: boolean }>;
  /** Begins again what did not succeed; how many members. @throws Refusal NOT_FAILED */
  redrive(key: string): Promise<{ flow: FlowView; redriven: number }>;
  /** What the members came to that this job depends on, from a position on; `next` 0 = that was all.
   *  @throws Refusal JOB_NOT_FOUND */
  inputs(ref: JobRef, from: number, count: number): Promise<{ inputs: FlowInput[]; next: number }>;
}
