// Cancelling and redriving. A job that waits is cancelled by a write; one that runs is asked to end, which is written
// too, so that the wish survives the broker that holds it.

import { jobNotFound, Refusal } from "../core/errors.js";
import {
  FailureReason,
  hasEnded,
  type JobRef,
  type State,
  type Stored,
  specOf,
  standingOf,
  stateOf,
} from "../core/job.js";
import { jobId } from "../core/names.js";
import type { JobView } from "./api.js";
import type { Dispatcher } from "./dispatcher.js";
import { unmoved } from "./fences.js";
import type { HeldAnswer } from "./held-answer.js";
import type { Holdings } from "./holdings.js";
import type { Fence, Known, Ledger } from "./ledger.js";
import type { Clock, Jobs, Peers } from "./ports.js";
import type { Reader } from "./reader.js";
import { report, type Settling } from "./settling.js";
import type { Log, Telemetry } from "./telemetry.js";
import type { UniqueJobs } from "./unique.js";

const attempts = 8;

export type Cancelled = { outcome: "cancelled" | "requested" | "already-finished"; previous: State };

export interface CancelParts {
  ledger: Ledger;
  jobs: Jobs;
  reader: Reader;
  peers: Peers;
  holdings: Holdings;
  settling: Settling;
  dispatcher: Dispatcher;
  clock: Clock;
  telemetry: Telemetry;
  log: Log;
  unique: Pick<UniqueJobs, "again">;
}

export class Cancel {
  readonly #asked = new Map<string, Promise<boolean>>();

  constructor(readonly parts: CancelParts) {
    parts.peers.answer("cancel", (body) => this.#atHolder(body as { id: string; reason: string }));
    parts.peers.hear("cancelled", (body) => this.#wasCancelled(body as string));
  }

  /** With `waitingOnly` a job that runs is left alone, and one that is `spared` always: undefined. */
  async cancel(ref: JobRef, reason: string): Promise<Cancelled>;
  async cancel(
    ref: JobRef,
    reason: string,
    waitingOnly: boolean,
    spared?: (current: Stored) => boolean,
  ): Promise<Cancelled | undefined>;
  async cancel(
    ref: JobRef,
    reason: string,
    waitingOnly = false,
    spared: (current: Stored) => boolean = () => false,
  ): Promise<Cancelled | undefined> {
    const id = jobId(ref);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [snapshot] = await this.parts.jobs.read([ref]);
      const current = snapshot?.current;
      if (current === undefined) throw jobNotFound(id);
      if (spared(current)) return undefined;
      const state = stateOf(current);
      if (hasEnded(state)) return { outcome: "already-finished", previous: state };
      const known = { stored: current, last: snapshot?.last ?? current.seq };
      if (waitingOnly && (await this.#runs(known.stored))) return undefined;
      try {
        const done = await this.#try(ref, known, state, reason);
        if (done !== undefined) return done;
      } catch (error) {
        // It moved while we looked: look again.
        if (!(error instanceof Refusal) || error.reason !== "LEASE_LOST") throw error;
      }
    }
    throw new Refusal("STORE_UNAVAILABLE", `${id} is being changed by many at once`, { retryAfter: 200 });
  }

  async redrive(ref: JobRef): Promise<JobView> {
    const failed: Fence = (current) =>
      current.job.failure?.reason === FailureReason.CORRUPT
        ? new Refusal("NOT_FAILED", `${jobId(ref)} cannot be read any more, so it cannot run: submit it anew`)
        : stateOf(current) === "FAILED"
          ? undefined
          : new Refusal(
              "NOT_FAILED",
              `${jobId(ref)} is ${stateOf(current)}: only a FAILED job can be redriven`,
            );
    const again = await this.parts.unique.again(ref);
    const changed = await this.parts.ledger.change(ref, undefined, { type: "redrive" }, failed, again);
    const [view] = await this.parts.reader.views([changed.stored], false);
    if (view === undefined) throw jobNotFound(jobId(ref));
    return view;
  }

  async #runs(stored: Stored): Promise<boolean> {
    const standing = standingOf(stored);
    if (standing !== "ready") return standing === "held";
    const { answers } = await this.parts.peers.ask("holders", { ids: [jobId(specOf(stored.job))] });
    return answers.some(({ body }) => (body as HeldAnswer[]).some(({ buffered }) => !buffered));
  }

  async #try(ref: JobRef, known: Known, state: State, reason: string): Promise<Cancelled | undefined> {
    const standing = standingOf(known.stored);
    if (standing === "later" || standing === "blocked") {
      await this.#write(ref, known, reason);
      return { outcome: "cancelled", previous: state };
    }
    const { answers } = await this.parts.peers.ask("cancel", { id: jobId(ref), reason });
    if (answers.some(({ body }) => body === true)) return { outcome: "requested", previous: "RUNNING" };
    if (standing === "ready") {
      await this.#write(ref, known, reason);
      // A broker may have handed it out in this very moment.
      this.parts.peers.tell("cancelled", jobId(ref));
      return { outcome: "cancelled", previous: "READY" };
    }
    // Held in the store and by nobody we hear: leased in a single call, or its broker is gone. Its lease is cut short;
    // when it ends, the wish decides.
    const hold = known.stored.job.hold;
    if (hold === undefined) return undefined;
    const leaseUntil = Math.min(
      hold.leaseUntil,
      this.parts.clock.now() + this.parts.settling.run.cancelGrace,
    );
    const event = { type: "requestCancel", reason, hold: { ...hold, leaseUntil } } as const;
    await this.parts.ledger.change(ref, known, event, unmoved);
    return { outcome: "requested", previous: "RUNNING" };
  }

  async #write(ref: JobRef, known: Known, reason: string): Promise<void> {
    const changed = await this.parts.ledger.change(ref, known, { type: "cancel", reason }, unmoved);
    report(changed, this.parts.telemetry, this.parts.log, this.parts.clock.now());
    const spec = specOf(known.stored.job);
    if ((spec.payload?.externalSize ?? 0) > 0 && spec.flow === undefined) this.parts.jobs.dropBody(ref);
  }

  /** Asked by a broker that has a cancel for a job which we may be holding. */
  #atHolder({ id, reason }: { id: string; reason: string }): Promise<boolean> {
    // Two that ask at once want the same: written twice, the second write would take the run for somebody else's.
    let asked = this.#asked.get(id);
    if (asked === undefined) {
      asked = this.#askHolder(id, reason).finally(() => this.#asked.delete(id));
      this.#asked.set(id, asked);
    }
    return asked;
  }

  async #askHolder(id: string, reason: string): Promise<boolean> {
    const holding = this.parts.holdings.get(id);
    if (holding === undefined || holding.settling) return false;
    if (holding.cancelRequested) return true;
    const unary = holding.holder.unary;
    const leaseFor = unary ? this.parts.settling.run.cancelGrace : this.parts.settling.run.lease;
    if (!(await this.parts.settling.hold(holding, leaseFor, { reason }))) return false;
    holding.cancelRequested = true;
    if (unary) {
      holding.expiresAt = this.parts.clock.now() + leaseFor;
    } else {
      holding.holder.cancelled(holding, "requested");
      this.parts.holdings.endBy(
        holding,
        this.parts.clock.now() + this.parts.settling.run.cancelGrace,
        "cancelled",
      );
    }
    return true;
  }

  #wasCancelled(id: string): void {
    this.parts.dispatcher.discard(id)?.ack();
    const holding = this.parts.holdings.get(id);
    if (holding === undefined || holding.settling) return;
    this.parts.settling.superseded(holding);
  }
}
