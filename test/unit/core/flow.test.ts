import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  begun,
  type End,
  flowStateOf,
  graphOf,
  hasMemberEnded,
  MemberStatus,
  OnFailure,
  redriven,
  Stop,
  settle,
} from "../../../broker/src/core/flow.js";

const { BLOCKED, OPEN, SUCCEEDED, FAILED, SKIPPED } = MemberStatus;
const { FAIL_FLOW, CONTINUE, SKIP_DEPENDENTS } = OnFailure;

const chain = (...policies: number[]) =>
  graphOf(policies.map((onFailure, i) => ({ onFailure, dependsOn: i === 0 ? [] : [i - 1] })));

test("at first only what waits for nothing may run", () => {
  expect([...begun(chain(1, 1, 1))]).toEqual([OPEN, BLOCKED, BLOCKED]);
});

describe("a member that failed", () => {
  const end: End[] = [{ member: 0, status: FAILED }];
  test.each([
    { policy: FAIL_FLOW, members: [FAILED, SKIPPED, SKIPPED], stop: Stop.FAILED, failed: 0 },
    { policy: SKIP_DEPENDENTS, members: [FAILED, SKIPPED, SKIPPED], stop: Stop.NONE, failed: 0 },
    { policy: CONTINUE, members: [FAILED, OPEN, BLOCKED], stop: Stop.NONE, failed: undefined },
  ])("does by policy $policy what it says", ({ policy, members, stop, failed }) => {
    const graph = chain(policy, FAIL_FLOW, FAIL_FLOW);
    const made = settle(graph, begun(graph), Stop.NONE, end);
    expect([[...made.members], made.stop, made.failed]).toEqual([members, stop, failed]);
  });
});

test("a redrive begins what did not succeed anew, unless the flow went on without it", () => {
  const graph = graphOf([
    { onFailure: CONTINUE, dependsOn: [] },
    { onFailure: FAIL_FLOW, dependsOn: [0] },
    { onFailure: FAIL_FLOW, dependsOn: [1] },
  ]);
  const again = redriven(graph, Uint8Array.of(FAILED, FAILED, SKIPPED));
  expect([[...again.members], again.again]).toEqual([
    [FAILED, OPEN, BLOCKED],
    [1, 2],
  ]);
});

const graphs = fc
  .array(fc.record({ picks: fc.array(fc.nat(), { maxLength: 4 }), onFailure: fc.constantFrom(1, 2, 3) }), {
    minLength: 1,
    maxLength: 40,
  })
  .map((members) =>
    members.map(({ picks, onFailure }, i) => ({
      onFailure,
      dependsOn: i === 0 ? [] : [...new Set(picks.map((pick) => pick % i))],
    })),
  );

test("whatever the graph, the order of ends, and ends told twice: each member opens once, after its parents, and all end", () => {
  fc.assert(
    fc.property(graphs, fc.infiniteStream(fc.nat()), (members, picks) => {
      const graph = graphOf(members);
      const pick = (n: number) => (picks.next().value as number) % n;
      let state = begun(graph);
      let stop: number = Stop.NONE;
      const opened = new Map<number, number>();
      const told: End[] = [];
      const open = () => [...state.keys()].filter((i) => state[i] === OPEN);
      for (const i of open()) opened.set(i, 1);
      let failures = 0;
      while (open().length > 0) {
        const running = open();
        const member = running[pick(running.length)] as number;
        const ends: End[] = [{ member, status: pick(4) === 0 ? FAILED : SUCCEEDED }];
        const repeat = told[pick(told.length + 1)];
        if (repeat !== undefined) ends.push(repeat);
        told.push(...ends.slice(0, 1));
        // A broker that died after the write: the same tickets come again, and change nothing.
        const made = settle(graph, state, stop, ends);
        expect(settle(graph, made.members, made.stop, ends).changed).toBe(false);
        for (const [i, status] of made.members.entries()) {
          if (status !== OPEN || state[i] === OPEN) continue;
          opened.set(i, (opened.get(i) ?? 0) + 1);
          for (const parent of graph.parents[i] ?? [])
            expect(hasMemberEnded(made.members[parent])).toBe(true);
        }
        for (const [i, status] of state.entries())
          if (hasMemberEnded(status)) expect(made.members[i]).toBe(status);
        if (made.failed !== undefined) failures++;
        ({ members: state, stop } = made);
      }
      expect([...opened.values()].every((times) => times === 1)).toBe(true);
      expect([...state].every((status) => hasMemberEnded(status))).toBe(true);
      const ended = flowStateOf(state, graph.onFailure, stop);
      expect(ended).toBe(failures > 0 ? "FAILED" : "SUCCEEDED");
    }),
    { numRuns: 300 },
  );
});
