// Moving flows on. A member's end comes as a ticket that was stored with its record; many are looked into in one pass.
// First the flow's record takes them in (compare-and-set), then what follows from it is done: members unblocked, skipped
// or cancelled; only then are the tickets acked. Whoever dies on the way leaves tickets that come again, and every one
// of these steps may be done twice.

import { Refusal } from "../core/errors.js";
import {
  type End,
  flowStateOf,
  hasMemberEnded,
  MemberStatus,
  type Progress,
  Stop,
  settle,
} from "../core/flow.js";
import { hasEnded, type JobRef, type Stored, specOf, standingOf, stateOf } from "../core/job.js";
import type { Cancel } from "./cancel.js";
import { isPassing, unmoved } from "./fences.js";
import type { FlowGraphs, FlowPlan } from "./flow-graphs.js";
import type { FlowEnd, FlowRecord, Flows, FlowTicket } from "./flow-ports.js";
import type { Known, Ledger } from "./ledger.js";
import type { Clock, Jobs } from "./ports.js";
import type { Log } from "./telemetry.js";

const attempts = 50;
const readAtOnce = 200;
/** The deadline was told by the nats-server's clock, of which ours is an estimate, ms. */
const clockSlack = 1_000;
/** Jobs that are changed at the same time. */
const changedAtOnce = 1_000;

export interface FlowStepsParts {
  flows: Pick<Flows, "read" | "write" | "ends">;
  graphs: Pick<FlowGraphs, "of">;
  jobs: Pick<Jobs, "read">;
  ledger: Pick<Ledger, "change">;
  cancel: Pick<Cancel, "cancel">;
  clock: Clock;
  log: Log;
}

export class FlowSteps {
  constructor(readonly parts: FlowStepsParts) {}

  /** Never rejects: what could not be done is not acked and comes again. */
  async look(tickets: readonly FlowTicket[]): Promise<void> {
    const byFlow = new Map<string, FlowTicket[]>();
    for (const ticket of tickets) {
      const list = byFlow.get(ticket.flow);
      if (list === undefined) byFlow.set(ticket.flow, [ticket]);
      else list.push(ticket);
    }
    await Promise.all([...byFlow].map(([flow, list]) => this.#pass(flow, list)));
  }

  async #pass(flow: string, tickets: readonly FlowTicket[]): Promise<void> {
    try {
      await this.step(flow, tickets);
      for (const ticket of tickets) ticket.ack();
    } catch (error) {
      if (isPassing(error))
        this.parts.log.warn({ flow, error: String(error) }, "a flow could not be moved on yet");
      else this.parts.log.error({ flow, err: error }, "a flow could not be moved on");
    }
  }

  /** Takes the tickets in and does all that follows. @throws Refusal when not all of it could be done */
  async step(
    flow: string,
    tickets: readonly Pick<FlowTicket, "member" | "end" | "deadline">[],
  ): Promise<void> {
    const whole = tickets.some(({ member }) => member === undefined);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = await this.parts.flows.read(flow);
      // Removed with all that belongs to it, or not there as a whole yet: nothing of it runs.
      if (found === undefined || found.record.preparing) return;
      const { record, seq } = found;
      const plan = await this.parts.graphs.of(record);
      const late =
        tickets.some(({ deadline }) => deadline) &&
        record.deadline > 0 &&
        record.deadline <= this.parts.clock.now() + clockSlack;
      const stop = late && record.stop === Stop.NONE && record.finishedAt === 0 ? Stop.DEADLINE : record.stop;
      const ends = tickets.flatMap((ticket) => endOf(ticket, record));
      const progress = settle(plan.graph, record.members, stop, ends);
      if (progress.changed || progress.stop !== record.stop) {
        const next = this.#next(record, plan, progress, tickets);
        if ((await this.parts.flows.write(next, seq, false)) === undefined) continue;
        return this.#follow(next, plan, whole || next.stop !== record.stop, tickets);
      }
      return this.#follow(record, plan, whole, tickets);
    }
    throw new Refusal("STORE_UNAVAILABLE", `the flow ${flow} is being changed by many at once`, {
      retryAfter: 200,
    });
  }

  #next(
    record: FlowRecord,
    plan: FlowPlan,
    { members, failed, stop }: Progress,
    tickets: readonly Pick<FlowTicket, "member" | "end">[],
  ): FlowRecord {
    const next: FlowRecord = { ...record, members, stop };
    if (failed !== undefined && record.failedMember === 0) {
      next.failedMember = failed + 1;
      next.failure = tickets.find(({ member }) => member === failed)?.end?.failure;
    }
    if (flowStateOf(members, plan.graph.onFailure, stop) !== "RUNNING")
      next.finishedAt = this.parts.clock.now();
    return next;
  }

  /** What the record says is done to the jobs. With `whole` all members that have not ended are looked at, else those
   *  that depend on one that did. */
  async #follow(
    record: FlowRecord,
    plan: FlowPlan,
    whole: boolean,
    tickets: readonly Pick<FlowTicket, "member" | "end">[],
  ): Promise<void> {
    const { members } = record;
    const touched = new Set<number>();
    if (whole) for (let i = 0; i < members.length; i++) touched.add(i);
    else
      for (const { member, end } of tickets) {
        if (member === undefined) continue;
        addDependents(plan, members, member, touched);
        // It had not heard of the redrive when it ended: it is to run again.
        if (end !== undefined && end.run < record.run) touched.add(member);
      }
    const concerned = [...touched].filter(
      (i) => !hasMemberEnded(members[i]) || members[i] === MemberStatus.SKIPPED,
    );
    for (let i = 0; i < concerned.length; i += changedAtOnce) {
      const some = concerned.slice(i, i + changedAtOnce);
      await this.#bring(record, plan, some);
    }
  }

  /** Brings jobs to where their flow has them. One that moves meanwhile is looked at again, by what the flow says then:
   *  another broker may have acted upon an older record than this. */
  async #bring(record: FlowRecord, plan: FlowPlan, some: readonly number[]): Promise<void> {
    let [now, left] = [record, some];
    for (let attempt = 0; attempt < attempts; attempt++) {
      const refs = left.map((i) => plan.entries[i] as JobRef);
      const known: (Known | undefined)[] = [];
      for (let i = 0; i < refs.length; i += readAtOnce) {
        for (const { current, last } of await this.parts.jobs.read(refs.slice(i, i + readAtOnce))) {
          known.push(current === undefined ? undefined : { stored: current, last });
        }
      }
      const done = await Promise.allSettled(
        left.map((member, n) => this.#bringOne(now, member, refs[n] as JobRef, known[n])),
      );
      for (const outcome of done) if (outcome.status === "rejected") throw outcome.reason;
      left = left.filter((_, n) => {
        const outcome = done[n];
        return outcome?.status === "fulfilled" && outcome.value === "moved";
      });
      if (left.length === 0) return;
      const found = await this.parts.flows.read(record.key);
      if (found === undefined || found.record.submittedAt !== record.submittedAt) return;
      now = found.record;
    }
    throw new Refusal("STORE_UNAVAILABLE", `members of the flow ${record.key} are being changed by many`, {
      retryAfter: 200,
    });
  }

  async #bringOne(
    record: FlowRecord,
    member: number,
    ref: JobRef,
    known: Known | undefined,
  ): Promise<"there" | "moved"> {
    const { flow } = known === undefined ? {} : specOf(known.stored.job);
    if (known === undefined || flow?.flow !== record.key) return "there";
    // The flow was redriven since this record was read: what it says of the job holds no more.
    const isLater = ({ job }: Stored) => (specOf(job).flow?.run ?? 0) > record.run;
    if (isLater(known.stored)) return "there";
    const status = record.members[member];
    const state = stateOf(known.stored);
    try {
      if (hasEnded(state)) {
        // Of an earlier run: the flow was redriven, and this member is to run again. A success stays one, as its ticket says.
        if (hasMemberEnded(status) || flow.run >= record.run || state === "SUCCEEDED") return "there";
        const blocked = status === MemberStatus.BLOCKED;
        await this.parts.ledger.change(ref, known, { type: "rejoin", run: record.run, blocked }, unmoved);
      } else if (status === MemberStatus.SKIPPED) {
        const reason = "a member of its flow that it depends on did not succeed";
        await this.parts.cancel.cancel(ref, reason, false, isLater);
      } else if (record.stop !== Stop.NONE) {
        await this.parts.cancel.cancel(ref, reasonOf(record), record.stop === Stop.FAILED, isLater);
      } else if (status === MemberStatus.OPEN && standingOf(known.stored) === "blocked") {
        await this.parts.ledger.change(ref, known, { type: "unblock", run: record.run }, unmoved);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.reason === "LEASE_LOST") return "moved";
      if (error.reason !== "JOB_NOT_FOUND") throw error;
    }
    return "there";
  }

  /** For a flow whose tickets may be lost (a queue was purged, a record could not be read): asks the jobs themselves. */
  async heal(record: FlowRecord): Promise<void> {
    const plan = await this.parts.graphs.of(record);
    const open = [...record.members.keys()].filter((i) => !hasMemberEnded(record.members[i]));
    const ends: { member: number; end: FlowEnd; deadline: false }[] = [];
    let behind = false;
    for (let i = 0; i < open.length; i += readAtOnce) {
      const some = open.slice(i, i + readAtOnce);
      const snapshots = await this.parts.jobs.read(some.map((member) => plan.entries[member] as JobRef));
      const gone = some.filter((_, n) => snapshots[n]?.current === undefined);
      const told =
        gone.length === 0 ? new Map<number, FlowEnd>() : await this.parts.flows.ends(record.key, gone);
      for (const [n, member] of some.entries()) {
        const current = snapshots[n]?.current;
        const end = current === undefined ? goneEnd(told.get(member), record) : lostEnd(current, record);
        if (end !== undefined) ends.push({ member, end, deadline: false });
        behind ||= end === undefined && current !== undefined && isBehind(current, record.members[member]);
      }
    }
    const late = record.deadline > 0 && record.deadline <= this.parts.clock.now();
    if (ends.length > 0 || late || behind) {
      await this.step(record.key, [...ends, { member: undefined, end: undefined, deadline: late }]);
    }
  }
}

/** What a job says of itself that its flow has not heard. */
function lostEnd(current: Stored, record: FlowRecord): FlowEnd | undefined {
  const jobId = `${specOf(current.job).task}~${specOf(current.job).key}`;
  const state = stateOf(current);
  if (!hasEnded(state)) return undefined;
  const run = specOf(current.job).flow?.run;
  // A member that waits to be begun again by a redrive; what cannot be read has no flow and no run.
  if (run !== undefined && run < record.run && state !== "SUCCEEDED") return undefined;
  const { result, failure } = current.job;
  return { jobId, outcome: state.toLowerCase(), result, failure, run: record.run };
}

/** A member of which there is no record any more ended as it told its flow, for as long as that is kept. One that told
 *  nothing was removed while it waited, as by a purge of its queue. */
function goneEnd(told: FlowEnd | undefined, record: FlowRecord): FlowEnd {
  if (told !== undefined && told.run === record.run) return told;
  return { jobId: "", outcome: "cancelled", result: undefined, failure: undefined, run: record.run };
}

/** A job that waits although its flow has opened it, or that has not begun again although its flow was redriven. */
function isBehind(current: Stored, status: number | undefined): boolean {
  return hasEnded(stateOf(current)) || (status === MemberStatus.OPEN && standingOf(current) === "blocked");
}

function endOf({ member, end }: Pick<FlowTicket, "member" | "end">, record: FlowRecord): End[] {
  if (member === undefined || end === undefined) return [];
  // One of a run before the flow was redriven: what did not succeed then runs again.
  if (end.run !== record.run && end.outcome !== "succeeded") return [];
  const status =
    end.outcome === "succeeded"
      ? MemberStatus.SUCCEEDED
      : end.outcome === "failed"
        ? MemberStatus.FAILED
        : MemberStatus.CANCELLED;
  return [{ member, status }];
}

/** Those that depend on a member, and through what is skipped theirs. */
function addDependents({ graph }: FlowPlan, members: Uint8Array, member: number, into: Set<number>): void {
  const open = [member];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const child of graph.children[next] ?? []) {
      if (into.has(child)) continue;
      into.add(child);
      if (members[child] === MemberStatus.SKIPPED) open.push(child);
    }
  }
}

function reasonOf(record: FlowRecord): string {
  if (record.stop === Stop.CANCELLED) return record.stopReason;
  return record.stop === Stop.DEADLINE ? "its flow is over its deadline" : "its flow has failed";
}
