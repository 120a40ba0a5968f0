// Gathers what is known of a job that does not run, here and at the other brokers; what follows from it core/explain.ts
// says.

import { jobNotFound } from "../core/errors.js";
import { type Explanation, explain, type Facts } from "../core/explain.js";
import { hasMemberEnded } from "../core/flow.js";
import { type FlowMembership, hasEnded, type JobRef, type Stored, specOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import type { Dispatcher } from "./dispatcher.js";
import type { FlowGraphs } from "./flow-graphs.js";
import type { Flows } from "./flow-ports.js";
import type { KeyPlaces } from "./key-places.js";
import type { LimitControl } from "./limits.js";
import type { Clock, LaneKey, Peers } from "./ports.js";
import type { QueueSettings, Queues } from "./queue-ports.js";
import type { Reader } from "./reader.js";

interface Rivals extends LaneKey {
  /** Tickets that nobody has fetched. */
  ready: number;
}

type Served = ReturnType<Dispatcher["serving"]>;
interface Asked {
  task: string;
  queue: string;
  rivals: string[];
}

export interface ExplainParts {
  reader: Pick<Reader, "status">;
  settings: { settingsOf(queue: string): QueueSettings | undefined };
  queues: Pick<Queues, "lanes" | "from">;
  limits: Pick<LimitControl, "holdingFor">;
  flows: Pick<Flows, "read">;
  graphs: FlowGraphs;
  keys: Pick<KeyPlaces, "standing">;
  dispatcher: Pick<Dispatcher, "serving">;
  peers: Peers;
  clock: Clock;
}

export class Explain {
  constructor(readonly parts: ExplainParts) {
    parts.peers.answer("serving", (body) => {
      const { task, queue, rivals } = body as Asked;
      return this.parts.dispatcher.serving(task, queue, rivals);
    });
  }

  /** @throws Refusal JOB_NOT_FOUND, STORE_UNAVAILABLE */
  async explain(ref: JobRef): Promise<Explanation> {
    const [view] = await this.parts.reader.status([ref], false);
    if (view === undefined) throw jobNotFound(jobId(ref));
    const { stored, state } = view;
    const { task, startBy } = specOf(stored.job);
    const { queue } = stored;
    const settings = this.parts.settings.settingsOf(queue);
    const now = this.parts.clock.now();
    const known = {
      id: jobId(ref),
      state,
      task,
      queue,
      now,
      dueAt: stored.phase === "later" ? stored.job.dueAt : 0,
      startBy: stored.job.history.length === 0 ? startBy : 0,
      paused: settings !== undefined && (settings.paused || settings.restUntil > now),
    };
    if (state === "RUNNING" || hasEnded(state)) return explain({ ...known, ...unasked });
    const [limits, line, parents, place] = await Promise.all([
      this.parts.limits.holdingFor(task, queue),
      this.#line(stored, state === "READY"),
      this.#parents(stored),
      this.parts.keys.standing(stored),
    ]);
    return explain({ ...known, ...limits, ...line, parents, place });
  }

  /** Who serves the job, and which jobs come before it. */
  async #line(stored: Stored, stands: boolean): Promise<Pick<Facts, "workers" | "ahead">> {
    const { task } = specOf(stored.job);
    const { queue, priority } = stored;
    const lanes: Rivals[] = stands
      ? (await this.parts.queues.lanes())
          .map(({ key, ready }) => ({ ...key, ready }))
          .filter((lane) => lane.queue === queue && lane.priority >= priority && lane.ready > 0)
      : [];
    const rivals = [...new Set(lanes.map((lane) => lane.task))].filter((rival) => rival !== task);
    const { answers } = await this.parts.peers.ask("serving", { task, queue, rivals } satisfies Asked);
    const served = answers.map(({ body }) => body as Served);
    const workers = {
      serving: served.reduce((sum, each) => sum + each.serving, 0),
      free: served.reduce((sum, each) => sum + each.free, 0),
    };
    // A lane that none of its workers serves keeps none of them from it.
    const shared = new Set(served.flatMap((each) => each.rivals));
    const others = lanes.filter((lane) => workers.serving === 0 || shared.has(lane.task));
    const own = lanes.filter((lane) => lane.task === task);
    const before = stands ? await this.#beforeInLane(stored, own) : 0;
    const ofTask = before + sum(own.filter((lane) => lane.priority > priority).map(({ ready }) => ready));
    const ofOthers = others
      .filter((lane) => lane.task !== task)
      // Tasks of one priority take turns.
      .map(({ priority: other, ready }) => (other > priority ? ready : Math.min(ready, before)));
    return { workers, ahead: { ofTask, all: ofTask + sum(ofOthers) } };
  }

  /** Tickets of its own lane that were there earlier; none when its ticket has been fetched. */
  async #beforeInLane({ queue, priority, seq, job }: Stored, own: readonly Rivals[]): Promise<number> {
    const lane = own.find((each) => each.priority === priority);
    if (lane === undefined) return 0;
    const since = await this.parts.queues.from({ task: specOf(job).task, queue, priority }, seq);
    return Math.max(0, lane.ready - since);
  }

  async #parents({ job, phase }: Stored): Promise<string[]> {
    const { flow } = specOf(job);
    return flow === undefined || phase !== "blocked" || job.parked ? [] : this.#openParents(flow);
  }

  async #openParents({ flow, dependsOn }: FlowMembership): Promise<string[]> {
    const found = await this.parts.flows.read(flow);
    if (found === undefined) return [];
    const { entries } = await this.parts.graphs.of(found.record);
    return dependsOn
      .filter((member) => !hasMemberEnded(found.record.members[member]))
      .flatMap((member) => {
        const entry = entries[member];
        return entry === undefined ? [] : [jobId(entry)];
      });
  }
}

/** Of a job that does not wait nothing else has to be known. */
const unasked = {
  workers: { serving: 0, free: 0 },
  ahead: { all: 0, ofTask: 0 },
  rates: [],
  concurrency: [],
  place: undefined,
  parents: [],
} as const satisfies Partial<Facts>;

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
