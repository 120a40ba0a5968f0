// Taking jobs in. Each is durable before it is answered for; a repeated key is answered with the job that is there.

import { jobNotFound, Refusal } from "../core/errors.js";
import { type JobRef, type Snapshot, type Spec, type State, stateOf } from "../core/job.js";
import { isMadeKey, jobId, makeKey } from "../core/names.js";
import { isReplaceable } from "../core/transitions.js";
import type { Submitted } from "./api.js";
import { apart, type Created, type Intake } from "./intake.js";
import type { Ledger } from "./ledger.js";
import type { Clock, Jobs, StorageGauge } from "./ports.js";
import type { Telemetry } from "./telemetry.js";
import { refOf, type UniqueJobs } from "./unique.js";

export interface SubmitParts {
  intake: Intake;
  ledger: Pick<Ledger, "change">;
  jobs: Pick<Jobs, "read">;
  storage: StorageGauge;
  clock: Clock;
  telemetry: Telemetry;
  randomBytes: (n: number) => Uint8Array;
  unique: UniqueJobs;
}

export class Submit {
  constructor(readonly parts: SubmitParts) {}

  /** In order; each job has an answer of its own. */
  async submit(specs: readonly Spec[], onConflict: "return" | "reject"): Promise<(Submitted | Refusal)[]> {
    if (this.parts.storage.full) {
      const full = new Refusal("STORAGE_FULL", "the store is above its high-water mark", {
        retryAfter: 5_000,
      });
      return specs.map(() => full);
    }
    const now = this.parts.clock.now();
    const complete = specs.map((spec) => ({
      ...spec,
      key: spec.key === "" ? makeKey(now, this.parts.randomBytes(10)) : spec.key,
      submittedAt: now,
    }));
    const existing = await this.#known(complete);
    const once = complete.length === 1 || new Set(complete.map(jobId)).size === complete.length;
    return once
      ? this.#together(complete, existing, onConflict)
      : this.#inTurn(complete, existing, onConflict);
  }

  /** Jobs of different keys: one promise for all of them. */
  #together(
    specs: readonly Spec[],
    existing: ReadonlyMap<string, Snapshot>,
    onConflict: "return" | "reject",
  ): Promise<(Submitted | Refusal)[]> {
    return new Promise((resolve, reject) => {
      const answers = new Array<Submitted | Refusal>(specs.length);
      let left = specs.length;
      if (left === 0) resolve(answers);
      specs.forEach((spec, i) => {
        const answered = (answer: Submitted | Refusal) => {
          answers[i] = answer;
          if (--left === 0) resolve(answers);
        };
        const failed = (error: Error) => (error instanceof Refusal ? answered(error) : reject(error));
        const known = existing.size === 0 ? undefined : existing.get(jobId(spec));
        if (known !== undefined || spec.unique !== undefined) {
          this.#one(spec, known, onConflict).then(answered, failed);
          return;
        }
        this.parts.intake.createNow(
          spec,
          (made) => {
            if (made.created) answered(this.#created(spec));
            else this.#there(spec, made.existing, onConflict).then(answered, failed);
          },
          failed,
        );
      });
    });
  }

  #inTurn(
    complete: readonly Spec[],
    existing: ReadonlyMap<string, Snapshot>,
    onConflict: "return" | "reject",
  ): Promise<(Submitted | Refusal)[]> {
    // A key twice in one request: the second is a repeat of the first, and is answered as one.
    const first = new Map<string, Promise<Submitted | Refusal>>();
    return Promise.all(
      complete.map((spec) => {
        const id = jobId(spec);
        const before = first.get(id);
        if (before !== undefined && spec.debounce === undefined) {
          return before.then((answer) => this.#repeat(answer, onConflict));
        }
        const answer =
          before === undefined
            ? this.#one(spec, existing.get(id), onConflict)
            : // It takes the place of the one before.
              before.then(() => this.#one(spec, undefined, onConflict));
        first.set(id, answer);
        return answer;
      }),
    );
  }

  /** Keys that people choose repeat: read first, a known one does not get its whole batch refused. */
  async #known(specs: readonly Spec[]): Promise<Map<string, Snapshot>> {
    const chosen = specs.filter((spec) => !isMadeKey(spec.key));
    const found = new Map<string, Snapshot>();
    // A single one costs as much to read as to try.
    if (chosen.length < 2) return found;
    const snapshots = await this.parts.jobs.read(chosen);
    for (const [i, spec] of chosen.entries()) {
      const snapshot = snapshots[i];
      if (snapshot?.current !== undefined) found.set(jobId(spec), snapshot);
    }
    return found;
  }

  async #one(
    spec: Spec,
    known: Snapshot | undefined,
    onConflict: "return" | "reject",
  ): Promise<Submitted | Refusal> {
    try {
      const made =
        known === undefined ? await this.#create(spec) : ({ created: false, existing: known } as const);
      return made.created ? this.#created(spec) : await this.#there(spec, made.existing, onConflict);
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }

  #created(spec: Spec): Submitted {
    this.parts.telemetry.submitted(spec);
    this.parts.telemetry.traces?.stored(spec, this.parts.clock.now());
    const state = spec.runAt > this.parts.clock.now() ? "SCHEDULED" : "READY";
    return { ref: { task: spec.task, key: spec.key }, deduplicated: false, state };
  }

  /** The key has a job already. @throws Refusal */
  async #there(
    spec: Spec,
    existing: Snapshot,
    onConflict: "return" | "reject",
  ): Promise<Submitted | Refusal> {
    const ref: JobRef = { task: spec.task, key: spec.key };
    const { current } = existing;
    if (current === undefined) throw jobNotFound(jobId(ref));
    const replaced = spec.debounce && (await this.#replace(spec, existing));
    this.parts.telemetry.deduplicated(spec);
    if (replaced !== undefined) return { ref, deduplicated: true, state: replaced };
    const found = spec.unique === undefined ? ref : refOf(existing, ref);
    return this.#repeat({ ref: found, deduplicated: true, state: stateOf(current) }, onConflict);
  }

  #create(spec: Spec): Promise<Created> {
    return spec.unique === undefined
      ? this.parts.intake.create(spec)
      : this.parts.unique.create(spec, spec.unique);
  }

  /** Puts a job that is debounced in the place of the one of its key that waits. Undefined: that one waits no more. */
  async #replace(spec: Spec, { current, last }: Snapshot): Promise<State | undefined> {
    if (current === undefined || !isReplaceable(current)) return undefined;
    const { inline, body } = apart(spec);
    try {
      const changed = await this.parts.ledger.change(
        spec,
        { stored: current, last },
        { type: "replace", spec: inline, body },
        (now) => (isReplaceable(now) ? undefined : new Refusal("LEASE_LOST", "it waits no more")),
      );
      this.parts.telemetry.traces?.stored(spec, this.parts.clock.now());
      return stateOf(changed.stored);
    } catch (error) {
      if (error instanceof Refusal && error.reason === "LEASE_LOST") return undefined;
      throw error;
    }
  }

  #repeat(answer: Submitted | Refusal, onConflict: "return" | "reject"): Submitted | Refusal {
    if (answer instanceof Refusal) return answer;
    if (onConflict === "return") return { ...answer, deduplicated: true };
    const id = jobId(answer.ref);
    return new Refusal("JOB_EXISTS", `there is a job ${id} already, ${answer.state}`, { metadata: { id } });
  }
}
