// Status look-ups: one goes as it is, many at a time as a batch.

import type { Job } from "@drover/proto/v1";
import { JobServiceService, type StatusResult } from "@drover/proto/v1/job_service";
import { status } from "@grpc/grpc-js";
import type { Caller } from "./call.js";
import { fromItemStatus } from "./call-errors.js";
import { callError } from "./errors.js";
import { Gatherer, type GatherRules } from "./gather.js";

interface Pending {
  readonly id: string;
  readonly bytes: number;
  readonly giveUpAt: number;
  queuedAt: number;
  resolve(job: Job): void;
  reject(error: Error): void;
}

// Each job of an answer may bring 256 KiB of result and, where asked for, 512 KiB of payload.
const RULES: GatherRules = { items: 200, bytes: 1024 * 1024, calls: 4, patience: 5, waiting: 100_000 };

export class Lookup {
  readonly #caller: Caller;
  readonly #withPayload: Gatherer<Pending>;
  readonly #without: Gatherer<Pending>;

  constructor(caller: Caller) {
    this.#caller = caller;
    this.#without = new Gatherer(RULES, (items) => this.#ask(items, false));
    this.#withPayload = new Gatherer({ ...RULES, items: 50 }, (items) => this.#ask(items, true));
  }

  /** @throws CallError, for example JobNotFoundError */
  status(id: string, includePayload: boolean, timeout: number): Promise<Job> {
    const gatherer = includePayload ? this.#withPayload : this.#without;
    return new Promise((resolve, reject) => {
      gatherer.push({
        id,
        bytes: id.length,
        giveUpAt: performance.now() + timeout,
        queuedAt: 0,
        resolve,
        reject,
      });
    });
  }

  close(): void {
    this.#without.close();
    this.#withPayload.close();
  }

  async #ask(items: readonly Pending[], includePayload: boolean): Promise<void> {
    const giveUpAt = items.reduce((at, item) => Math.min(at, item.giveUpAt), Number.POSITIVE_INFINITY);
    const timeout = Math.max(0, giveUpAt - performance.now());
    try {
      const results = await this.#results(items, includePayload, timeout);
      for (const [index, item] of items.entries()) settle(item, results[index]);
    } catch (error) {
      for (const item of items) item.reject(error as Error);
    }
  }

  async #results(
    items: readonly Pending[],
    includePayload: boolean,
    timeout: number,
  ): Promise<readonly StatusResult[]> {
    const ids = items.map((item) => item.id);
    const [id] = ids;
    if (ids.length === 1 && id !== undefined) {
      const { job } = await this.#caller.call(JobServiceService.status, { id, includePayload }, { timeout });
      return [{ job, error: undefined }];
    }
    return (await this.#caller.call(JobServiceService.statusBatch, { ids, includePayload }, { timeout }))
      .results;
  }
}

function settle(item: Pending, result: StatusResult | undefined): void {
  if (result?.error !== undefined) return item.reject(fromItemStatus(result.error));
  if (result?.job !== undefined) return item.resolve(result.job);
  item.reject(
    callError("the broker gave no answer for this job", { code: status.INTERNAL, reason: "UNANSWERED" }),
  );
}
