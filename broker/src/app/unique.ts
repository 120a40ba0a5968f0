// Unique keys: at most one job of a task has one, from its submit until it has ended or for a time. A claim is stored in
// one step with the job that makes it, and checked like it. One without a time counts only while its job lives: what a
// purge or a crash left of it is taken over by the next that asks.

import { Refusal } from "../core/errors.js";
import { hasEnded, type JobRef, type Snapshot, type Spec, specOf, stateOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import type { Created, Intake } from "./intake.js";
import type { Claim, Claims } from "./key-ports.js";
import { type Clock, Conflict, type Jobs, type Write } from "./ports.js";

const attempts = 12;

type Unique = NonNullable<Spec["unique"]>;

export class UniqueJobs {
  readonly #making = new Map<string, Promise<Created>>();

  constructor(
    readonly claims: Claims,
    readonly intake: Pick<Intake, "create">,
    readonly jobs: Pick<Jobs, "read">,
    readonly clock: Clock,
  ) {}

  /** Stores a new job that is to have a unique key; or says which job has it, or its own key. @throws Refusal */
  async create(spec: Spec, unique: Unique): Promise<Created> {
    const id = `${spec.task} ${unique.key}`;
    // Many at once all but one would be in vain: here they wait for the first, and then find its job.
    const before = this.#making.get(id);
    if (before !== undefined) {
      await before.catch(() => undefined);
      return this.#create(spec, unique);
    }
    const making = this.#create(spec, unique).finally(() => this.#making.delete(id));
    this.#making.set(id, making);
    return making;
  }

  async #create(spec: Spec, unique: Unique): Promise<Created> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const { holder, last } = await this.claims.read(spec.task, unique.key);
      const existing = holder && (await this.#living(spec.task, unique.key, holder));
      if (existing !== undefined) return { created: false, existing };
      try {
        return await this.intake.create(spec, false, this.#claim(spec, unique, last));
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw busy(spec.task, unique.key);
  }

  /** What a redrive has to store with its job to have its unique key again. @throws Refusal JOB_EXISTS */
  async again(ref: JobRef): Promise<readonly Write[]> {
    const [snapshot] = await this.jobs.read([ref]);
    const spec = snapshot?.current?.job.spec;
    // One for a time was given for that time, whatever becomes of the job.
    if (spec?.unique === undefined || spec.unique.until > 0) return [];
    const { holder, last } = await this.claims.read(ref.task, spec.unique.key);
    const other = holder && holder.key !== ref.key && (await this.#living(ref.task, spec.unique.key, holder));
    if (other) {
      const has = `${jobId({ task: ref.task, key: holder.key })} has its unique key ${spec.unique.key}`;
      throw new Refusal("JOB_EXISTS", `${jobId(ref)} cannot run again: ${has}`);
    }
    return [this.#claim(spec, spec.unique, last)];
  }

  #claim({ key }: Spec, unique: Unique, last: number): Write {
    const { until } = unique;
    const keepFor = until === 0 ? 0 : Math.max(1_000, until - this.clock.now());
    return { kind: "claim", key: unique.key, holder: { key, until }, expected: last, keepFor };
  }

  /** The job that has a claim, if it still has it. */
  async #living(task: string, unique: string, { key, until }: Claim): Promise<Snapshot | undefined> {
    const [snapshot] = await this.jobs.read([{ task, key }]);
    const { current } = snapshot ?? {};
    if (until === 0) {
      return current === undefined || hasEnded(stateOf(current)) ? undefined : snapshot;
    }
    if (until <= this.clock.now()) return undefined;
    if (current !== undefined) return snapshot;
    const id = jobId({ task, key });
    throw new Refusal(
      "JOB_EXISTS",
      `${id} had the unique key ${unique}; its record is gone, the key is still taken`,
      {
        metadata: { id, until: new Date(until).toISOString() },
      },
    );
  }
}

function busy(task: string, unique: string): Refusal {
  return new Refusal(
    "STORE_UNAVAILABLE",
    `the unique key ${unique} of ${task} is asked for by many at once`,
    {
      retryAfter: 200,
    },
  );
}

/** Of the job that was found. */
export function refOf(snapshot: Snapshot, otherwise: JobRef): JobRef {
  const spec = snapshot.current && specOf(snapshot.current.job);
  return spec === undefined ? otherwise : { task: spec.task, key: spec.key };
}
