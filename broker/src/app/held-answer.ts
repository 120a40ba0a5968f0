// What a broker says when it is asked who holds a job.

import type { Progress } from "../core/job.js";
import type { Holding } from "./holdings.js";

export interface ToldProgress {
  value?: number | undefined;
  /** In base64. */
  detail: string;
  /** ms. */
  at: number;
}

export interface HeldAnswer {
  id: string;
  worker: string;
  /** Of the worker's process; empty for a single call. */
  instance: string;
  startedAt: number;
  cancelRequested: boolean;
  progress: ToldProgress | undefined;
  /** Only waits in the broker's buffer. */
  buffered: boolean;
}

export function answerOf(holding: Holding): HeldAnswer {
  return {
    id: holding.id,
    worker: holding.holder.worker,
    instance: holding.holder.instance,
    startedAt: holding.startedAt,
    cancelRequested: holding.cancelRequested,
    progress: tell(holding.progress),
    buffered: false,
  };
}

export function tell(progress: Progress | undefined): ToldProgress | undefined {
  return progress && { ...progress, detail: Buffer.from(progress.detail).toString("base64") };
}

export function told(progress: ToldProgress | undefined): Progress | undefined {
  return progress && { ...progress, detail: Buffer.from(progress.detail, "base64") };
}

export function progressIn(answer: HeldAnswer): Progress | undefined {
  return told(answer.progress);
}
