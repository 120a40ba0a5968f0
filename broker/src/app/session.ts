// A worker's session as the broker sees it: what it can take, what it holds, whether it is still there.

import { Refusal } from "../core/errors.js";
import type { Progress } from "../core/job.js";
import { SlotMap } from "../core/slot-map.js";
import type { Taker } from "./dispatcher.js";
import { isPassing } from "./fences.js";
import { type Granted, type Granting, payloadBytes } from "./granting.js";
import type { Hints } from "./hints.js";
import type { Holder, Holding, RefusedReport } from "./holdings.js";
import type { Clock, Ticket, Tokens } from "./ports.js";
import type { Settling } from "./settling.js";
import type { Grant, Hello, OutcomeReport, Session, SessionSink } from "./worker-api.js";

const retryAfter = 500;
/** For what was settled to wait for leases that it could go with, ms. */
const tellWithin = 5;
/** Tokens that an attach may name. */
const mostHeld = 10_000;
/** Grants in one message. */
const mostGrants = 200;

export interface SessionParts {
  settling: Settling;
  granting: Granting;
  tokens: Tokens;
  hints: Hints;
  clock: Clock;
  /** Credit came back, or changed. */
  changed(): void;
  /** The stream has ended. */
  ended(session: WorkSession, clean: boolean): void;
}

export class WorkSession implements Session, Taker, Holder {
  readonly unary = false;
  readonly queues: ReadonlyMap<string, number>;
  readonly attachedAt: number;
  readonly leases = new SlotMap<number, Holding>();
  /** ms, this machine's clock: when the worker was last heard. */
  heard = Date.now();
  /** ms, this machine's clock: until when a single call beside the stream has vouched for the worker. */
  vouchedUntil = 0;
  draining = false;
  open = true;
  readonly #tasks: ReadonlyMap<string, number>;
  readonly #running = new Map<string, number>();
  #credit: { jobs: number; bytes: number };
  /** Leased and not yet reported. */
  #out = 0;
  #bytes = 0;
  #nextLease = 1;
  #grants: Grant[] = [];
  #recorded: number[] = [];
  #refused: RefusedReport[] = [];
  #telling: NodeJS.Timeout | undefined;

  constructor(
    readonly hello: Hello,
    readonly sink: SessionSink,
    readonly parts: SessionParts,
  ) {
    this.queues = new Map(hello.queues.map(({ queue, weight }) => [queue, Math.max(1, weight)]));
    this.#tasks = new Map(
      hello.tasks.map(({ task, concurrency }) => [task, concurrency || Number.POSITIVE_INFINITY]),
    );
    this.#credit = hello.credit;
    this.attachedAt = parts.clock.now();
  }

  get worker(): string {
    return this.hello.worker;
  }

  get instance(): string {
    return this.hello.instance;
  }

  get active(): boolean {
    return this.open && !this.draining && this.#credit.jobs > 0;
  }

  get creditJobs(): number {
    return this.#credit.jobs;
  }

  get running(): number {
    return this.#out;
  }

  serves(task: string): boolean {
    return this.#tasks.has(task);
  }

  /** What is reported leaves its place at once: while it is being stored the worker runs the next. Of those only as many
   *  again as there is credit, or a store that is away would have all jobs leased. */
  free(): number {
    if (!this.active || this.#bytes >= this.#credit.bytes) return 0;
    const unsettled = Math.min(2 * this.#credit.jobs, mostHeld) - this.leases.size;
    return Math.max(0, Math.min(this.#credit.jobs - this.#out, unsettled));
  }

  freeFor(task: string): number {
    const bound = this.#tasks.get(task);
    if (bound === undefined) return 0;
    return Math.max(0, Math.min(this.free(), bound - (this.#running.get(task) ?? 0)));
  }

  take(ticket: Ticket): void {
    const granted = this.parts.granting.grant(ticket, this, this.#nextLease++, 0);
    if (granted instanceof Promise) {
      const bytes = payloadBytes(ticket);
      this.#occupy(ticket.ref.task, bytes, 1);
      void granted.then((later) => {
        this.#occupy(ticket.ref.task, -bytes, -1);
        if (later === undefined) this.parts.changed();
        else {
          this.#granted(later);
          this.flush();
        }
      });
    } else {
      this.#granted(granted);
    }
  }

  flush(): void {
    if (this.#telling !== undefined) this.#tellNow();
    while (this.#grants.length > 0) this.sink.leases(this.#grants.splice(0, mostGrants));
  }

  /** Takes over a lease from an earlier session of the same worker, or one that was attached. */
  adopt(holding: Holding): void {
    holding.holder = this;
    holding.leaseId = this.#nextLease++;
    this.#keep(holding);
  }

  cancelled(holding: Holding, reason: "requested" | "time-limit" | "lease-lost"): void {
    if (this.open) this.sink.cancel([{ leaseId: holding.leaseId, reason }]);
  }

  released(holding: Holding): void {
    if (!this.leases.delete(holding.leaseId)) return;
    if (!holding.reported) this.#occupy(holding.ref.task, -holding.bytes, -1);
    this.parts.changed();
  }

  credit(jobs: number, bytes: number): void {
    this.#hear();
    this.#credit = { jobs, bytes };
    this.parts.changed();
  }

  outcomes(outcomes: readonly OutcomeReport[]): void {
    this.#hear();
    for (const outcome of outcomes) this.#settle(outcome);
  }

  progress(reports: readonly { leaseId: number; progress: Progress }[]): void {
    this.#hear();
    const at = this.parts.clock.now();
    for (const { leaseId, progress } of reports) {
      const holding = this.leases.get(leaseId);
      if (holding === undefined) continue;
      holding.progress = { ...progress, at };
      this.parts.hints.stirred(holding.id);
    }
  }

  /** A handler keeps the worker from answering, and something beside the handler says so. */
  vouched(ms: number): void {
    this.vouchedUntil = Math.max(this.vouchedUntil, Date.now() + ms);
  }

  pong(): void {
    this.#hear();
  }

  drain(): void {
    this.#hear();
    this.draining = true;
    this.parts.changed();
  }

  closed(clean: boolean): void {
    if (!this.open) return;
    this.open = false;
    this.parts.ended(this, clean);
  }

  /** It speaks for itself again. */
  #hear(): void {
    this.heard = Date.now();
    this.vouchedUntil = 0;
  }

  #granted({ holding, grant }: Granted): void {
    this.#keep(holding);
    // The worker went while the lease was being prepared, and has never seen it: that is no crash.
    if (this.open) this.#grants.push(grant);
    else this.parts.settling.giveBack(holding);
  }

  #keep(holding: Holding): void {
    this.leases.set(holding.leaseId, holding);
    holding.reported = false;
    this.#occupy(holding.ref.task, holding.bytes, 1);
  }

  #occupy(task: string, bytes: number, jobs: number): void {
    this.#out += jobs;
    this.#bytes += bytes;
    const running = (this.#running.get(task) ?? 0) + jobs;
    if (running > 0) this.#running.set(task, running);
    else this.#running.delete(task);
  }

  #settle(outcome: OutcomeReport): void {
    const holding = outcome.leaseId > 0 ? this.leases.get(outcome.leaseId) : undefined;
    const recorded = () => {
      this.#recorded.push(outcome.leaseId);
      this.#tell();
    };
    const failed = (error: Error) => this.#failed(outcome, error);
    if (holding !== undefined && !holding.settling) {
      if (!holding.reported) {
        holding.reported = true;
        this.#occupy(holding.ref.task, -holding.bytes, -1);
        this.parts.changed();
      }
      this.parts.settling.settle(holding, outcome.report, recorded, failed);
    } else {
      this.#settleOther(outcome, holding).then(recorded, failed);
    }
  }

  /** While the store is away the outcome waits with its session. */
  #failed(outcome: OutcomeReport, error: Error): void {
    if (isPassing(error) && this.open) {
      setTimeout(() => this.#settle(outcome), retryAfter);
      return;
    }
    const holding = this.leases.get(outcome.leaseId);
    // It is refused, and the run goes on.
    if (holding?.reported && !holding.settling) {
      holding.reported = false;
      this.#occupy(holding.ref.task, holding.bytes, 1);
    }
    const refusal = error instanceof Refusal ? error : new Refusal("STORE_UNAVAILABLE", "internal error");
    this.#refused.push({ leaseId: outcome.leaseId, token: outcome.token, refusal });
    this.#tell();
  }

  /** An outcome of a lease that is not this session's, or that has one already. */
  async #settleOther(outcome: OutcomeReport, holding: Holding | undefined): Promise<void> {
    const { settling, tokens } = this.parts;
    if (holding !== undefined) {
      throw new Refusal("ALREADY_REPORTED", `an outcome of ${holding.id} is being recorded`);
    }
    if (outcome.token === "") {
      throw new Refusal("LEASE_LOST", `this session holds no lease ${outcome.leaseId}`);
    }
    const claim = tokens.verify(outcome.token);
    if (claim === undefined) throw new Refusal("INVALID_TOKEN", "not a lease token of this namespace");
    await settling.reportByToken(claim, outcome.report);
  }

  /** What is settled is told along with the next leases, or soon: only a worker that ends waits for it. */
  #tell(): void {
    this.#telling ??= setTimeout(() => this.#tellNow(), this.draining ? 0 : tellWithin);
  }

  #tellNow(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    const recorded = this.#recorded;
    const refused = this.#refused;
    this.#recorded = [];
    this.#refused = [];
    if (this.open) this.sink.settled(recorded, refused);
  }
}
