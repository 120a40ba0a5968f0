// A flow and its members as they stand, for people.

import { decode } from "@drover/proto/sdk/payload";
import { toDate } from "@drover/proto/sdk/time";
import { type Flow, type FlowMemberView, FlowState as WireFlowState } from "@drover/proto/v1/flow_service";
import { type Failure, failureOf, type JobState, jobState } from "./job.js";

export type FlowState = "UNSPECIFIED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";

export interface FlowStatus {
  readonly key: string;
  readonly name: string;
  readonly state: FlowState;
  /** SUCCEEDED, FAILED or CANCELLED. */
  readonly finished: boolean;
  /** How many members; `open` are those that wait for a time or a worker, or run. */
  readonly counts: Readonly<
    Record<"total" | "blocked" | "open" | "succeeded" | "failed" | "cancelled", number>
  >;
  readonly submittedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
  readonly deadline: Date | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Position of the member that failed first. */
  readonly failedMember: number | undefined;
  readonly failure: Failure | undefined;
}

export interface FlowMemberStatus {
  /** Its position in the flow. */
  readonly member: number;
  readonly jobId: string;
  readonly name: string;
  readonly state: JobState;
  readonly dependsOn: readonly number[];
  /** Once SUCCEEDED: a JSON value, or bytes of another content type. */
  readonly result: unknown;
  readonly failure: Failure | undefined;
}

export function flowStatus(flow: Flow): FlowStatus {
  const { counts } = flow;
  return {
    key: flow.key,
    name: flow.name,
    state: (WireFlowState[flow.state]?.slice("FLOW_STATE_".length) ?? "UNSPECIFIED") as FlowState,
    finished: flowEnded(flow),
    counts: counts ?? { total: 0, blocked: 0, open: 0, succeeded: 0, failed: 0, cancelled: 0 },
    submittedAt: toDate(flow.submittedAt),
    finishedAt: toDate(flow.finishedAt),
    deadline: toDate(flow.deadline),
    labels: flow.labels,
    failedMember: flow.failedMember,
    failure: failureOf(flow.failure),
  };
}

export function memberStatus(view: FlowMemberView): FlowMemberStatus {
  return {
    member: view.member,
    jobId: view.jobId,
    name: view.name,
    state: jobState(view.state),
    dependsOn: view.dependsOn,
    result: view.result === undefined ? undefined : decode(view.result),
    failure: failureOf(view.failure),
  };
}

export function flowEnded({ state }: Flow): boolean {
  return state !== WireFlowState.FLOW_STATE_RUNNING && state !== WireFlowState.FLOW_STATE_UNSPECIFIED;
}
