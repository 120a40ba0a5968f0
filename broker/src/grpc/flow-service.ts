// drover.v1.FlowService.

import { type FlowServiceServer, FlowState as WireFlowState } from "@drover/proto/v1";
import type { FlowsApi } from "../app/flow-api.js";
import type { Clock } from "../app/ports.js";
import { Checks } from "../core/check.js";
import { invalid } from "../core/errors.js";
import { flowOfDraft } from "../core/flow-spec.js";
import { flowLimits, sizes } from "../core/limits.js";
import type { Routing } from "../core/routes.js";
import type { Calls } from "./calls.js";
import { flowStates, toFlow, toFlowDraft, toInput, toMember } from "./convert-flow.js";

const page = { unset: 100, largest: 1_000 };

export function flowService(flows: FlowsApi, routes: Routing, clock: Clock, calls: Calls): FlowServiceServer {
  return {
    submit: calls.unary("FlowService/Submit", async ({ flow }) => {
      if (flow === undefined) throw invalid([{ field: "flow", description: "is required: what to run" }]);
      return await flows.submit(flowOfDraft(toFlowDraft(flow), clock.now(), routes));
    }),

    get: calls.unary("FlowService/Get", async (request) => {
      const { firstMember, memberCount } = request;
      const checks = keyChecked(request.key);
      checks.integer("first_member", firstMember, 0, flowLimits.members);
      checks.integer("member_count", memberCount, 0, page.largest);
      checks.done();
      const { includeMembers, includeResults, lastMembersOnly } = request;
      if (!includeMembers && !includeResults && !lastMembersOnly) {
        return { flow: toFlow(await flows.get(request.key)), members: [], nextMember: 0 };
      }
      const options = { results: includeResults, lastOnly: lastMembersOnly };
      const answer = await flows.members(request.key, firstMember, memberCount || page.unset, options);
      return { flow: toFlow(answer.flow), members: answer.members.map(toMember), nextMember: answer.next };
    }),

    list: calls.unary("FlowService/List", async ({ state, name, pageSize, pageToken }) => {
      const checks = new Checks();
      const known = flowStates.get(state);
      if (known === undefined && state !== WireFlowState.FLOW_STATE_UNSPECIFIED) {
        checks.add("state", `${state} is no FlowState: leave it unset for every state`);
      }
      if (name !== "") checks.name("name", name);
      checks.integer("page_size", pageSize, 0, page.largest);
      checks.done();
      const found = await flows.list({ state: known, name, pageSize: pageSize || page.unset, pageToken });
      return { flows: found.flows.map(toFlow), nextPageToken: found.nextPageToken };
    }),

    watch: calls.serverStream("FlowService/Watch", async function* ({ key }, call) {
      keyChecked(key).done();
      for await (const view of flows.watch(key, call.gone)) yield { flow: toFlow(view) };
    }),

    cancel: calls.unary("FlowService/Cancel", async ({ key, reason }) => {
      const checks = keyChecked(key);
      checks.bytes("reason", reason, sizes.cancelReason);
      checks.done();
      return await flows.cancel(key, reason);
    }),

    redrive: calls.unary("FlowService/Redrive", async ({ key }) => {
      keyChecked(key).done();
      const { flow, redriven } = await flows.redrive(key);
      return { flow: toFlow(flow), redriven };
    }),

    inputs: calls.unary("FlowService/Inputs", async ({ jobId, firstInput, maxInputs }) => {
      const checks = new Checks();
      const ref = checks.jobId("job_id", jobId);
      checks.integer("first_input", firstInput, 0, flowLimits.members);
      checks.integer("max_inputs", maxInputs, 0, page.largest);
      checks.done();
      const { inputs, next } = await flows.inputs(ref, firstInput, maxInputs || page.largest);
      return { inputs: inputs.map(toInput), nextInput: next };
    }),
  };
}

function keyChecked(key: string): Checks {
  const checks = new Checks();
  checks.name("key", key);
  return checks;
}
