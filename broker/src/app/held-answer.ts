// What a broker says when it is asked who holds a job.

import type { Progress } from "../core/job.js";
import type { Holding } from "./holdings.js";

export interface HeldAnswer {
  id: string;
  worker: string;
  /** Of the worker's process; empty for a single call. */
  instance: string;
  startedAt: number;
  cancelRequested: boolean;
  /** detail in base64. */
  progress: { value?: number | undefined; detail: string; at: number } | undefined;
  /** Only waits in the broker's buffer. */
  buffered: boolean;
}

export function answerOf(holding: Holding): HeldAnswer {
  const { progress } = holding;
  return {
    id: holding.id,
    worker: holding.holder.worker,
    instance: holding.holder.instance,
    startedAt: holding.startedAt,
    cancelRequested: holding.cancelRequested,
    progress: progress && { ...progress, detail: Buffer.from(progress.detail).toString("base64") },
    buffered: false,
  };
}

export function progressIn(answer: HeldAnswer): Progress | undefined {
  return answer.progress && { ...answer.progress, detail: Buffer.from(answer.progress.detail, "base64") };
}
