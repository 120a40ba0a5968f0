// Flows: wire <-> domain.

import {
  type Flow,
  type Input,
  JobState,
  type FlowSpec as WireFlowSpec,
  FlowState as WireFlowState,
  type FlowMemberView as WireMemberView,
} from "@drover/proto/v1";
import type { FlowInput, FlowMemberView, FlowView } from "../app/flow-api.js";
import { type FlowState, MemberStatus } from "../core/flow.js";
import type { FlowDraft } from "../core/flow-spec.js";
import { jobId } from "../core/names.js";
import { toDraft, toFailure, toPayload } from "./convert-job.js";
import { fromTimestamp, toTimestampOrUnset } from "./time.js";

const wireStates: Readonly<Record<FlowState, WireFlowState>> = {
  RUNNING: WireFlowState.FLOW_STATE_RUNNING,
  SUCCEEDED: WireFlowState.FLOW_STATE_SUCCEEDED,
  FAILED: WireFlowState.FLOW_STATE_FAILED,
  CANCELLED: WireFlowState.FLOW_STATE_CANCELLED,
};
export const flowStates = new Map(
  Object.entries(wireStates).map(([state, wire]) => [wire, state as FlowState]),
);

const memberStates: Readonly<Record<number, JobState>> = {
  [MemberStatus.BLOCKED]: JobState.JOB_STATE_BLOCKED,
  [MemberStatus.OPEN]: JobState.JOB_STATE_READY,
  [MemberStatus.SUCCEEDED]: JobState.JOB_STATE_SUCCEEDED,
  [MemberStatus.FAILED]: JobState.JOB_STATE_FAILED,
  [MemberStatus.CANCELLED]: JobState.JOB_STATE_CANCELLED,
  [MemberStatus.SKIPPED]: JobState.JOB_STATE_CANCELLED,
};

/** What was asked for, unchecked. */
export function toFlowDraft(flow: WireFlowSpec): FlowDraft {
  return {
    key: flow.key,
    name: flow.name,
    labels: flow.labels,
    deadline: fromTimestamp(flow.deadline),
    members: flow.members.map(({ job, dependsOn, onFailure, name }) => ({
      job: job && toDraft(job),
      dependsOn,
      onFailure,
      name,
    })),
  };
}

export function toFlow({ record, state, counts }: FlowView): Flow {
  return {
    key: record.key,
    name: record.name,
    state: wireStates[state],
    counts,
    submittedAt: toTimestampOrUnset(record.submittedAt),
    finishedAt: toTimestampOrUnset(record.finishedAt),
    deadline: toTimestampOrUnset(record.deadline),
    labels: record.labels,
    failedMember: record.failedMember === 0 ? undefined : record.failedMember - 1,
    failure: toFailure(record.failure),
    lastMembers: record.lastMembers,
  };
}

export function toMember(view: FlowMemberView): WireMemberView {
  return {
    member: view.member,
    jobId: jobId(view),
    name: view.name,
    state: memberStates[view.status] ?? JobState.JOB_STATE_UNSPECIFIED,
    dependsOn: view.dependsOn,
    onFailure: view.onFailure,
    result: toPayload(view.result),
    failure: toFailure(view.failure),
  };
}

const inputStates: Readonly<Record<string, JobState>> = {
  succeeded: JobState.JOB_STATE_SUCCEEDED,
  failed: JobState.JOB_STATE_FAILED,
  cancelled: JobState.JOB_STATE_CANCELLED,
};

export function toInput({ end }: FlowInput): Input {
  return {
    jobId: end.jobId,
    state: inputStates[end.outcome] ?? JobState.JOB_STATE_UNSPECIFIED,
    result: toPayload(end.result),
    failure: toFailure(end.failure),
  };
}
