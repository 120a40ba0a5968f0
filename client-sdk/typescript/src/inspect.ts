import { toDate, toMillis } from "@drover/proto/sdk/time";
import { InspectServiceService } from "@drover/proto/v1/inspect_service";
import type { Caller, CallOptions } from "./call.js";

/** Answers of all brokers together. A broker that was silent for 300 ms is left out. */
export interface Inspected<T> {
  readonly items: readonly T[];
  readonly silentBrokers: number;
}

export interface WorkerStatus {
  readonly name: string;
  readonly instance: string;
  readonly broker: string;
  readonly sdk: string;
  readonly peer: string;
  readonly attachedAt: Date | undefined;
  readonly tasks: readonly string[];
  readonly queues: readonly string[];
  /** Jobs it can hold, and holds. */
  readonly credit: number;
  readonly running: number;
  readonly draining: boolean;
}

export interface ActiveJob {
  readonly jobId: string;
  readonly queue: string;
  readonly attempt: number;
  readonly worker: string;
  readonly broker: string;
  readonly startedAt: Date | undefined;
  readonly cancelRequested: boolean;
}

export interface RegisteredTask {
  readonly task: string;
  readonly workers: readonly string[];
  readonly queues: readonly string[];
}

export interface ServerInfo {
  readonly version: string;
  readonly broker: string;
  readonly brokers: readonly string[];
  readonly namespace: string;
  readonly shards: number;
  readonly replicas: number;
  readonly natsServerVersion: string;
  readonly startedAt: Date | undefined;
  readonly serverTime: Date | undefined;
  /** Sizes in bytes, the window in ms. */
  readonly limits:
    | {
        readonly payload: number;
        readonly result: number;
        readonly batch: number;
        readonly lanes: number;
        readonly idempotencyWindow: number | undefined;
      }
    | undefined;
}

/** Who works on what, asked of all brokers at once. */
export class Inspect {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async workers(options: CallOptions = {}): Promise<Inspected<WorkerStatus>> {
    const { workers, silentBrokers } = await this.#caller.call(InspectServiceService.workers, {}, options);
    return {
      items: workers.map((worker) => ({ ...worker, attachedAt: toDate(worker.attachedAt) })),
      silentBrokers,
    };
  }

  /** What runs now: at most `limit` jobs per broker, 1 to 10,000, default 1,000; `truncated` when there were more. */
  async active(
    options: CallOptions & { readonly limit?: number } = {},
  ): Promise<Inspected<ActiveJob> & { readonly truncated: boolean }> {
    const request = { limit: options.limit ?? 0 };
    const answer = await this.#caller.call(InspectServiceService.active, request, options);
    const items = answer.jobs.map((job) => ({ ...job, startedAt: toDate(job.startedAt) }));
    return { items, silentBrokers: answer.silentBrokers, truncated: answer.truncated };
  }

  /** Which tasks are served, and by whom. */
  async registered(options: CallOptions = {}): Promise<Inspected<RegisteredTask>> {
    const { tasks, silentBrokers } = await this.#caller.call(InspectServiceService.registered, {}, options);
    return { items: tasks, silentBrokers };
  }

  /** The broker that answers, and its limits. */
  async serverInfo(options: CallOptions = {}): Promise<ServerInfo> {
    const answer = await this.#caller.call(InspectServiceService.serverInfo, {}, options);
    const { startedAt, serverTime, limits, ...rest } = answer;
    return {
      ...rest,
      startedAt: toDate(startedAt),
      serverTime: toDate(serverTime),
      limits: limits && { ...limits, idempotencyWindow: toMillis(limits.idempotencyWindow) },
    };
  }
}
