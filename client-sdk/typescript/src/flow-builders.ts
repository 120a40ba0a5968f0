// Flows as people think of them: steps, chains of them, groups, chords, one inside the other, and any other graph. What
// the broker takes is one list of members with the positions of those that have to end first.

import type { FlowMember, JobSpec } from "@drover/proto/v1";
import { FailurePolicy } from "@drover/proto/v1/flow_service";
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
  | { readonly kind: "group"; readonly nodes: readonly FlowNode[] }
  | { readonly kind: "graph"; readonly vertices: Readonly<Record<string, Vertex>> };

/** A node of a graph, and the names of those that have to end before it. */
export interface Vertex<Name extends string = string> {
  readonly node: FlowNode;
  readonly after?: readonly Name[];
}

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

/** Each vertex once all that it names under `after` have ended; what those came to are its inputs, in that order. They
 *  may be listed in any order, under names that are the graph's own. */
export function graph<Name extends string>(
  vertices: {
    readonly [name in Name]: Vertex<NoInfer<Name>>;
  },
): FlowNode {
  return { kind: "graph", vertices };
}

const policies: Record<OnFailure, FailurePolicy> = {
  "fail-flow": FailurePolicy.FAILURE_POLICY_FAIL_FLOW,
  continue: FailurePolicy.FAILURE_POLICY_CONTINUE,
  "skip-dependents": FailurePolicy.FAILURE_POLICY_SKIP_DEPENDENTS,
};

/** @throws InvalidArgumentError for an empty chain, group or graph, for vertices that wait for one another or for none that
 *  there is, and for what a job may not say */
export function membersOf(node: FlowNode): FlowMember[] {
  const members: FlowMember[] = [];
  add(members, node, []);
  return members;
}

/** Adds a node behind these positions, and answers with those that end it. */
function add(members: FlowMember[], node: FlowNode, after: readonly number[]): readonly number[] {
  if (node.kind === "step") {
    const { onFailure = "fail-flow", name = "" } = node.options;
    members.push({ job: specOf(node), dependsOn: [...after], onFailure: policies[onFailure], name });
    return [members.length - 1];
  }
  if (node.kind === "graph") return addGraph(members, node.vertices, after);
  if (node.nodes.length === 0) throw refused(`an empty ${node.kind}: leave it out, or put a step into it`);
  if (node.kind === "group") return node.nodes.flatMap((each) => add(members, each, after));
  return node.nodes.reduce((last, each) => add(members, each, last), after);
}

/** In the order given, but each behind those that it waits for. */
function addGraph(
  members: FlowMember[],
  vertices: Readonly<Record<string, Vertex>>,
  before: readonly number[],
): readonly number[] {
  const all = new Map(Object.entries(vertices));
  if (all.size === 0) throw refused("an empty graph: leave it out, or put a vertex into it");
  const ends = new Map<string, readonly number[]>();
  const open = new Set<string>();
  const endsOf = (name: string, wantedBy: string): readonly number[] => {
    const known = ends.get(name);
    if (known !== undefined) return known;
    const vertex = all.get(name);
    if (vertex === undefined)
      throw refused(`${wantedBy} comes after ${name}, which is no vertex of its graph`);
    if (open.has(name)) throw refused(`${name} comes after itself, by way of ${wantedBy}`);
    open.add(name);
    const { node, after = [] } = vertex;
    const own = add(members, node, after.length === 0 ? before : after.flatMap((each) => endsOf(each, name)));
    ends.set(name, own);
    return own;
  };
  for (const name of all.keys()) endsOf(name, "");
  const waitedFor = new Set([...all.values()].flatMap(({ after = [] }) => after));
  return [...all.keys()].flatMap((name) => (waitedFor.has(name) ? [] : endsOf(name, "")));
}

function refused(why: string): InvalidArgumentError {
  return InvalidArgumentError.of("flow", why);
}

function specOf({ task, payload, options }: Extract<FlowNode, { kind: "step" }>): JobSpec {
  const { onFailure: _, name: __, ...job } = options;
  // Without a key of its own it gets the flow's and its position.
  return jobSpec(task, payload, job, () => "");
}
