// What a worker holds: leases whose runs are not over, and outcomes the broker has not confirmed. An outcome stays here
// until it is settled, however many connections that takes; forgetting one would leave its job to run a second time.
// Nothing here does IO or reads a clock.

import type {
  HeldLease,
  ItemStatus,
  Lease,
  Outcome,
  Settled,
  ProgressReport as WireProgress,
} from "@drover/proto/v1";
import type { ProgressReport, TaskContext } from "./context.js";
import type { Interrupted } from "./errors.js";
import type { Report } from "./outcomes.js";
import type { Roster } from "./roster.js";

/** One lease and what became of it. */
export class Run {
  /** Its name in the current session; another one after each attach. */
  leaseId: number;
  /** Set once the handler runs. */
  context: TaskContext | undefined;
  /** What the run was last interrupted for. */
  interrupted: Interrupted | undefined;
  /** Set once the outcome is known. */
  report: Report | undefined;
  /** The attempt is over for the broker: what the handler still does counts for nothing. */
  closed = false;
  /** Of performance.now(). */
  startedAt = 0;
  /** Ends the timer of its time limits. */
  disarm: (() => void) | undefined;
  /** In the roster; -1 = not in it. */
  place = -1;
  /** Ends the thread or process of an isolated run, whatever it does. */
  terminate: (() => void) | undefined;

  constructor(readonly lease: Lease) {
    this.leaseId = lease.leaseId;
  }
}

export interface Refused {
  readonly run: Run;
  readonly error: ItemStatus | undefined;
}

// The contract's limit, and half of what fits into a gRPC message.
const OUTCOMES = 1_000;
const BYTES = 2 * 1024 * 1024;
// An outcome without its texts and result.
const FRAME_BYTES = 64;

export class Holdings {
  readonly #roster: Pick<Roster, "enter" | "leave"> | undefined;
  #runs = new Map<number, Run>();
  #unsent: Run[] = [];
  #progress = new Map<Run, ProgressReport>();

  /** `roster`: where tokens stand for as long as their leases are held. */
  constructor(roster?: Pick<Roster, "enter" | "leave">) {
    this.#roster = roster;
  }

  get size(): number {
    return this.#runs.size;
  }

  get(leaseId: number): Run | undefined {
    return this.#runs.get(leaseId);
  }

  runs(): IterableIterator<Run> {
    return this.#runs.values();
  }

  add(lease: Lease): Run {
    const run = new Run(lease);
    if (this.#roster !== undefined) run.place = this.#roster.enter(lease.token);
    this.#runs.set(run.leaseId, run);
    return run;
  }

  /** The run's outcome is known; it goes up with the next batch. */
  report(run: Run, report: Report): void {
    run.report = report;
    this.#unsent.push(run);
  }

  /** Only the latest report of each run is kept. */
  progress(run: Run, report: ProgressReport): void {
    if (!run.closed && run.report === undefined) this.#progress.set(run, report);
  }

  get hasOutcomes(): boolean {
    return this.#unsent.length > 0;
  }

  get hasProgress(): boolean {
    return this.#progress.size > 0;
  }

  takeProgress(): WireProgress[] {
    if (this.#progress.size === 0) return [];
    const reports: WireProgress[] = [];
    for (const [run, { value, detail }] of this.#progress) {
      if (this.#runs.get(run.leaseId) !== run) continue;
      reports.push({ leaseId: run.leaseId, progress: { value, detail, reportedAt: undefined } });
    }
    this.#progress = new Map();
    return reports;
  }

  /** The next outcomes to send, as many as go into one message; empty when all are sent. */
  takeOutcomes(): Outcome[] {
    const batch: Outcome[] = [];
    let bytes = 0;
    let taken = 0;
    for (const run of this.#unsent) {
      if (batch.length === OUTCOMES) break;
      const { report } = run;
      // Dropped since: the lease was lost.
      if (report !== undefined) {
        bytes += sizeOf(report);
        if (bytes > BYTES && batch.length > 0) break;
        batch.push({ leaseId: run.leaseId, token: "", report });
      }
      taken++;
    }
    this.#unsent = taken === this.#unsent.length ? [] : this.#unsent.slice(taken);
    return batch;
  }

  /** Forgets what the broker has recorded or refused. Gives back the refused ones. `keep` names refusals that are not
   *  to be believed yet. */
  settle(settled: Settled, keep: (error: ItemStatus | undefined) => boolean = () => false): Refused[] {
    for (const leaseId of settled.recorded) {
      const run = this.#runs.get(leaseId);
      if (run === undefined) continue;
      this.#runs.delete(leaseId);
      this.#leave(run);
    }
    const refused: Refused[] = [];
    for (const { leaseId, error } of settled.refused) {
      const run = this.#runs.get(leaseId);
      if (run === undefined || keep(error)) continue;
      this.drop(run);
      refused.push({ run, error });
    }
    // V8 keeps what was deleted from a Map for as long as the Map lives on, or until it next collects everything.
    if (this.#runs.size === 0) this.#runs = new Map();
    return refused;
  }

  /** The lease is not ours any more; what was to be reported of it is not. */
  drop(run: Run): void {
    if (this.#runs.get(run.leaseId) === run) this.#runs.delete(run.leaseId);
    this.#leave(run);
    run.report = undefined;
    this.#progress.delete(run);
  }

  #leave(run: Run): void {
    if (run.place < 0) return;
    this.#roster?.leave(run.place);
    run.place = -1;
  }

  /** What an attach has to name: every lease that is unfinished or unsettled. */
  tokens(): string[] {
    return Array.from(this.#runs.values(), (run) => run.lease.token);
  }

  /** A new session: leases go by new names, and every unsettled outcome is to be sent again. What the broker does not
   *  list as held is lost, whether it says so or not. */
  reattach(held: readonly HeldLease[]): { lost: Run[]; cancelRequested: Run[] } {
    const byToken = new Map<string, Run>();
    for (const run of this.#runs.values()) byToken.set(run.lease.token, run);
    this.#runs.clear();
    this.#unsent = [];
    const cancelRequested: Run[] = [];
    for (const { token, leaseId, cancelRequested: cancel } of held) {
      const run = byToken.get(token);
      // Settled while the attach was on its way.
      if (run === undefined) continue;
      byToken.delete(token);
      run.leaseId = leaseId;
      this.#runs.set(leaseId, run);
      if (run.report !== undefined) this.#unsent.push(run);
      if (cancel) cancelRequested.push(run);
    }
    return { lost: [...byToken.values()], cancelRequested };
  }
}

function sizeOf(report: Report): number {
  if (report.$case === "success") return FRAME_BYTES + (report.value.result?.data.length ?? 0);
  if (report.$case !== "failure") return FRAME_BYTES;
  const { type, message, stack } = report.value;
  // At most three bytes of UTF-8 per character.
  return FRAME_BYTES + 3 * (type.length + message.length + stack.length);
}
