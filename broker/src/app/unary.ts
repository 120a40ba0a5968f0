// Leasing, reporting and extending in single calls, for any language that can make one. A lease of over 10 s is written
// to the store before it is handed out, so that it outlives this broker; its token is good at any other.

import { Refusal } from "../core/errors.js";
import { type Progress, type State, specOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import { byOrigin } from "./fences.js";
import { type ToldProgress, tell, told } from "./held-answer.js";
import type { Holding } from "./holdings.js";
import type { Ledger } from "./ledger.js";
import type { Clock, Jobs, LeaseClaim, Peers, Tokens } from "./ports.js";
import { UnaryCall, type UnaryCallParts } from "./unary-call.js";
import type { Extended, Grant, LeaseCall, OutcomeReport } from "./worker-api.js";

/** A worker's word for a run of its session, on the way to the broker that has the session. */
interface Vouch {
  id: string;
  origin: number;
  /** ms. */
  duration: number;
  progress: ToldProgress | undefined;
}

type Vouched = Pick<Extended, "cancelRequested">;

export interface UnaryWorkersParts extends UnaryCallParts {
  ledger: Ledger;
  jobs: Pick<Jobs, "read">;
  tokens: Tokens;
  clock: Clock;
  /** This broker's name. */
  broker: string;
  peers: Peers;
}

export class UnaryWorkers {
  #draining = false;
  readonly #calls = new Set<UnaryCall>();

  constructor(readonly parts: UnaryWorkersParts) {
    parts.peers.answer("vouch", (body) => this.#vouched(body as Vouch));
  }

  async lease(request: LeaseCall): Promise<Grant[]> {
    if (this.#draining) {
      throw new Refusal("DRAINING", "this broker is stopping: call another one", { retryAfter: 500 });
    }
    const call = new UnaryCall(request, this.parts);
    this.#calls.add(call);
    try {
      return await call.grants();
    } finally {
      this.#calls.delete(call);
    }
  }

  ack(outcomes: readonly OutcomeReport[]): Promise<(State | Refusal)[]> {
    return Promise.all(outcomes.map((outcome) => this.#ack(outcome)));
  }

  extend(
    leases: readonly { token: string; duration: number; progress: Progress | undefined }[],
  ): Promise<(Extended | Refusal)[]> {
    return Promise.all(
      leases.map(({ token, duration, progress }) => asItem(() => this.#extend(token, duration, progress))),
    );
  }

  /** Waiting calls are answered; new ones are refused. */
  drain(): void {
    this.#draining = true;
    for (const call of this.#calls) call.finish();
  }

  #ack(outcome: OutcomeReport): Promise<State | Refusal> {
    return asItem(async () => {
      const claim = this.#claim(outcome.token);
      const here = this.#here(claim);
      if (here === undefined) return this.parts.settling.reportByToken(claim, outcome.report);
      if (here.settling) {
        throw new Refusal("ALREADY_REPORTED", `an outcome of ${here.id} is being recorded`);
      }
      // Somebody may have asked for the cancel through another broker: the store knows.
      if (outcome.report.type === "cancelled" && !here.cancelRequested) {
        return this.parts.settling.reportByToken(claim, outcome.report);
      }
      return this.parts.settling.report(here, outcome.report);
    });
  }

  async #extend(token: string, duration: number, progress: Progress | undefined): Promise<Extended> {
    const claim = this.#claim(token);
    const here = this.#here(claim);
    const now = this.parts.clock.now();
    const stamped = progress === undefined ? undefined : { ...progress, at: now };
    const vouch = { id: jobId(claim.ref), origin: claim.origin, duration, progress: tell(stamped) };
    const ofSession = here === undefined ? await this.#vouchedElsewhere(vouch) : this.#vouched(vouch);
    if (ofSession !== null) return { expiresAt: now + duration, ...ofSession, drain: this.#draining };
    const fence = byOrigin(claim);
    const [snapshot] = here === undefined ? await this.parts.jobs.read([claim.ref]) : [];
    const stored = here?.stored ?? snapshot?.current;
    if (stored === undefined) throw new Refusal("JOB_NOT_FOUND", `no job ${jobId(claim.ref)}`);
    const old = stored.job.hold;
    // A run that is to end gets no more time than the grace it was given.
    const leaseUntil =
      stored.job.cancelRequestedAt > 0 && old !== undefined ? old.leaseUntil : now + duration;
    const hold = {
      origin: claim.origin,
      worker: old?.worker ?? here?.holder.worker ?? "",
      startedAt: old?.startedAt ?? here?.startedAt ?? now,
      leaseUntil,
      unary: true,
      lostOnExpiry: specOf(stored.job).retry?.maxCrashes === 0,
      broker: this.parts.broker,
    };
    const known = here?.known() ?? { stored, last: snapshot?.last ?? stored.seq };
    const refusal = here === undefined ? fence(stored, true) : undefined;
    if (refusal !== undefined) throw refusal;
    const changed = await this.parts.ledger.change(
      claim.ref,
      known,
      { type: "hold", hold, progress: stamped },
      fence,
    );
    const cancelRequested = changed.stored.job.cancelRequestedAt > 0;
    if (here !== undefined) {
      here.stored = changed.stored;
      here.last = changed.last;
      here.ticket?.ack();
      here.ticket = undefined;
      here.expiresAt = leaseUntil;
      here.progress = stamped ?? here.progress;
      here.cancelRequested = cancelRequested;
    }
    return { expiresAt: leaseUntil, cancelRequested, drain: this.#draining };
  }

  /** A session keeps its leases by itself; this keeps the session. Null for a lease that is no session's here. */
  #vouched({ id, origin, duration, progress }: Vouch): Vouched | null {
    const holding = this.parts.holdings.get(id);
    if (holding === undefined || holding.claim.origin !== origin || holding.holder.unary) return null;
    holding.holder.vouched(duration);
    holding.progress = told(progress) ?? holding.progress;
    return { cancelRequested: holding.cancelRequested };
  }

  /** Only the session's own broker can keep it: writing the lease here would take it away from there. */
  async #vouchedElsewhere(vouch: Vouch): Promise<Vouched | null> {
    if (this.parts.peers.all().length < 2) return null;
    const { answers } = await this.parts.peers.ask("vouch", vouch);
    const vouched = answers.find(({ body }) => body !== null && body !== undefined);
    return vouched === undefined ? null : (vouched.body as Vouched);
  }

  #claim(token: string): LeaseClaim {
    const claim = this.parts.tokens.verify(token);
    if (claim === undefined) {
      throw new Refusal("INVALID_TOKEN", "not a lease token of this namespace: pass it as Lease gave it");
    }
    return claim;
  }

  #here(claim: LeaseClaim): Holding | undefined {
    const holding = this.parts.holdings.get(jobId(claim.ref));
    return holding?.claim.origin === claim.origin ? holding : undefined;
  }
}

async function asItem<T>(work: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}
