import type { AccessOptions } from "@drover/proto/sdk/access";
import type { AddressOptions } from "@drover/proto/sdk/addresses";
import type { Around } from "./invoke.js";
import type { Logger } from "./log.js";
import type { AnyTask } from "./task.js";

/** A queue, and its share among the worker's queues: 1 to 100, default 1. */
export type QueueOption = string | { readonly name: string; readonly weight?: number };

export interface WorkerOptions extends AddressOptions, AccessOptions {
  /** Tasks to serve; Worker.task() and register() add more. */
  readonly tasks?: readonly AnyTask[];
  /** Where jobs come from. Default: `default`. */
  readonly queues?: readonly QueueOption[];
  /** Handlers that run at a time: 1 to 10,000, default 10. */
  readonly concurrency?: number;
  /** Jobs held beyond that, so that the next one is there when one ends: default 0. They wait here while another worker
   *  may be free, so it pays for short jobs only. concurrency + prefetch is at most 10,000. */
  readonly prefetch?: number;
  /** How long running handlers may go on after stop(), in ms: default 20,000. */
  readonly drainTimeout?: number;
  /** Who works, for people: default `host:pid`. */
  readonly name?: string;
  /** Default: JSON lines on stdout, from DROVER_LOG_LEVEL (info) up. Any pino logger fits. */
  readonly logger?: Logger;
  /** Runs around each handler. */
  readonly around?: Around;
  /** Before the worker attaches: open what its tasks share. */
  readonly onStart?: () => void | Promise<void>;
  /** After the last outcome is settled: close it. */
  readonly onStop?: () => void | Promise<void>;
}

export interface Capacity {
  readonly concurrency: number;
  readonly prefetch: number;
}

const MOST = 10_000;

/** @throws RangeError */
export function capacityOf({ concurrency = 10, prefetch = 0 }: WorkerOptions): Capacity {
  if (!(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= MOST)) {
    throw new RangeError(`concurrency ${concurrency} is not between 1 and 10,000`);
  }
  if (!(Number.isInteger(prefetch) && prefetch >= 0 && concurrency + prefetch <= MOST)) {
    throw new RangeError(
      `prefetch ${prefetch} is not between 0 and ${MOST - concurrency} (10,000 less the concurrency)`,
    );
  }
  return { concurrency, prefetch };
}

/** @throws RangeError */
export function queuesOf({ queues = ["default"] }: WorkerOptions): { queue: string; weight: number }[] {
  if (queues.length < 1 || queues.length > 100)
    throw new RangeError(`${queues.length} queues: give 1 to 100`);
  return queues.map((option) => {
    const { name, weight = 1 } = typeof option === "string" ? { name: option } : option;
    if (!(Number.isInteger(weight) && weight >= 1 && weight <= 100)) {
      throw new RangeError(`queue ${name}: weight ${weight} is not between 1 and 100`);
    }
    return { queue: name, weight };
  });
}
