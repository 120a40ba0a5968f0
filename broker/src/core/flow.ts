// What a flow is and how it moves on. The flow knows of every member whether it waits, may run or how it ended; from
// that and the graph follows what happens next. So an end that is told twice changes nothing, and after a crash the
// same question gives the same answer. Nothing here reads a clock or stores anything.

/** Where a member stands, as its flow's record knows. */
export const MemberStatus = {
  BLOCKED: 0,
  /** Everything it waited for has ended: it is its queue's from here on. */
  OPEN: 1,
  SUCCEEDED: 2,
  FAILED: 3,
  CANCELLED: 4,
  /** Cancelled by the flow, for the sake of another member. */
  SKIPPED: 5,
} as const;
export type MemberStatus = (typeof MemberStatus)[keyof typeof MemberStatus];

/** What the end of a member that did not succeed means: the numbers of drover.v1.FailurePolicy. */
export const OnFailure = { FAIL_FLOW: 1, CONTINUE: 2, SKIP_DEPENDENTS: 3 } as const;

/** Why nothing of a flow begins any more. */
export const Stop = { NONE: 0, FAILED: 1, DEADLINE: 2, CANCELLED: 3 } as const;

export type FlowState = "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";

/** Who waits for whom, by position; each waits for lower positions only. */
export interface Graph {
  parents: readonly (readonly number[])[];
  children: readonly (readonly number[])[];
  /** A number of OnFailure each. */
  onFailure: readonly number[];
}

export interface End {
  member: number;
  status: typeof MemberStatus.SUCCEEDED | typeof MemberStatus.FAILED | typeof MemberStatus.CANCELLED;
}

/** What a flow's ends make of it. */
export interface Progress {
  members: Uint8Array;
  /** Members to be cancelled because one that they depend on did not succeed. */
  skipped: number[];
  /** The first of these ends that fails the flow, by the order given. */
  failed: number | undefined;
  /** A Stop. */
  stop: number;
  changed: boolean;
}

export function graphOf(members: readonly { dependsOn: readonly number[]; onFailure: number }[]): Graph {
  const children: number[][] = members.map(() => []);
  for (const [i, { dependsOn }] of members.entries())
    for (const parent of dependsOn) children[parent]?.push(i);
  return {
    parents: members.map(({ dependsOn }) => dependsOn),
    children,
    onFailure: members.map(({ onFailure }) => onFailure),
  };
}

export function hasMemberEnded(status: number | undefined): boolean {
  return status !== MemberStatus.BLOCKED && status !== MemberStatus.OPEN;
}

/** The flow before anything has ended: the members that wait for nothing may run. */
export function begun(graph: Graph): Uint8Array {
  const members = new Uint8Array(graph.parents.length);
  for (const [i, parents] of graph.parents.entries()) {
    members[i] = parents.length === 0 ? MemberStatus.OPEN : MemberStatus.BLOCKED;
  }
  return members;
}

/** What these ends make of a flow. Costs the edges of the members that ended, and for each child that may be next its
 *  parents once: a callback of 10,000 is looked at once a call, not once an end. */
export function settle(graph: Graph, before: Uint8Array, stop: number, ends: readonly End[]): Progress {
  const members = before.slice();
  const touched = new Set<number>();
  const progress: Progress = { members, skipped: [], failed: undefined, stop, changed: false };
  for (const { member, status } of ends) {
    // What was skipped is cancelled afterwards, and says so again.
    if (member >= members.length || hasMemberEnded(members[member])) continue;
    members[member] = status;
    progress.changed = true;
    if (status !== MemberStatus.SUCCEEDED && graph.onFailure[member] !== OnFailure.CONTINUE) {
      if (stop === Stop.NONE) progress.failed ??= member;
      if (graph.onFailure[member] !== OnFailure.SKIP_DEPENDENTS && progress.stop === Stop.NONE) {
        progress.stop = Stop.FAILED;
      }
    }
    for (const child of graph.children[member] ?? []) touched.add(child);
  }
  // Children lie above their parents: in rising order one pass is enough, also for what is skipped on the way.
  const next = [...touched].sort((a, b) => a - b);
  for (let n = 0; n < next.length; n++) {
    const child = next[n] as number;
    if (members[child] !== MemberStatus.BLOCKED) continue;
    const fate = fateOf(graph, members, child);
    if (fate === undefined) continue;
    members[child] = fate;
    if (fate !== MemberStatus.SKIPPED) continue;
    progress.skipped.push(child);
    for (const grandchild of graph.children[child] ?? []) {
      if (!touched.has(grandchild)) {
        touched.add(grandchild);
        insert(next, n + 1, grandchild);
      }
    }
  }
  return progress;
}

/** What becomes of a blocked member; undefined = it goes on waiting. */
function fateOf(graph: Graph, members: Uint8Array, member: number): MemberStatus | undefined {
  let open = false;
  for (const parent of graph.parents[member] ?? []) {
    const status = members[parent];
    if (!hasMemberEnded(status)) open = true;
    else if (status === MemberStatus.SKIPPED) return MemberStatus.SKIPPED;
    else if (status !== MemberStatus.SUCCEEDED && graph.onFailure[parent] !== OnFailure.CONTINUE) {
      return MemberStatus.SKIPPED;
    }
  }
  return open ? undefined : MemberStatus.OPEN;
}

/** How a flow stands: it has ended when every member has. */
export function flowStateOf(members: Uint8Array, onFailure: readonly number[], stop: number): FlowState {
  if (members.some((status) => !hasMemberEnded(status))) return "RUNNING";
  if (stop === Stop.CANCELLED) return "CANCELLED";
  if (stop !== Stop.NONE) return "FAILED";
  const failed = members.some(
    (status, i) => status !== MemberStatus.SUCCEEDED && onFailure[i] !== OnFailure.CONTINUE,
  );
  return failed ? "FAILED" : "SUCCEEDED";
}

/** The members as a redrive leaves them: what did not succeed begins again, unless the flow went on without it. */
export function redriven(graph: Graph, before: Uint8Array): { members: Uint8Array; again: number[] } {
  const members = before.slice();
  const again: number[] = [];
  for (const [i, status] of before.entries()) {
    if (status === MemberStatus.SUCCEEDED) continue;
    if (status === MemberStatus.FAILED && graph.onFailure[i] === OnFailure.CONTINUE) continue;
    members[i] = MemberStatus.BLOCKED;
    again.push(i);
  }
  for (const member of again) members[member] = fateOf(graph, members, member) ?? MemberStatus.BLOCKED;
  return { members, again };
}

export function countsOf(members: Uint8Array) {
  const counts = { total: members.length, blocked: 0, open: 0, succeeded: 0, failed: 0, cancelled: 0 };
  for (const status of members) {
    if (status === MemberStatus.BLOCKED) counts.blocked++;
    else if (status === MemberStatus.OPEN) counts.open++;
    else if (status === MemberStatus.SUCCEEDED) counts.succeeded++;
    else if (status === MemberStatus.FAILED) counts.failed++;
    else counts.cancelled++;
  }
  return counts;
}

/** Into a list that rises from `from` on. */
function insert(list: number[], from: number, value: number): void {
  let low = from;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, value);
}
