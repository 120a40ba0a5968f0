// Explanations: domain -> wire.

import { type ExplainResponse, ObstacleKind as WireKind } from "@drover/proto/v1";
import type { Explanation, ObstacleKind } from "../core/explain.js";
import { toWireState } from "./convert-job.js";
import { toTimestamp, toTimestampOrUnset } from "./time.js";

const kinds: Readonly<Record<ObstacleKind, WireKind>> = {
  NOT_DUE: WireKind.OBSTACLE_KIND_NOT_DUE,
  QUEUE_PAUSED: WireKind.OBSTACLE_KIND_QUEUE_PAUSED,
  NO_WORKER: WireKind.OBSTACLE_KIND_NO_WORKER,
  WORKERS_BUSY: WireKind.OBSTACLE_KIND_WORKERS_BUSY,
  BEHIND_OTHERS: WireKind.OBSTACLE_KIND_BEHIND_OTHERS,
  RATE_LIMIT: WireKind.OBSTACLE_KIND_RATE_LIMIT,
  CONCURRENCY_LIMIT: WireKind.OBSTACLE_KIND_CONCURRENCY_LIMIT,
  CONCURRENCY_KEY: WireKind.OBSTACLE_KIND_CONCURRENCY_KEY,
  DEPENDENCIES: WireKind.OBSTACLE_KIND_DEPENDENCIES,
};

export function toExplanation({ state, obstacles, earliestStart, summary }: Explanation): ExplainResponse {
  return {
    state: toWireState(state),
    obstacles: obstacles.map(({ kind, detail, subject, count, until, jobs }) => ({
      kind: kinds[kind],
      detail,
      subject,
      count,
      until: toTimestampOrUnset(until),
      jobs: [...jobs],
    })),
    earliestStart: earliestStart === undefined ? undefined : toTimestamp(earliestStart),
    summary,
  };
}
