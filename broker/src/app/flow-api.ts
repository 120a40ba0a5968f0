// What may be asked and said of flows.

import type { FlowState } from "../core/flow.js";
import type { FlowSpec } from "../core/flow-spec.js";
import type { Content, Failure, JobRef } from "../core/job.js";
import type { FlowEnd, FlowEntry, FlowRecord } from "./flow-ports.js";

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
