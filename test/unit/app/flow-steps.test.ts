// What a member's end means for its flow, on a flow kept in this file. An end that comes late may be one of a run before
// the flow was redriven, of a member that runs again by then.

import { beforeEach, describe, expect, test } from "vitest";
import type { Cancel, Cancelled } from "../../../broker/src/app/cancel.js";
import type { FlowEntry, FlowRecord } from "../../../broker/src/app/flow-ports.js";
import { FlowSteps } from "../../../broker/src/app/flow-steps.js";
import type { Changed, Known } from "../../../broker/src/app/ledger.js";
import { graphOf, MemberStatus, OnFailure, Stop } from "../../../broker/src/core/flow.js";
import type { JobRef, Stored } from "../../../broker/src/core/job.js";
import type { Event } from "../../../broker/src/core/transitions.js";
import { quiet } from "../../support/quiet-log.js";
import { aSpec, now, stored } from "../../support/stored-jobs.js";

const key = "flow";
const { BLOCKED, OPEN, SUCCEEDED, FAILED, SKIPPED } = MemberStatus;
/** One behind the other. */
const entries: FlowEntry[] = [0, 1].map((i) => ({
  task: "mail.send",
  key: `${key}.${i}`,
  name: "",
  dependsOn: i === 0 ? [] : [i - 1],
  onFailure: OnFailure.FAIL_FLOW,
}));

let record: FlowRecord;
let jobs: Stored[];
let done: string[];
let steps: FlowSteps;

beforeEach(() => {
  record = {
    key,
    name: "",
    labels: {},
    submittedAt: now,
    deadline: 0,
    finishedAt: 0,
    preparing: false,
    digest: new Uint8Array(0),
    parts: 1,
    members: Uint8Array.of(OPEN, BLOCKED),
    run: 1,
    stop: Stop.NONE,
    stopReason: "",
    failedMember: 0,
    failure: undefined,
    nonce: "",
    lastMembers: [1],
  };
  jobs = [member(0, "ready", 1), member(1, "blocked", 1)];
  done = [];
  steps = new FlowSteps({
    flows: {
      read: async () => ({ record, seq: 1 }),
      write: async (next) => {
        record = next;
        return 2;
      },
      ends: async () => new Map(),
    },
    graphs: { of: async () => ({ entries, graph: graphOf(entries) }) },
    jobs: { read: async (refs) => refs.map(({ key: of }) => ({ current: jobOf(of), last: 9 })) },
    ledger: { change },
    cancel: { cancel: cancel as Cancel["cancel"] },
    clock: { now: () => now },
    log: quiet,
  });
});

/** A member's job, begun when the flow had been redriven so often. */
function member(i: number, phase: "ready" | "blocked" | "failed" | "succeeded", run: number): Stored {
  const flow = {
    flow: key,
    member: i,
    dependents: [],
    dependsOn: entries[i]?.dependsOn ?? [],
    onFailure: OnFailure.FAIL_FLOW,
    delay: 0,
    run,
  };
  const ended = phase === "failed" || phase === "succeeded" ? { finishedAt: now } : {};
  return stored(phase, {}, ended, aSpec({ key: `${key}.${i}`, flow }));
}

function jobOf(of: string): Stored | undefined {
  return jobs.find(({ job }) => job.spec?.key === of);
}

async function change(ref: JobRef, _: Known, event: Event): Promise<Changed> {
  done.push(`${event.type} ${ref.key}`);
  return {} as Changed;
}

async function cancel(ref: JobRef): Promise<Cancelled> {
  done.push(`cancel ${ref.key}`);
  return { outcome: "cancelled" } as Cancelled;
}

const end = (i: number, outcome: string, run: number) => ({
  member: i,
  end: { jobId: `mail.send~${key}.${i}`, outcome, result: undefined, failure: undefined, run },
  deadline: false,
});

describe("the end of a member in a flow that was redriven meanwhile", () => {
  test.each`
    outcome        | run  | status       | then                  | why
    ${"failed"}    | ${0} | ${OPEN}      | ${[]}                 | ${"of the run before: the member runs again, and its flow does not fail"}
    ${"cancelled"} | ${0} | ${OPEN}      | ${[]}                 | ${"of the run before: the member runs again, and its flow does not fail"}
    ${"succeeded"} | ${0} | ${SUCCEEDED} | ${["unblock flow.1"]} | ${"a success is one whenever it was"}
    ${"succeeded"} | ${1} | ${SUCCEEDED} | ${["unblock flow.1"]} | ${"of this run"}
  `("$outcome in run $run, told in run 1: $why", async ({ outcome, run, status, then }) => {
    await steps.step(key, [end(0, outcome, run)]);
    expect([...record.members]).toEqual([status, status === SUCCEEDED ? OPEN : BLOCKED]);
    expect(record).toMatchObject({ stop: Stop.NONE, failedMember: 0, finishedAt: 0 });
    expect(done).toEqual(then);
  });

  test("failed in this run fails it", async () => {
    await steps.step(key, [end(0, "failed", 1)]);
    expect(record).toMatchObject({ stop: Stop.FAILED, failedMember: 1 });
    expect([...record.members]).toEqual([FAILED, SKIPPED]);
    expect(done).toEqual(["cancel flow.1"]);
  });

  test("that had not heard of the redrive when it ended is begun again at once, not by the sweep", async () => {
    jobs[0] = member(0, "failed", 0);
    await steps.step(key, [end(0, "failed", 0)]);
    expect(done).toEqual(["rejoin flow.0"]);
    expect([...record.members]).toEqual([OPEN, BLOCKED]);
  });
});
