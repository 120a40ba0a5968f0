// Flows as people think of them: steps, chains of them, groups, chords, one inside the other. What the broker takes is one
// list of members with the positions of those that have to end first.

import type { FlowMember, JobSpec } from "@drover/proto/v1";
import { FailurePolicy } from "@drover/proto/v1";
import { InvalidArgumentError } from "./errors.js";
import { type JobOptions, jobSpec, type TaskRef } from "./spec.js";

/** What happens when a step fails for good: the flow ends (`fail-flow`, default), those after it run all the same and see
 *  its failure among their inputs (`continue`), or they are left out while the rest goes on (`skip-dependents`). */
export type OnFailure = "fail-flow" | "continue" | "skip-dependents";

export interface StepOptions extends JobOptions {
  readonly onFailure?: OnFailure;
  /** For people: at most 128 characters. */
  readonly name?: string;
}

export type FlowNode =
  | {
      readonly kind: "step";
      readonly task: TaskRef | string;
      readonly payload: unknown;
      readonly options: StepOptions;
    }
  /** One after the other: each has what the one before it came to as its inputs. */
  | { readonly kind: "chain"; readonly nodes: readonly FlowNode[] }
  /** All at once. */
  | { readonly kind: "group"; readonly nodes: readonly FlowNode[] };

/** One job of a flow. Its delay counts from when it is its turn. */
export function step<P, R>(task: TaskRef<P, R, unknown>, payload: P, options?: StepOptions): FlowNode;
export function step(task: string, payload?: unknown, options?: StepOptions): FlowNode;
export function step(task: TaskRef | string, payload?: unknown, options: StepOptions = {}): FlowNode {
  return { kind: "step", task, payload, options };
}

/** One after the other. */
export function chain(...nodes: readonly FlowNode[]): FlowNode {
  return { kind: "chain", nodes };
}

/** All at once; the results are in this order. */
export function group(nodes: readonly FlowNode[]): FlowNode {
  return { kind: "group", nodes };
}

/** All of `header` at once, then `callback`, once, with what each of them came to as its inputs, in their order. */
export function chord(header: readonly FlowNode[], callback: FlowNode): FlowNode {
  return chain(group(header), callback);
}

const policies: Record<OnFailure, FailurePolicy> = {
  "fail-flow": FailurePolicy.FAILURE_POLICY_FAIL_FLOW,
  continue: FailurePolicy.FAILURE_POLICY_CONTINUE,
  "skip-dependents": FailurePolicy.FAILURE_POLICY_SKIP_DEPENDENTS,
};

/** @throws InvalidArgumentError for an empty chain or group, and for what a job may not say */
export function membersOf(node: FlowNode): FlowMember[] {
  const members: FlowMember[] = [];
  /** Adds a node behind these positions, and answers with those that end it. */
  const add = (node: FlowNode, after: readonly number[]): readonly number[] => {
    if (node.kind === "step") {
      const { onFailure = "fail-flow", name = "" } = node.options;
      members.push({ job: specOf(node), dependsOn: [...after], onFailure: policies[onFailure], name });
      return [members.length - 1];
    }
    if (node.nodes.length === 0) {
      throw InvalidArgumentError.of("flow", `an empty ${node.kind}: leave it out, or put a step into it`);
    }
    if (node.kind === "group") return node.nodes.flatMap((each) => add(each, after));
    return node.nodes.reduce((last, each) => add(each, last), after);
  };
  add(node, []);
  return members;
}

function specOf({ task, payload, options }: Extract<FlowNode, { kind: "step" }>): JobSpec {
  const { onFailure: _, name: __, ...job } = options;
  // Without a key of its own it gets the flow's and its position.
  return jobSpec(task, payload, job, () => "");
}
