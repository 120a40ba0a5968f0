// The leases that this broker answers for. For the first 10 s of a run the un-acked ticket is the lease and nothing is
// written; after that the job is held in the store, and what is kept here only saves reading it again.

import type { Refusal } from "../core/errors.js";
import type { JobRef, Progress } from "../core/job.js";
import { jobId } from "../core/names.js";
import { SlotMap } from "../core/slot-map.js";
import type { Known } from "./ledger.js";
import type { LeaseClaim, Ticket } from "./ports.js";

/** Whoever runs jobs handed out by this broker. */
export interface Holder {
  readonly worker: string;
  /** Of the worker's process; empty for a single call. */
  readonly instance: string;
  /** Lives by its lease alone, not by a session. */
  readonly unary: boolean;
  /** The run is to end. */
  cancelled(holding: Holding, reason: "requested" | "time-limit" | "lease-lost"): void;
  /** The lease is no longer this broker's to answer for. */
  released(holding: Holding): void;
  /** A single call has said that the run goes on: for so many ms more, whatever becomes of the session. */
  vouched(ms: number): void;
}

export class Holding implements Known {
  readonly id: string;
  /** Tells it from another holding of the same job. Of the one `Holdings` that it was added to. */
  serial = 0;
  /** Not acked yet; undefined once the job is held in the store. */
  ticket: Ticket | undefined;
  /** Begin of the run, or of the time without a session. */
  readonly startedAt: number;
  progress: Progress | undefined;
  cancelRequested = false;
  /** The session's worker has done with it, and its place is free. */
  reported = false;
  /** An outcome is being written: nothing else may be. */
  settling = false;
  /** A lease is being written. */
  renewing = false;
  /** When the lease has to be written (first) or renewed, ms. */
  renewAt: number;
  /** Unary: when it ends. */
  expiresAt = 0;
  /** When the broker ends the run by itself: hard limit or unanswered cancel; 0 = never. */
  endAt = 0;
  endAs: "time-limit" | "cancelled" = "time-limit";

  constructor(
    readonly claim: LeaseClaim,
    public stored: Known["stored"],
    public last: number,
    public holder: Holder,
    public leaseId: number,
    readonly bytes: number,
    now: number,
    holdAfter: number,
  ) {
    this.id = jobId(claim.ref);
    this.startedAt = stored.job.hold?.startedAt ?? now;
    this.renewAt = now + holdAfter;
    this.cancelRequested = stored.job.cancelRequestedAt > 0;
    this.progress = stored.job.progress;
  }

  get ref(): JobRef {
    return this.claim.ref;
  }

  known(): Known {
    return { stored: this.stored, last: this.last };
  }
}

/** Hears of every lease that begins or ends here. */
export interface HoldingsWatch {
  added(holding: Holding): void;
  removed(holding: Holding): void;
}

export class Holdings {
  /** Set while any limit has to count leases. */
  watch: HoldingsWatch | undefined;
  readonly #byJob = new SlotMap<string, Holding>();
  /** Of sessions, by serial: those to be renewed first stand first, a renewed one is put behind. */
  readonly #renewals = new SlotMap<number, Holding>();
  /** Those that end by the clock, by serial. */
  readonly #ending = new SlotMap<number, Holding>();
  #serial = 0;

  get size(): number {
    return this.#byJob.size;
  }

  get(id: string): Holding | undefined {
    return this.#byJob.get(id);
  }

  all(): Iterable<Holding> {
    return this.#byJob.values();
  }

  add(holding: Holding): void {
    holding.serial = ++this.#serial;
    this.#byJob.set(holding.id, holding);
    this.watch?.added(holding);
    if (!holding.holder.unary) this.#renewals.set(holding.serial, holding);
    if (holding.endAt > 0 || holding.expiresAt > 0) this.#ending.set(holding.serial, holding);
  }

  /** Whether it was still there. */
  remove(holding: Holding): boolean {
    this.#ending.delete(holding.serial);
    this.#renewals.delete(holding.serial);
    this.watch?.removed(holding);
    if (this.#byJob.get(holding.id) !== holding) return false;
    this.#byJob.delete(holding.id);
    return true;
  }

  endBy(holding: Holding, at: number, as: Holding["endAs"]): void {
    if (holding.endAt > 0 && holding.endAt <= at) return;
    holding.endAt = at;
    holding.endAs = as;
    if (this.#byJob.get(holding.id) === holding) this.#ending.set(holding.serial, holding);
  }

  /** Leases to be written by `now`. All wait equally long, so the first that need not ends the search. */
  *toRenew(now: number): Generator<Holding> {
    for (const holding of this.#renewals.values()) {
      if (holding.renewAt > now) return;
      if (!holding.renewing && !holding.settling) yield holding;
    }
  }

  renewed(holding: Holding, next: number): void {
    holding.renewAt = next;
    if (this.#renewals.delete(holding.serial)) this.#renewals.set(holding.serial, holding);
  }

  *toEnd(now: number): Generator<Holding> {
    for (const holding of this.#ending.values()) {
      if (holding.settling) continue;
      if (
        (holding.endAt > 0 && holding.endAt <= now) ||
        (holding.expiresAt > 0 && holding.expiresAt <= now)
      ) {
        yield holding;
      }
    }
  }
}

/** A report that is refused, with the lease it came on. */
export interface RefusedReport {
  leaseId: number;
  token: string;
  refusal: Refusal;
}
