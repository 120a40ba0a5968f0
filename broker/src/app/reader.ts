// Reading jobs: one read of the store, and for those that may be running one question to the holders, who alone know
// of short runs and of progress.

import { invalid } from "../core/errors.js";
import {
  hasEnded,
  type JobRef,
  type Phase,
  type Progress,
  type State,
  type Stored,
  specOf,
  stateOf,
} from "../core/job.js";
import { jobId } from "../core/names.js";
import type { JobQuery, JobView } from "./api.js";
import { answerOf, type HeldAnswer, progressIn } from "./held-answer.js";
import type { Holdings } from "./holdings.js";
import type { Jobs, ListPosition, Peers } from "./ports.js";

export class Reader {
  constructor(
    readonly jobs: Jobs,
    readonly peers: Peers,
    readonly holdings: Holdings,
  ) {}

  async status(refs: readonly JobRef[], includePayload: boolean): Promise<(JobView | undefined)[]> {
    const snapshots = await this.jobs.read(refs);
    return this.views(
      snapshots.map((snapshot) => snapshot.current),
      includePayload,
    );
  }

  /** The same for whoever goes on looking: of a job that this broker holds, what it knows of it will do. */
  async glance(refs: readonly JobRef[]): Promise<(JobView | undefined)[]> {
    const here = refs.map((ref) => this.holdings.get(jobId(ref)));
    const elsewhere = refs.filter((_, i) => here[i] === undefined);
    const read = elsewhere.length === 0 ? [] : await this.status(elsewhere, false);
    let next = 0;
    return Promise.all(
      here.map((holding) => {
        if (holding === undefined) return read[next++];
        return this.#view(holding.stored, new Map([[holding.id, answerOf(holding)]]), false);
      }),
    );
  }

  /** In order. */
  async views(
    stored: readonly (Stored | undefined)[],
    includePayload: boolean,
  ): Promise<(JobView | undefined)[]> {
    const doubtful = stored.filter((s): s is Stored => {
      const state = s && stateOf(s);
      return state === "READY" || state === "RUNNING";
    });
    const held = await this.#holders(doubtful.map((s) => jobId(specOf(s.job))));
    return Promise.all(
      stored.map((s) => (s === undefined ? undefined : this.#view(s, held, includePayload))),
    );
  }

  async list(query: JobQuery): Promise<{ jobs: JobView[]; nextPageToken: string }> {
    const { jobs, next } = await this.jobs.list({
      phases: phasesOf(query.state),
      task: query.task,
      queue: query.queue,
      limit: query.pageSize,
      from: parsePageToken(query.pageToken),
    });
    const views = await this.views(jobs, query.includePayload);
    return {
      jobs: views.filter(
        (view): view is JobView =>
          view !== undefined && (query.state === undefined || view.state === query.state),
      ),
      nextPageToken: next === undefined ? "" : `${next.shard}-${next.seq}`,
    };
  }

  async #view(
    stored: Stored,
    held: ReadonlyMap<string, HeldAnswer>,
    includePayload: boolean,
  ): Promise<JobView> {
    const { job } = stored;
    const state = stateOf(stored);
    const holder = held.get(jobId(specOf(job)));
    const running =
      holder !== undefined && !holder.buffered && (state === "READY" || state === "RUNNING")
        ? {
            worker: holder.worker,
            startedAt: holder.startedAt,
            progress: latest(progressIn(holder), job.progress),
          }
        : state === "RUNNING" && job.hold !== undefined
          ? { worker: job.hold.worker, startedAt: job.hold.startedAt, progress: job.progress }
          : undefined;
    return {
      stored,
      state: running === undefined ? state : "RUNNING",
      running,
      cancelRequested:
        job.cancelRequestedAt > 0 || (running !== undefined && holder?.cancelRequested === true),
      payload: includePayload ? await this.#payload(stored) : undefined,
    };
  }

  async #payload(stored: Stored) {
    const spec = specOf(stored.job);
    const { payload } = spec;
    if (payload === undefined || payload.externalSize === 0) return payload;
    const data = await this.jobs.body(spec);
    return data === undefined ? undefined : { data, type: payload.type, externalSize: 0 };
  }

  async #holders(ids: readonly string[]): Promise<Map<string, HeldAnswer>> {
    const held = new Map<string, HeldAnswer>();
    const elsewhere: string[] = [];
    for (const id of ids) {
      const here = this.holdings.get(id);
      if (here === undefined) elsewhere.push(id);
      else held.set(id, answerOf(here));
    }
    if (elsewhere.length > 0 && this.peers.all().length > 1) {
      const { answers } = await this.peers.ask("holders", { ids: elsewhere });
      for (const { body } of answers) for (const answer of body as HeldAnswer[]) held.set(answer.id, answer);
    }
    return held;
  }
}

/** A lease of single calls may have been extended through another broker than the one that holds it. */
function latest(told: Progress | undefined, stored: Progress | undefined): Progress | undefined {
  return (stored?.at ?? 0) > (told?.at ?? 0) ? stored : told;
}

/** The phases in which jobs of a state lie; none = all. */
function phasesOf(state: State | undefined): Phase[] {
  switch (state) {
    case undefined:
      return [
        "ready",
        "held-a",
        "held-b",
        "later",
        "blocked",
        "due",
        "succeeded",
        "failed",
        "cancelled",
        "kept",
      ];
    case "READY":
      return ["ready"];
    case "RUNNING":
      return ["ready", "held-a", "held-b", "due"];
    case "SCHEDULED":
    case "RETRYING":
      return ["later", "due"];
    case "BLOCKED":
      return ["blocked", "due"];
    case "SUCCEEDED":
      return ["succeeded", "kept"];
    case "FAILED":
      return ["failed", "kept"];
    case "CANCELLED":
      return ["cancelled", "kept"];
  }
}

function parsePageToken(token: string): ListPosition | undefined {
  if (token === "") return undefined;
  const [, shard, seq] = (/^(\d+)-(\d+)$/.exec(token) ?? []).map(Number);
  if (
    shard === undefined ||
    seq === undefined ||
    !Number.isSafeInteger(shard) ||
    !Number.isSafeInteger(seq) ||
    seq < 1
  ) {
    throw invalid([
      { field: "page_token", description: "not a token of List: pass next_page_token as it came" },
    ]);
  }
  return { shard, seq };
}

/** A job that has ended, of which nobody has to be asked. */
export function endedView(stored: Stored): JobView {
  const cancelRequested = stored.job.cancelRequestedAt > 0;
  return { stored, state: stateOf(stored), running: undefined, cancelRequested, payload: undefined };
}

export function ended(view: JobView | undefined): boolean {
  return view === undefined || hasEnded(view.state);
}
