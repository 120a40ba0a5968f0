// Flows: submitted as a whole, cancelled and redriven. All members are stored blocked first; the flow's record,
// written together with a ticket for the flow itself, is the moment from which it exists, whatever the number of
// members and their shards. What a crash leaves before that moment runs nothing, and a repeated submit finishes it or a
// sweep removes it.

import { Refusal } from "../core/errors.js";
import { begun, graphOf, hasMemberEnded, redriven, Stop } from "../core/flow.js";
import type { FlowSpec } from "../core/flow-spec.js";
import { type JobRef, type Spec, type Stored, stateOf } from "../core/job.js";
import { flowLimits } from "../core/limits.js";
import { jobId, makeKey } from "../core/names.js";
import type { Cancel } from "./cancel.js";
import { isPassing } from "./fences.js";
import type { FlowView } from "./flow-api.js";
import type { FlowGraphs } from "./flow-graphs.js";
import type { FlowRecord, Flows } from "./flow-ports.js";
import { type FlowReads, viewOf } from "./flow-reads.js";
import type { FlowSteps } from "./flow-steps.js";
import type { Intake } from "./intake.js";
import type { Ledger } from "./ledger.js";
import type { Clock, Jobs, StorageGauge } from "./ports.js";
import type { Log, Telemetry } from "./telemetry.js";

const attempts = 20;
/** Submitters of one flow that meet take it from one another: each next try waits up to twice as long, ms, by chance. */
const firstRest = 25;
const longestRest = 3_000;
const storedAtOnce = 1_000;
const readAtOnce = 200;

export interface FlowControlParts {
  flows: Flows;
  reads: Pick<FlowReads, "found">;
  graphs: FlowGraphs;
  steps: FlowSteps;
  cancel: Pick<Cancel, "cancel">;
  intake: Pick<Intake, "create">;
  ledger: Pick<Ledger, "forget">;
  jobs: Pick<Jobs, "read">;
  storage: StorageGauge;
  clock: Clock;
  telemetry: Telemetry;
  log: Log;
  randomBytes: (n: number) => Uint8Array;
  digest: (content: readonly (string | Uint8Array)[]) => Uint8Array;
}

export class FlowControl {
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly parts: FlowControlParts) {}

  start(every = 60_000): void {
    this.#timer = setInterval(() => {
      this.sweep().catch((error: unknown) =>
        this.parts.log.warn({ error: String(error) }, "sweeping flows failed"),
      );
    }, every);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async submit(flow: FlowSpec): Promise<{ key: string; deduplicated: boolean; jobIds: string[] }> {
    if (this.parts.storage.full) {
      throw new Refusal("STORAGE_FULL", "the store is above its high-water mark", { retryAfter: 5_000 });
    }
    const now = this.parts.clock.now();
    const key = flow.key === "" ? makeKey(now, this.parts.randomBytes(10)) : flow.key;
    const specs = flow.members.map(
      (member, i): Spec => ({
        ...member.spec,
        key: member.spec.key === "" ? `${key}.${i}` : member.spec.key,
        submittedAt: now,
        flow: {
          flow: key,
          member: i,
          dependents: [],
          onFailure: member.onFailure,
          delay: member.delay,
          dependsOn: [...member.dependsOn],
          run: 0,
        },
      }),
    );
    const graph = graphOf(flow.members);
    const draft: FlowRecord = {
      key,
      name: flow.name,
      labels: flow.labels,
      submittedAt: now,
      deadline: flow.deadline,
      finishedAt: 0,
      preparing: true,
      digest: this.parts.digest(contentOf(flow)),
      parts: 0,
      members: begun(graph),
      run: 0,
      stop: Stop.NONE,
      stopReason: "",
      failedMember: 0,
      failure: undefined,
      nonce: "",
      lastMembers: graph.children.flatMap((children, i) => (children.length === 0 ? [i] : [])),
    };
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (attempt > 0) await this.#rest(attempt);
      const there = await this.parts.flows.read(key);
      if (there !== undefined && !there.record.preparing) return this.#known(there.record);
      // Left by a crash, or somebody stores it right now: either way it is taken over, and only one gets to commit it.
      if (there !== undefined && !equal(there.record.digest, draft.digest)) {
        await this.#undo(there.record);
        continue;
      }
      const claimed = await this.parts.flows.write(draft, there?.seq ?? 0, false);
      if (claimed === undefined) continue;
      const entries = flow.members.map(({ name, dependsOn, onFailure }, i) => ({
        task: specs[i]?.task ?? "",
        key: specs[i]?.key ?? "",
        name,
        dependsOn: [...dependsOn],
        onFailure,
      }));
      const parts = await this.parts.flows.writeMembers(key, entries);
      const listed = await this.parts.flows.write({ ...draft, parts }, claimed, false);
      if (listed === undefined) continue;
      try {
        await this.#storeMembers(specs);
      } catch (error) {
        if (error instanceof Refusal && error.reason === "JOB_EXISTS") await this.#undo({ ...draft, parts });
        throw error;
      }
      const committed = await this.parts.flows.write({ ...draft, parts, preparing: false }, listed, true);
      if (committed === undefined) continue;
      return { key, deduplicated: false, jobIds: specs.map((spec) => jobId(spec)) };
    }
    throw new Refusal("STORE_UNAVAILABLE", `the flow ${key} is being submitted by many at once`, {
      retryAfter: 500,
    });
  }

  async #rest(attempt: number): Promise<void> {
    const share = (this.parts.randomBytes(1)[0] ?? 0) / 255;
    const ms = share * Math.min(longestRest, firstRest * 2 ** attempt);
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async cancel(key: string, reason: string) {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const { record, seq } = await this.parts.reads.found(key);
      const view = viewOf(record);
      if (view.state !== "RUNNING") return { cancelled: 0, requested: 0, alreadyFinished: true };
      // With its ticket: whatever becomes of this broker, the wish is carried out.
      const next = { ...record, stop: Stop.CANCELLED, stopReason: reason };
      if ((await this.parts.flows.write(next, seq, true)) === undefined) continue;
      await this.parts.steps.step(key, [{ member: undefined, end: undefined, deadline: false }]);
      const plan = await this.parts.graphs.of(record);
      const open = [...record.members.keys()].filter((i) => !hasMemberEnded(record.members[i]));
      const after = await this.parts.jobs.read(open.map((i) => plan.entries[i] as JobRef));
      const left = after.filter(
        ({ current }) => current !== undefined && current.job.finishedAt === 0,
      ).length;
      return { cancelled: open.length - left, requested: left, alreadyFinished: false };
    }
    throw busy(key);
  }

  async redrive(key: string): Promise<{ flow: FlowView; redriven: number }> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const { record, seq } = await this.parts.reads.found(key);
      const { state } = viewOf(record);
      if (state !== "FAILED" && state !== "CANCELLED") {
        throw new Refusal(
          "NOT_FAILED",
          `the flow ${key} is ${state}: only one that FAILED or was CANCELLED can be redriven`,
        );
      }
      const { graph } = await this.parts.graphs.of(record);
      const { members, again } = redriven(graph, record.members);
      const next: FlowRecord = {
        ...record,
        members,
        run: record.run + 1,
        stop: Stop.NONE,
        stopReason: "",
        failedMember: 0,
        failure: undefined,
        // Whoever redrives a flow that came too late wants it run all the same.
        deadline: record.deadline > this.parts.clock.now() ? record.deadline : 0,
        finishedAt: 0,
      };
      if ((await this.parts.flows.write(next, seq, true)) !== undefined)
        return { flow: viewOf(next), redriven: again.length };
    }
    throw busy(key);
  }

  /** What crashes left, what has aged out, and what is not moved on by any ticket. */
  async sweep(now = this.parts.clock.now()): Promise<void> {
    for (const record of await this.parts.flows.list()) {
      const { state } = viewOf(record);
      if (record.preparing) {
        if (now - record.submittedAt > flowLimits.abandoned) await this.#undo(record);
      } else if (state === "RUNNING") {
        await this.parts.steps.heal(record);
      } else {
        const keep = state === "SUCCEEDED" ? flowLimits.keepEnded : flowLimits.keepFailed;
        if (now - record.finishedAt > keep) await this.parts.flows.remove(record.key);
      }
    }
  }

  async #storeMembers(specs: readonly Spec[]): Promise<void> {
    for (let i = 0; i < specs.length; i += storedAtOnce) {
      const stored = await Promise.allSettled(
        specs.slice(i, i + storedAtOnce).map((spec, n) => this.#store(spec, i + n)),
      );
      for (const outcome of stored) if (outcome.status === "rejected") throw outcome.reason;
    }
  }

  async #store(spec: Spec, member: number): Promise<void> {
    const made = await this.parts.intake.create(spec, true);
    if (made.created) {
      this.parts.telemetry.submitted(spec);
      this.parts.telemetry.traces?.stored(spec, this.parts.clock.now());
      return;
    }
    const { current } = made.existing;
    // Stored by an earlier try of this very flow.
    if (current?.phase === "blocked" && current.job.spec?.flow?.flow === spec.flow?.flow) return;
    const id = jobId(spec);
    throw new Refusal("JOB_EXISTS", `member ${member}: there is a job ${id} already, outside of this flow`, {
      metadata: { id, member: String(member) },
    });
  }

  /** Removes a flow that never came to be. */
  async #undo(record: FlowRecord): Promise<void> {
    const entries = await this.parts.flows.members(record.key, record.parts);
    for (let i = 0; i < entries.length; i += readAtOnce) {
      const some = entries.slice(i, i + readAtOnce);
      const snapshots = await this.parts.jobs.read(some);
      await Promise.all(some.map((ref, n) => this.#withdraw(ref, snapshots[n]?.current, record.key)));
    }
    await this.parts.flows.remove(record.key);
  }

  /** Its record goes as well: as long as that lay there, no flow could be submitted under the same key. */
  async #withdraw(ref: JobRef, current: Stored | undefined, flow: string): Promise<void> {
    if (current?.job.spec?.flow?.flow !== flow || !isUntouched(current)) return;
    try {
      if (current.phase === "blocked")
        await this.parts.cancel.cancel(ref, "its flow was not submitted as a whole");
      await this.parts.ledger.forget(ref);
    } catch (error) {
      // Somebody else was faster, with the same.
      if (!(error instanceof Refusal) || isPassing(error)) throw error;
    }
  }

  async #known(record: FlowRecord) {
    const { entries } = await this.parts.graphs.of(record);
    return { key: record.key, deduplicated: true, jobIds: entries.map((entry) => jobId(entry)) };
  }
}

/** What a flow is told from another of the same key by. */
function contentOf(flow: FlowSpec): (string | Uint8Array)[] {
  return flow.members.flatMap(({ spec, dependsOn, onFailure, name, delay }) => [
    JSON.stringify([spec.task, spec.key, dependsOn, onFailure, name, delay, spec.queue, spec.priority]),
    spec.payload?.data ?? "",
  ]);
}

/** A member that waits for its flow to begin, or that was cancelled while it did. */
function isUntouched(member: Stored): boolean {
  return member.phase === "blocked" || (stateOf(member) === "CANCELLED" && member.job.attempt === 0);
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function busy(key: string): Refusal {
  return new Refusal("STORE_UNAVAILABLE", `the flow ${key} is being changed by many at once`, {
    retryAfter: 200,
  });
}
