// What may be submitted as a flow. It is checked whole, so that one answer names every member that is wrong.

import { Checks } from "./check.js";
import { OnFailure } from "./flow.js";
import type { Spec } from "./job.js";
import { flowLimits, times } from "./limits.js";
import { noRoutes, type Routing } from "./routes.js";
import { below, checkLabels, type Draft, specOfDraft } from "./spec.js";

export interface MemberDraft {
  job: Draft | undefined;
  dependsOn: readonly number[];
  /** A number of drover.v1.FailurePolicy. */
  onFailure: number;
  name: string;
}

export interface FlowDraft {
  key: string;
  name: string;
  members: readonly MemberDraft[];
  /** ms since 1970; NaN = not understood. */
  deadline: number | undefined;
  labels: { [name: string]: string };
}

export interface FlowMember {
  spec: Spec;
  dependsOn: readonly number[];
  /** A number of OnFailure. */
  onFailure: number;
  name: string;
  /** From the moment it is unblocked, ms. */
  delay: number;
}

export interface FlowSpec {
  key: string;
  name: string;
  members: FlowMember[];
  /** ms since 1970, 0 = none. */
  deadline: number;
  labels: { [name: string]: string };
}

/** Most violations that are worth looking for. */
const enough = 50;

/** @throws Refusal INVALID_ARGUMENT naming member, field, limit and mend. `now`: the nats-server's time in ms. What
 *  members do not say of their queue and priority the routes do. */
export function flowOfDraft(draft: FlowDraft, now: number, routes: Routing = noRoutes): FlowSpec {
  const checks = new Checks();
  if (draft.key !== "") {
    checks.name("flow.key", draft.key);
    checks.text("flow.key", draft.key, flowLimits.key);
  }
  if (draft.name !== "") checks.name("flow.name", draft.name);
  checks.size("flow.members", draft.members.length, 1, flowLimits.members);
  checkDeadline(checks, draft.deadline, now);
  checkLabels(checks, draft.labels, "flow.labels");
  const members: FlowMember[] = [];
  const ids = new Map<string, number>();
  let edges = 0;
  for (const [i, member] of draft.members.slice(0, flowLimits.members).entries()) {
    if (checks.violations.length >= enough) break;
    const at = `flow.members[${i}]`;
    edges += member.dependsOn.length;
    checkDependencies(checks, `${at}.depends_on`, member.dependsOn, i, draft.members.length);
    checks.text(`${at}.name`, member.name, flowLimits.memberName);
    if (![0, ...Object.values(OnFailure)].includes(member.onFailure as 1)) {
      checks.add(
        `${at}.on_failure`,
        `${member.onFailure} is no FailurePolicy: use FAIL_FLOW, CONTINUE or SKIP_DEPENDENTS`,
      );
    }
    if (member.job === undefined) {
      checks.add(`${at}.job`, "is required: what to run");
      continue;
    }
    const { delay, ...job } = member.job;
    if (delay !== undefined) checks.duration(`${at}.job.delay`, delay, 0, times.longestDelay);
    if (delay !== undefined && job.runAt !== undefined)
      checks.add(`${at}.job.run_at`, "is set together with delay: keep one of the two");
    const made = specOfDraft(job, now, routes);
    if ("violations" in made) {
      for (const { field, description } of below(`${at}.job.`, made.violations))
        checks.add(field, description);
      continue;
    }
    const { spec } = made;
    // A member is submitted once, with its flow: there is nothing that it could be the same as.
    if (spec.unique !== undefined) checks.add(`${at}.job.unique`, "is not for members of a flow: drop it");
    if (spec.debounce !== undefined)
      checks.add(`${at}.job.debounce`, "is not for members of a flow: drop it");
    if (spec.key !== "") {
      const id = `${spec.task}~${spec.key}`;
      const other = ids.get(id);
      if (other !== undefined)
        checks.add(`${at}.job.key`, `is that of member ${other} too: give each a key of its own`);
      ids.set(id, i);
    }
    members.push({
      spec,
      dependsOn: member.dependsOn,
      onFailure: member.onFailure || OnFailure.FAIL_FLOW,
      name: member.name,
      delay: delay ?? 0,
    });
  }
  if (edges > flowLimits.dependencies) {
    checks.add(
      "flow.members",
      `have ${edges} dependencies together, the limit is ${flowLimits.dependencies}: put a member in between that many wait for`,
    );
  }
  checks.done();
  const { key, name, labels } = draft;
  return { key, name, members, labels, deadline: draft.deadline ?? 0 };
}

function checkDependencies(
  checks: Checks,
  field: string,
  on: readonly number[],
  self: number,
  total: number,
): void {
  const seen = new Set<number>();
  for (const [n, parent] of on.entries()) {
    const at = `${field}[${n}]`;
    if (parent >= total) checks.add(at, `there is no member ${parent}: the last one is ${total - 1}`);
    else if (parent >= self)
      checks.add(
        at,
        `is ${parent}, must be below the member's own position ${self}: order the members so, a cycle has no such order`,
      );
    else if (seen.has(parent)) checks.add(at, `names member ${parent} twice: name it once`);
    seen.add(parent);
    if (checks.violations.length >= enough) return;
  }
}

function checkDeadline(checks: Checks, deadline: number | undefined, now: number): void {
  if (deadline === undefined) return;
  if (Number.isNaN(deadline))
    checks.add("flow.deadline", "is not a valid timestamp: seconds since 1970, nanos of 0 to 999999999");
  else if (deadline >= times.never)
    checks.add("flow.deadline", "is after the year 2200: choose an earlier time");
  else if (deadline <= now) checks.add("flow.deadline", "is over already: the flow could never run");
}
