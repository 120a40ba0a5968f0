import type { Message } from "../../support/stranger.js";
import { type InvalidRequests, many } from "./rows.js";

export const member = (...dependsOn: number[]): Message => ({ job: { task: "t" }, dependsOn });
export const flow = (...members: unknown[]) => ({ flow: { members } });

export const invalid: InvalidRequests = {
  "FlowService/Submit": [
    [
      "a unique member, and one that is debounced",
      flow(
        { job: { task: "t", unique: { key: "u" } } },
        { job: { task: "t", key: "k", debounce: { wait: { seconds: 1 } } } },
      ),
      ["flow.members[0].job.unique", "flow.members[1].job.debounce"],
    ],
    ["no flow", {}, ["flow"]],
    ["no members", flow(), ["flow.members"]],
    ["10,001 members", flow(...many(10_001, member())), ["flow.members"]],
    ["a member without a job", flow({}), ["flow.members[0].job"]],
    ["a member that waits for itself", flow(member(0)), ["flow.members[0].depends_on[0]"]],
    ["a cycle", flow(member(1), member(0)), ["flow.members[0].depends_on[0]"]],
    ["a missing dependency", flow(member(), member(7)), ["flow.members[1].depends_on[0]"]],
    ["an unknown policy", flow({ ...member(), onFailure: 9 }), ["flow.members[0].on_failure"]],
    [
      "a member's bad job",
      flow({ job: { task: "a b", priority: 10 } }),
      ["flow.members[0].job.task", "flow.members[0].job.priority"],
    ],
    ["a bad key", { flow: { ...flow(member()).flow, key: "a b" } }, ["flow.key"]],
  ],
  "FlowService/Get": [
    ["no key", {}, ["key"]],
    ["too many members", { key: "k", memberCount: 1_001 }, ["member_count"]],
  ],
  "FlowService/List": [
    ["an unknown state", { state: 9 }, ["state"]],
    ["too large a page", { pageSize: 1_001 }, ["page_size"]],
  ],
  "FlowService/Watch": [["no key", {}, ["key"]]],
  "FlowService/Cancel": [["a reason too long", { key: "k", reason: "x".repeat(1_025) }, ["reason"]]],
  "FlowService/Redrive": [["no key", {}, ["key"]]],
  "FlowService/Inputs": [
    ["no job id", {}, ["job_id"]],
    ["too many inputs", { jobId: "t~k", maxInputs: 1_001 }, ["max_inputs"]],
  ],
};
