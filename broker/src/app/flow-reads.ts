// What is stored of flows, read: their records and members, what a member is given by those it depends on, and every
// change of a flow as it comes. While a flow is still being stored it is not there.

import { flowNotFound, invalid, jobNotFound } from "../core/errors.js";
import { countsOf, hasMemberEnded, Stop } from "../core/flow.js";
import { type JobRef, type Spec, specOf } from "../core/job.js";
import { flowLimits } from "../core/limits.js";
import { jobId } from "../core/names.js";
import type { FlowInput, FlowMemberView, FlowView } from "./flow-api.js";
import type { FlowGraphs } from "./flow-graphs.js";
import type { FlowEnd, FlowRecord, Flows } from "./flow-ports.js";
import type { Jobs } from "./ports.js";

const slowLook = 5_000;
/** Between two answers of a watch, ms. */
const watchPause = 50;
const endsAtOnce = 200;
/** Bytes that an input takes at the least. */
const leastInput = 64;
const missing: FlowEnd = { jobId: "", outcome: "", result: undefined, failure: undefined, run: 0 };

export class FlowReads {
  constructor(
    readonly flows: Pick<Flows, "read" | "list" | "ends" | "watch">,
    readonly graphs: FlowGraphs,
    readonly jobs: Pick<Jobs, "read">,
  ) {}

  /** With the sequence for its next change. @throws Refusal FLOW_NOT_FOUND */
  async found(key: string): Promise<{ record: FlowRecord; seq: number }> {
    const found = await this.flows.read(key);
    if (found === undefined || found.record.preparing) throw flowNotFound(key);
    return found;
  }

  async get(key: string): Promise<FlowView> {
    return viewOf((await this.found(key)).record);
  }

  async members(
    key: string,
    from: number,
    count: number,
    options: { results: boolean; lastOnly: boolean },
  ): Promise<{ flow: FlowView; members: FlowMemberView[]; next: number }> {
    const { record } = await this.found(key);
    const { entries } = await this.graphs.of(record);
    const all = options.lastOnly ? record.lastMembers : [...entries.keys()];
    const positions = all.filter((i) => i >= from).slice(0, count);
    const views: FlowMemberView[] = [];
    let bytes = 0;
    let cut: number | undefined;
    for (let n = 0; n < positions.length && cut === undefined; n += endsAtOnce) {
      const some = positions.slice(n, n + endsAtOnce);
      const ends = options.results ? await this.flows.ends(key, some) : new Map<number, FlowEnd>();
      for (const i of some) {
        const entry = entries[i];
        if (entry === undefined) continue;
        const end = hasMemberEnded(record.members[i]) ? ends.get(i) : undefined;
        bytes += bytesOf(end) + entry.name.length + entry.dependsOn.length * 3 + 256;
        if (bytes > flowLimits.page && views.length > 0) {
          cut = i;
          break;
        }
        const status = record.members[i] ?? 0;
        views.push({ ...entry, member: i, status, result: end?.result, failure: end?.failure });
      }
    }
    const next = cut ?? all.find((i) => i > (positions.at(-1) ?? Number.POSITIVE_INFINITY)) ?? 0;
    return { flow: viewOf(record), members: views, next };
  }

  async list(query: {
    state: FlowView["state"] | undefined;
    name: string;
    pageSize: number;
    pageToken: string;
  }): Promise<{ flows: FlowView[]; nextPageToken: string }> {
    const from = parsePageToken(query.pageToken);
    const all = (await this.flows.list()).filter((record) => !record.preparing).map(viewOf);
    const fitting = all
      .filter(({ state }) => query.state === undefined || state === query.state)
      .filter(({ record }) => query.name === "" || record.name === query.name)
      .sort((a, b) => b.record.submittedAt - a.record.submittedAt || (a.record.key < b.record.key ? -1 : 1))
      .filter(({ record }) => from === undefined || isAfter(record, from));
    const flows = fitting.slice(0, query.pageSize);
    const last = flows.at(-1)?.record;
    const more = fitting.length > flows.length && last !== undefined;
    return { flows, nextPageToken: more ? `${last.submittedAt}-${last.key}` : "" };
  }

  async *watch(key: string, gone: AbortSignal): AsyncIterable<FlowView> {
    let wake: (() => void) | undefined;
    let rung = false;
    const ring = () => {
      rung = true;
      wake?.();
    };
    const stop = this.flows.watch(key, ring);
    gone.addEventListener("abort", ring);
    try {
      let told = "";
      while (!gone.aborted) {
        const found = await this.flows.read(key);
        if (found === undefined || found.record.preparing) {
          if (told === "") throw flowNotFound(key);
          return;
        }
        const view = viewOf(found.record);
        if (found.record.nonce !== told) {
          told = found.record.nonce;
          yield view;
          if (view.state !== "RUNNING") return;
        }
        // A hint may be early: what it announces is read a little later, together with what follows it.
        await new Promise((resolve) => setTimeout(resolve, watchPause));
        if (!rung && !gone.aborted) {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, slowLook);
            wake = () => {
              clearTimeout(timer);
              resolve();
            };
          });
          wake = undefined;
          if (rung) await new Promise((resolve) => setTimeout(resolve, watchPause));
        }
        rung = false;
      }
    } finally {
      stop();
      gone.removeEventListener("abort", ring);
    }
  }

  /** A page of what the members that a job depends on came to. */
  async inputs(ref: JobRef, from: number, count: number): Promise<{ inputs: FlowInput[]; next: number }> {
    const [snapshot] = await this.jobs.read([ref]);
    if (snapshot?.current === undefined) throw jobNotFound(jobId(ref));
    const { flow } = specOf(snapshot.current.job);
    if (flow === undefined) return { inputs: [], next: 0 };
    return this.#inputs(flow.flow, flow.dependsOn, from, count, flowLimits.page);
  }

  /** All inputs of a member, unless they are more than goes with a lease. */
  async inlineInputs(spec: Spec): Promise<FlowInput[]> {
    const { flow } = spec;
    if (flow === undefined || flow.dependsOn.length > flowLimits.inlineInputs / leastInput) return [];
    const { inputs, next } = await this.#inputs(
      flow.flow,
      flow.dependsOn,
      0,
      flow.dependsOn.length,
      flowLimits.inlineInputs,
    );
    const bytes = inputs.reduce((sum, input) => sum + bytesOf(input.end), 0);
    return next > 0 || bytes > flowLimits.inlineInputs ? [] : inputs;
  }

  async #inputs(flow: string, parents: readonly number[], from: number, count: number, most: number) {
    const inputs: FlowInput[] = [];
    const until = Math.min(parents.length, from + count);
    let bytes = 0;
    for (let i = from; i < until; i += endsAtOnce) {
      const some = parents.slice(i, Math.min(until, i + endsAtOnce));
      const ends = await this.flows.ends(flow, some);
      for (const [n, member] of some.entries()) {
        const end = ends.get(member) ?? missing;
        bytes += bytesOf(end);
        if (bytes > most && inputs.length > 0) return { inputs, next: i + n };
        inputs.push({ member, end });
      }
    }
    return { inputs, next: until < parents.length ? until : 0 };
  }
}

function bytesOf(end: FlowEnd | undefined): number {
  if (end === undefined) return 0;
  const { result, failure } = end;
  return (
    leastInput +
    end.jobId.length +
    (result?.data.length ?? 0) +
    (failure === undefined ? 0 : failure.message.length + failure.stack.length + failure.type.length)
  );
}

export function viewOf(record: FlowRecord): FlowView {
  // While it is not over it runs; how it ended was settled by the policies when the last member did.
  const state =
    record.finishedAt === 0
      ? "RUNNING"
      : record.stop === Stop.CANCELLED
        ? "CANCELLED"
        : record.stop !== Stop.NONE || record.failedMember > 0
          ? "FAILED"
          : "SUCCEEDED";
  return { record, state, counts: countsOf(record.members) };
}

function isAfter(record: FlowRecord, from: { submittedAt: number; key: string }): boolean {
  return (
    record.submittedAt < from.submittedAt ||
    (record.submittedAt === from.submittedAt && record.key > from.key)
  );
}

function parsePageToken(token: string): { submittedAt: number; key: string } | undefined {
  if (token === "") return undefined;
  const [, submittedAt, key] = /^(\d{1,15})-([A-Za-z0-9_.-]+)$/.exec(token) ?? [];
  if (submittedAt !== undefined && key !== undefined) return { submittedAt: Number(submittedAt), key };
  throw invalid([
    { field: "page_token", description: "not a token of List: pass next_page_token as it came" },
  ]);
}
