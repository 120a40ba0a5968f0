// Storing new jobs: with a compare-and-set against nothing, or against the tombstones of one that was. A key that has a job
// already is answered with that one.

import { Refusal } from "../core/errors.js";
import { newJob, type Snapshot, type Spec } from "../core/job.js";
import { sizes, times } from "../core/limits.js";
import { jobId, KnownJob } from "../core/names.js";
import type { Agenda } from "./agenda.js";
import type { Hints } from "./hints.js";
import { type Clock, Conflict, type Jobs, type Journal, type Lanes, type Write } from "./ports.js";

const attempts = 12;
const created = { created: true } as const;

/** Whether a job was stored, or which one had its key. */
export type Created = { created: true } | { created: false; existing: Snapshot };

export interface IntakeParts {
  journal: Journal;
  jobs: Pick<Jobs, "read">;
  lanes: Pick<Lanes, "has" | "ensure" | "filled">;
  clock: Clock;
  hints: Hints;
  agenda: Agenda;
}

export class Intake {
  constructor(readonly parts: IntakeParts) {}

  /** Stores a new job, or says which job has its key. With `blocked` it waits for others of its flow.
   *  @throws Refusal as journal and lanes do */
  async create(
    spec: Spec,
    blocked = false,
    /** Of its unique key: when that cannot be had, Conflict is thrown. */
    claim?: Write,
  ): Promise<Created> {
    const lane = { task: spec.task, queue: spec.queue, priority: spec.priority };
    const waits = !blocked && spec.runAt > this.parts.clock.now();
    // Also for a job that waits: it will need its lane, and where there is no room for one its submitter has to know.
    if (!this.parts.lanes.has(lane)) await this.parts.lanes.ensure(lane);
    return this.#create(spec, blocked, waits, claim, 0);
  }

  /** `create` for thousands at a time: what is ready at once, and has its lane, is stored without a promise. Calls one of
   *  the two, once; they must not throw. */
  createNow(spec: Spec, done: (made: Created) => void, failed: (error: Error) => void): void {
    const lane = { task: spec.task, queue: spec.queue, priority: spec.priority };
    if (spec.runAt > this.parts.clock.now() || !this.parts.lanes.has(lane)) {
      this.create(spec).then(done, failed);
      return;
    }
    const ref = new KnownJob(spec.task, spec.key);
    const nonce = this.parts.journal.nonce();
    const { inline, body } = apart(spec);
    const job = newJob(inline, nonce);
    job.dueAt = 0;
    const { queue, priority } = spec;
    const writes: Write[] = [
      { kind: "job", phase: "ready", job, rev: 1, queue, priority, fireAt: 0, keepFor: 0 },
    ];
    if (body !== undefined) writes.push({ kind: "body", data: body });
    this.parts.journal.write(
      { ref, expected: 0, nonce, writes },
      () => {
        this.parts.lanes.filled(lane);
        this.parts.hints.created(jobId(ref));
        done(created);
      },
      (error) => {
        if (error instanceof Conflict) this.#createAgain(spec).then(done, failed);
        else failed(error);
      },
    );
  }

  async #createAgain(spec: Spec): Promise<Created> {
    const [existing] = await this.parts.jobs.read([spec]);
    if (existing?.current !== undefined) return { created: false, existing };
    return this.#create(spec, false, false, undefined, existing?.last ?? 0);
  }

  async #create(
    spec: Spec,
    blocked: boolean,
    waits: boolean,
    claim: Write | undefined,
    last: number,
  ): Promise<Created> {
    const ref = { task: spec.task, key: spec.key };
    const lane = { task: spec.task, queue: spec.queue, priority: spec.priority };
    let expected = last;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const nonce = this.parts.journal.nonce();
      const { inline, body } = apart(spec);
      const job = newJob(inline, nonce);
      const write: Write = {
        kind: "job",
        phase: blocked ? "blocked" : waits ? "later" : "ready",
        job: waits ? job : { ...job, dueAt: 0, deadline: blocked ? spec.startBy : 0 },
        rev: 1,
        queue: spec.queue,
        priority: spec.priority,
        fireAt: 0,
        keepFor: 0,
      };
      try {
        const store = (fireAt: number) => {
          const first: Write = { ...write, fireAt };
          const writes: Write[] = body === undefined ? [first] : [first, { kind: "body", data: body }];
          if (claim !== undefined) writes.push(claim);
          return this.parts.journal.commit({ ref, expected, nonce, writes });
        };
        await (waits
          ? this.parts.agenda.store({ dueAt: spec.runAt, ref }, this.parts.clock.now(), store)
          : store(blocked ? spec.startBy || times.never : 0));
        if (!waits && !blocked) this.parts.lanes.filled(lane);
        this.parts.hints.created(jobId(ref));
        return created;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        const [existing] = await this.parts.jobs.read([ref]);
        if (existing?.current !== undefined) return { created: false, existing };
        if (claim !== undefined && expected === (existing?.last ?? 0)) throw error;
        // What is there are tombstones: of a job that has aged out, or nothing at all any more.
        expected = existing?.last ?? 0;
      }
    }
    throw new Refusal("STORE_UNAVAILABLE", `${jobId(ref)} is being changed by many at once`, {
      retryAfter: 200,
    });
  }
}

/** A large payload lies beside its job, so that heartbeats and retries do not write it again. */
export function apart(spec: Spec): { inline: Spec; body: Uint8Array | undefined } {
  const { payload } = spec;
  if (payload === undefined || payload.data.length <= sizes.inlinePayload) {
    return { inline: spec, body: undefined };
  }
  const reference = { data: new Uint8Array(0), type: payload.type, externalSize: payload.data.length };
  return { inline: { ...spec, payload: reference }, body: payload.data };
}
