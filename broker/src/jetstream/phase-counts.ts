// How many jobs are scheduled, blocked and failed now, by task and queue, for metrics. A read of a phase's first message
// tells how many there are behind it, and makes no consumer. Where a phase is empty that is the only question; else each
// line is asked for. The server counts by walking over what it counts, so looks are as far apart as they took long.

import type { NatsConnection } from "nats";
import type { Line } from "../app/telemetry.js";
import type { Phase } from "../core/job.js";
import { header, statusOf } from "./codec.js";
import type { Subjects } from "./subjects.js";

/** ms between two looks. */
const every = 10_000;
/** A look of one second is followed by a hundred of rest. */
const restFactor = 100;
const mostAtOnce = 4;
const answerWithin = 5_000;

/** As metrics call them. */
const countedPhases = { later: "scheduled", blocked: "blocked", failed: "failed" } as const;
type CountedPhase = keyof typeof countedPhases;
export type CountedState = (typeof countedPhases)[CountedPhase];

export interface LineCount {
  line: Line;
  state: CountedState;
  jobs: number;
}

/** Of jobs whose lane is gone. */
const elsewhere: Line = { task: "other", queue: "other" };

interface Parts {
  nc: Pick<NatsConnection, "request">;
  subjects: Subjects;
  lanes: { all(): readonly { key: { task: string; queue: string } }[] };
  problem(error: unknown): void;
}

export class PhaseCounts {
  #counts: readonly LineCount[] = [];
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(private readonly parts: Parts) {}

  start(): void {
    this.#next(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** As last looked; a line that has a lane is told of with 0, too. */
  all(): readonly LineCount[] {
    return this.#counts;
  }

  /** Looks once. Never fails; calls that overlap share one look. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  #next(wait: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      const started = performance.now();
      void this.look().then(() => this.#next(Math.max(every, (performance.now() - started) * restFactor)));
    }, wait).unref();
  }

  async #look(): Promise<void> {
    try {
      const lines = linesOf(this.parts.lanes.all());
      const counts: LineCount[] = [];
      for (const [phase, state] of Object.entries(countedPhases) as [CountedPhase, CountedState][]) {
        counts.push(...(await this.#countsOf(phase, state, lines)));
      }
      this.#counts = counts;
    } catch (error) {
      // What was known stays.
      this.parts.problem(error);
    }
  }

  async #countsOf(phase: CountedPhase, state: CountedState, lines: readonly Line[]): Promise<LineCount[]> {
    const { subjects } = this.parts;
    let left = 0;
    for (let shard = 0; shard < subjects.shards; shard++) left += await this.#count(shard, phase);
    if (left === 0) return lines.map((line) => ({ line, state, jobs: 0 }));
    const counts: LineCount[] = [];
    const next = lines.values();
    const reader = async () => {
      for (const line of next) {
        const jobs = await this.#count(subjects.shard(line.task), phase, line);
        counts.push({ line, state, jobs });
        left -= jobs;
      }
    };
    await Promise.all(Array.from({ length: mostAtOnce }, reader));
    if (left > 0) counts.push({ line: elsewhere, state, jobs: left });
    return counts;
  }

  async #count(shard: number, phase: Phase, line?: Line): Promise<number> {
    const { nc, subjects } = this.parts;
    const filter = subjects.phase(shard, phase, line?.task, line?.queue);
    const request = JSON.stringify({ seq: 1, next_by_subj: filter, batch: 1 });
    const subject = `$JS.API.DIRECT.GET.${subjects.stream(shard)}`;
    const answer = await nc.request(subject, request, { timeout: answerWithin });
    const status = statusOf(answer);
    if (status === 404) return 0;
    if (status !== 0) throw new Error(`a count was answered with ${status}`);
    return Number(answer.headers?.get(header.pending) ?? 0) + 1;
  }
}

/** Each task and queue once. */
function linesOf(lanes: readonly { key: Line }[]): Line[] {
  const lines = new Map<string, Line>();
  for (const { key } of lanes) lines.set(`${key.task} ${key.queue}`, { task: key.task, queue: key.queue });
  return [...lines.values()];
}
