// Why a job is not running, in the words of the contract.

import { toDate } from "@drover/proto/sdk/time";
import { type ExplainResponse, ObstacleKind as WireObstacleKind } from "@drover/proto/v1/job_service";
import { type JobState, jobState } from "./job.js";

export type ObstacleKind =
  /** It waits for its time (`until`). */
  | "NOT_DUE"
  /** Its queue is paused, or rests for a purge. */
  | "QUEUE_PAUSED"
  /** No worker that is attached serves its task in its queue. */
  | "NO_WORKER"
  /** Workers serve it, all of them are full. */
  | "WORKERS_BUSY"
  /** `count` jobs come before it in its queue. */
  | "BEHIND_OTHERS"
  /** A rate limit of its task or queue (`subject`) leaves it no start before `until`. */
  | "RATE_LIMIT"
  /** A concurrency limit of its task or queue (`subject`) is used up. */
  | "CONCURRENCY_LIMIT"
  /** As many jobs of its concurrency key (`subject`) run as may, and `count` wait before it. */
  | "CONCURRENCY_KEY"
  /** Members of its flow (`jobs`, `count` in all) have to end first. */
  | "DEPENDENCIES"
  | "UNSPECIFIED";

export interface Obstacle {
  readonly kind: ObstacleKind;
  /** For people. */
  readonly detail: string;
  readonly subject: string;
  readonly count: number;
  readonly until: Date | undefined;
  /** At most 100 job ids. */
  readonly jobs: readonly string[];
}

export interface Explanation {
  readonly state: JobState;
  /** All that stands in its way, the gravest first. */
  readonly obstacles: readonly Obstacle[];
  /** When it can start at the earliest, as far as that can be known. */
  readonly earliestStart: Date | undefined;
  /** The same in a sentence. */
  readonly summary: string;
}

export function explanation(answer: ExplainResponse): Explanation {
  return {
    state: jobState(answer.state),
    obstacles: answer.obstacles.map(({ kind, detail, subject, count, until, jobs }) => ({
      kind: kindOf(kind),
      detail,
      subject,
      count,
      until: toDate(until),
      jobs,
    })),
    earliestStart: toDate(answer.earliestStart),
    summary: answer.summary,
  };
}

function kindOf(kind: WireObstacleKind): ObstacleKind {
  return (WireObstacleKind[kind]?.slice("OBSTACLE_KIND_".length) ?? "UNSPECIFIED") as ObstacleKind;
}
