import { toMillis } from "@drover/proto/sdk/time";
import { type Queue, QueueServiceService } from "@drover/proto/v1/queue_service";
import { status } from "@grpc/grpc-js";
import type { Caller, CallOptions } from "./call.js";
import { callError } from "./errors.js";
import {
  fromWireLimits,
  fromWireRetention,
  type LimitStatus,
  type Retention,
  type RunLimits,
  toWireLimits,
  toWireRetention,
} from "./limits.js";

/** Counts are at most 15 s old. */
export interface QueueStatus {
  readonly name: string;
  readonly paused: boolean;
  readonly ready: number;
  readonly running: number;
  /** SCHEDULED and RETRYING. */
  readonly scheduled: number;
  readonly blocked: number;
  /** Of ended jobs: only from get(). */
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Each (task, priority) in use. */
  readonly lanes: readonly { readonly task: string; readonly priority: number; readonly ready: number }[];
  /** How long the oldest ready job has been ready, ms; unset = none is. At most 5 s old. */
  readonly oldestReadyAge?: number;
  /** Jobs a second over the last ten seconds. */
  readonly submittedPerSecond: number;
  readonly finishedPerSecond: number;
  /** Unset = not limited. How far they are used up: only from get(). */
  readonly limits?: LimitStatus;
  /** Unset = the default. */
  readonly retention?: Retention;
}

/** What is left out stays as it is; each of the two replaces all that was set before. */
export interface QueueChange {
  /** `{}` takes all limits back. */
  readonly limits?: RunLimits;
  readonly retention?: Retention;
}

export interface PurgeOptions extends CallOptions {
  /** Only this task's jobs. */
  readonly task?: string;
  /** Also jobs that wait for a time. */
  readonly includeScheduled?: boolean;
  /** Only count. */
  readonly dryRun?: boolean;
}

export interface Purged {
  readonly ready: number;
  readonly scheduled: number;
}

// The broker may wait for 30 s until no job of the queue is just being handed out.
const PURGE_TIMEOUT = 40_000;

/** Operations on queues. A queue that nothing was ever submitted to is a QueueNotFoundError. */
export class Queues {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async list(options: CallOptions = {}): Promise<QueueStatus[]> {
    return (await this.#caller.call(QueueServiceService.list, {}, options)).queues.map(fromWire);
  }

  /** @throws QueueNotFoundError, CallError */
  async get(name: string, options: CallOptions = {}): Promise<QueueStatus> {
    const { queue } = await this.#caller.call(QueueServiceService.get, { queue: name }, options);
    if (queue === undefined) throw noQueue(name);
    return fromWire(queue);
  }

  /** Changes limits and retention. Holds for every broker once this has answered; a queue may be limited before its
   *  first job. @throws InvalidArgumentError */
  async update(name: string, change: QueueChange, options: CallOptions = {}): Promise<QueueStatus> {
    const request = {
      queue: name,
      limits: change.limits && toWireLimits(change.limits),
      retention: change.retention && toWireRetention(change.retention),
    };
    const { queue } = await this.#caller.call(QueueServiceService.update, request, options);
    if (queue === undefined) throw noQueue(name);
    return fromWire(queue);
  }

  /** Nothing of the queue is handed out any more, by any broker, once this has answered. Running jobs run on. */
  async pause(name: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call(QueueServiceService.pause, { queue: name }, options);
  }

  async resume(name: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call(QueueServiceService.resume, { queue: name }, options);
  }

  /** Removes the jobs that wait, without a record, and says how many. Tried once: a second try would also take what was
   *  submitted meanwhile. @throws QueueNotFoundError, CallError (reason QUEUE_BUSY: try later) */
  async purge(name: string, options: PurgeOptions = {}): Promise<Purged> {
    const { task = "", includeScheduled = false, dryRun = false, timeout = PURGE_TIMEOUT } = options;
    const request = { queue: name, task, includeScheduled, dryRun };
    return this.#caller.once(QueueServiceService.purge, request, { timeout });
  }
}

function fromWire(queue: Queue): QueueStatus {
  const { limits: wireLimits, retention: wireRetention, oldestReadyAge: wireAge, ...rest } = queue;
  const age = toMillis(wireAge);
  const limits = fromWireLimits(wireLimits);
  const retention = fromWireRetention(wireRetention);
  return {
    ...rest,
    ...(age !== undefined && { oldestReadyAge: age }),
    ...(limits !== undefined && { limits }),
    ...(retention !== undefined && { retention }),
  };
}

function noQueue(name: string) {
  return callError(`queue ${name} is not known`, { code: status.NOT_FOUND, reason: "QUEUE_NOT_FOUND" });
}
