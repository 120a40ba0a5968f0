// Submitting: from single submits to batches and back. Every job has its key before the first try, so a submit whose
// answer was lost is repeated without making a second job.

import { type JobSpec, JobState } from "@drover/proto/v1/job";
import { ConflictPolicy, JobServiceService, type SubmitResult } from "@drover/proto/v1/job_service";
import { status } from "@grpc/grpc-js";
import type { Brokers } from "./brokers.js";
import { attempt, tryTimeout } from "./call.js";
import { fromItemStatus } from "./call-errors.js";
import { type CallError, callError } from "./errors.js";
import { Gatherer, type GatherRules } from "./gather.js";
import { retryWait, told } from "./retry.js";

/** What a submit does when its task already has a job of that key. */
export type OnConflict = "return-existing" | "reject";

const policies: Record<OnConflict, ConflictPolicy> = {
  "return-existing": ConflictPolicy.CONFLICT_POLICY_RETURN_EXISTING,
  reject: ConflictPolicy.CONFLICT_POLICY_REJECT,
};

export interface Submission {
  readonly spec: JobSpec;
  /** The key was made here: a job that has it already can only be this one. */
  readonly ownKey: boolean;
  /** Until an answer, retries included, in ms. */
  readonly timeout: number;
}

export interface Submitted {
  readonly id: string;
  readonly deduplicated: boolean;
  readonly state: JobState;
}

/** A submission on its way. */
interface Pending extends Submission {
  readonly bytes: number;
  readonly giveUpAt: number;
  queuedAt: number;
  tries: number;
  trouble: CallError | undefined;
  resolve(submitted: Submitted): void;
  reject(error: Error): void;
}

// Somewhat less than fits into a message; and what a slow call may hold up, in ms.
const BATCH = { bytes: 3 * 1024 * 1024, patience: 5 };
// Single submits share a few batches of middling size: while the broker writes one, the next is on its way. In bulk the
// largest ones the contract allows cost least.
const SINGLE = { ...BATCH, items: 350, calls: 3 };
const BULK = { ...BATCH, items: 1_000, calls: 2, waiting: Number.POSITIVE_INFINITY };
/** Jobs of one batch that are submitted once more, alone, to learn what is wrong with them. */
const ASKED_AGAIN = 20;
// A spec without its payload.
const FRAME_BYTES = 512;

/** Submits of one conflict policy: that is said once per batch. */
class Lane {
  readonly #brokers: Brokers;
  readonly #onConflict: ConflictPolicy;
  readonly #gatherer: Gatherer<Pending>;

  constructor(brokers: Brokers, onConflict: OnConflict, rules: GatherRules) {
    this.#brokers = brokers;
    this.#onConflict = policies[onConflict];
    this.#gatherer = new Gatherer(rules, (items) => this.#send(items));
  }

  submit({ spec, ownKey, timeout }: Submission): Promise<Submitted> {
    return new Promise((resolve, reject) => {
      this.#gatherer.push({
        spec,
        ownKey,
        timeout,
        bytes: FRAME_BYTES + (spec.payload?.data.length ?? 0),
        giveUpAt: performance.now() + timeout,
        queuedAt: 0,
        tries: 0,
        trouble: undefined,
        resolve,
        reject,
      });
    });
  }

  close(): void {
    this.#gatherer.close();
  }

  async #send(items: readonly Pending[]): Promise<void> {
    for (const item of items) item.tries++;
    let results: readonly SubmitResult[];
    try {
      results = await this.#store(items);
    } catch (error) {
      if (items.length > 1 && isTooMuch(error as CallError)) return this.#sendInHalves(items);
      return this.#refuse(items.map((item) => [item, error as CallError]));
    }
    const refused: [Pending, CallError][] = [];
    const unclear: Pending[] = [];
    for (const [index, item] of items.entries()) {
      const result = results[index];
      if (result === undefined) refused.push([item, unanswered()]);
      else if (isUnclear(result) && items.length > 1 && unclear.length < ASKED_AGAIN) unclear.push(item);
      else if (result.error !== undefined) refused.push([item, fromItemStatus(result.error)]);
      else
        item.resolve({
          id: result.id,
          // Under a key made for it, it can only have met itself; or, by its unique key, a job of another.
          deduplicated:
            result.deduplicated && (!item.ownKey || result.id !== `${item.spec.task}~${item.spec.key}`),
          state: result.state,
        });
    }
    this.#refuse(refused);
    for (const item of unclear) await this.#send([item]);
  }

  /** One job goes as it is, several as a batch. @throws CallError */
  async #store(items: readonly Pending[]): Promise<readonly SubmitResult[]> {
    const onConflict = this.#onConflict;
    const giveUpAt = items.reduce((at, item) => Math.min(at, item.giveUpAt), Number.POSITIVE_INFINITY);
    const timeout = tryTimeout(Math.max(0, giveUpAt - performance.now()));
    const jobs = items.map((item) => item.spec);
    if (jobs.length > 1) {
      const request = { jobs, onConflict };
      const { answer } = attempt(this.#brokers, JobServiceService.submitBatch, request, timeout);
      return (await answer).results;
    }
    const request = { job: jobs[0], onConflict };
    const { answer } = attempt(this.#brokers, JobServiceService.submit, request, timeout);
    return [{ ...(await answer), error: undefined }];
  }

  async #sendInHalves(items: readonly Pending[]): Promise<void> {
    const half = Math.ceil(items.length / 2);
    await this.#send(items.slice(0, half));
    await this.#send(items.slice(half));
  }

  /** Tries again what may succeed and has the time; the others end here. */
  #refuse(refused: readonly (readonly [Pending, CallError])[]): void {
    const again: Pending[] = [];
    let longest = 0;
    for (const [item, error] of refused) {
      if (item.ownKey && item.tries > 1 && error.reason === "JOB_EXISTS") {
        // Our own first try, whose answer was lost.
        item.resolve({
          id: `${item.spec.task}~${item.spec.key}`,
          deduplicated: false,
          state: JobState.JOB_STATE_UNSPECIFIED,
        });
        continue;
      }
      const wait = retryWait(error, item.tries, Math.random);
      item.trouble = told(error, item.trouble);
      if (wait === undefined || performance.now() + wait >= item.giveUpAt) item.reject(item.trouble);
      else {
        again.push(item);
        longest = Math.max(longest, wait);
      }
    }
    if (again.length > 0) this.#gatherer.again(again, longest);
  }
}

/** Refused for a field: of an item of a batch that is one text for all fields, of a job alone it is told field by field.
 *  Who submitted knows nothing of the batch, so it is asked again alone. */
function isUnclear({ error }: SubmitResult): boolean {
  return error?.code === status.INVALID_ARGUMENT;
}

/** The batch as such was refused, which may be the fault of one job or of their sum. */
function isTooMuch({ code, retryAfter }: CallError): boolean {
  return code === status.INVALID_ARGUMENT || (code === status.RESOURCE_EXHAUSTED && retryAfter === undefined);
}

function unanswered(): CallError {
  return callError("the broker answered for fewer jobs than were submitted", {
    code: status.INTERNAL,
    reason: "UNANSWERED",
  });
}

export class Submitter {
  readonly #single: Record<OnConflict, Lane>;
  readonly #bulk: Record<OnConflict, Lane>;

  /** `maxPending`: single submits that may wait at a time. */
  constructor(brokers: Brokers, maxPending: number) {
    const lanes = (rules: GatherRules) => ({
      "return-existing": new Lane(brokers, "return-existing", rules),
      reject: new Lane(brokers, "reject", rules),
    });
    this.#single = lanes({ ...SINGLE, waiting: maxPending });
    this.#bulk = lanes(BULK);
  }

  /** @throws CallError */
  submit(submission: Submission, onConflict: OnConflict): Promise<Submitted> {
    return this.#single[onConflict].submit(submission);
  }

  /** In order; each succeeds or fails on its own. They do not count against `maxPending`. */
  submitAll(
    submissions: readonly Submission[],
    onConflict: OnConflict,
  ): Promise<PromiseSettledResult<Submitted>[]> {
    return Promise.allSettled(submissions.map((submission) => this.#bulk[onConflict].submit(submission)));
  }

  close(): void {
    for (const lane of [...Object.values(this.#single), ...Object.values(this.#bulk)]) lane.close();
  }
}
