import { QueueServiceService, type Task } from "@drover/proto/v1/queue_service";
import type { Caller, CallOptions } from "./call.js";
import { fromWireLimits, type LimitStatus, type RunLimits, toWireLimits } from "./limits.js";

/** Counts are at most 15 s old. */
export interface TaskStatus {
  readonly name: string;
  readonly limits?: LimitStatus;
  /** Queues that its jobs lie in. */
  readonly queues: readonly string[];
  readonly ready: number;
  readonly running: number;
  /** Workers with a session that serve it. */
  readonly workers: number;
}

/** What there is of a task, and its limits. A task nobody ever spoke of has none. */
export class Tasks {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async get(name: string, options: CallOptions = {}): Promise<TaskStatus> {
    const { task } = await this.#caller.call(QueueServiceService.getTask, { task: name }, options);
    return fromWire(name, task);
  }

  /** Replaces the task's limits: what is left out is not limited any more. Holds for every broker once this has
   *  answered. @throws InvalidArgumentError */
  async limit(name: string, limits: RunLimits, options: CallOptions = {}): Promise<TaskStatus> {
    const request = { task: name, limits: toWireLimits(limits) };
    const { task } = await this.#caller.call(QueueServiceService.updateTask, request, options);
    return fromWire(name, task);
  }
}

function fromWire(name: string, task: Task | undefined): TaskStatus {
  const limits = fromWireLimits(task?.limits);
  return {
    name,
    ...(limits !== undefined && { limits }),
    queues: task?.queues ?? [],
    ready: task?.ready ?? 0,
    running: task?.running ?? 0,
    workers: task?.workers ?? 0,
  };
}
