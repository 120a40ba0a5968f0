// Taking jobs in. Each is durable before it is answered for; a repeated key is answered with the job that is there.

import { jobNotFound, Refusal } from "../core/errors.js";
import { type JobRef, type Snapshot, type Spec, stateOf } from "../core/job.js";
import { isMadeKey, jobId, makeKey } from "../core/names.js";
import type { Submitted } from "./api.js";
import type { Ledger } from "./ledger.js";
import type { Clock, Jobs, StorageGauge } from "./ports.js";
import type { Telemetry } from "./telemetry.js";

export class Submit {
  constructor(
    readonly ledger: Ledger,
    readonly jobs: Pick<Jobs, "read">,
    readonly storage: StorageGauge,
    readonly clock: Clock,
    readonly telemetry: Telemetry,
    readonly randomBytes: (n: number) => Uint8Array,
  ) {}

  /** In order; each job has an answer of its own. */
  async submit(specs: readonly Spec[], onConflict: "return" | "reject"): Promise<(Submitted | Refusal)[]> {
    if (this.storage.full) {
      const full = new Refusal("STORAGE_FULL", "the store is above its high-water mark", {
        retryAfter: 5_000,
      });
      return specs.map(() => full);
    }
    const now = this.clock.now();
    const complete = specs.map((spec) => ({
      ...spec,
      key: spec.key === "" ? makeKey(now, this.randomBytes(10)) : spec.key,
      submittedAt: now,
    }));
    const existing = await this.#known(complete);
    // A key twice in one request: the second is a repeat of the first, and is answered as one.
    const first = new Map<string, Promise<Submitted | Refusal>>();
    return Promise.all(
      complete.map((spec) => {
        const id = jobId(spec);
        const before = first.get(id);
        if (before !== undefined) return before.then((answer) => this.#repeat(answer, onConflict));
        const answer = this.#one(spec, existing.get(id), onConflict);
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
    const snapshots = await this.jobs.read(chosen);
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
    const ref: JobRef = { task: spec.task, key: spec.key };
    try {
      const created =
        known === undefined ? await this.ledger.create(spec) : ({ created: false, existing: known } as const);
      if (created.created) {
        this.telemetry.submitted(spec);
        return { ref, deduplicated: false, state: spec.runAt > this.clock.now() ? "SCHEDULED" : "READY" };
      }
      const { current } = created.existing;
      if (current === undefined) throw jobNotFound(jobId(ref));
      this.telemetry.deduplicated(spec);
      return this.#repeat({ ref, deduplicated: true, state: stateOf(current) }, onConflict);
    } catch (error) {
      if (error instanceof Refusal) return error;
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
