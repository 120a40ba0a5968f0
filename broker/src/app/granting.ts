// From a ticket to a lease. Nothing is written for it, with three exceptions: a job that came too late to start, a job
// that may run at most once (the store must know before the worker does), and a lease of a single call that is to
// outlive this broker.

import { Refusal } from "../core/errors.js";
import { type Content, type JobRef, type Spec, specOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import { isPassing, unmoved, untouched } from "./fences.js";
import type { FlowInput } from "./flow-api.js";
import type { Hints } from "./hints.js";
import { type Holder, Holding, type Holdings } from "./holdings.js";
import type { Known, Ledger } from "./ledger.js";
import type { Clock, Jobs, Ticket, Tokens } from "./ports.js";
import { report, type Settling } from "./settling.js";
import { type Log, type Telemetry, traceOf } from "./telemetry.js";
import type { Grant } from "./worker-api.js";

const none: readonly FlowInput[] = [];

export interface Granted {
  holding: Holding;
  grant: Grant;
}

/** What a ticket's payload counts against a holder's credit, wherever it lies. */
export function payloadBytes(ticket: Ticket): number {
  const payload = ticket.stored?.job.spec?.payload;
  return payload?.externalSize || payload?.data.length || 0;
}

export class Granting {
  constructor(
    readonly ledger: Ledger,
    readonly settling: Settling,
    readonly holdings: Holdings,
    readonly jobs: Pick<Jobs, "body">,
    readonly tokens: Tokens,
    readonly hints: Hints,
    readonly clock: Clock,
    readonly telemetry: Telemetry,
    readonly log: Log,
    /** What goes with the lease of a flow's member. */
    readonly inputs: (spec: Spec) => Promise<FlowInput[]>,
    /** Whether a place of its concurrency key could be had; otherwise the job is parked. */
    readonly enter: (ref: JobRef, known: Known, origin: number) => Promise<boolean>,
  ) {}

  /** Leases a ticket's job to a holder. Synchronous wherever nothing has to be read or written first; undefined when
   *  the job is not to run. `leaseFor`: ms for a unary lease, 0 for one that lives with its session. */
  grant(
    ticket: Ticket,
    holder: Holder,
    leaseId: number,
    leaseFor: number,
  ): Granted | Promise<Granted | undefined> {
    const { stored } = ticket;
    if (stored === undefined) throw new Error("a tombstone cannot be leased");
    const spec = specOf(stored.job);
    const now = this.clock.now();
    if (spec.startBy > 0 && now > spec.startBy && stored.job.history.length === 0)
      return this.#expire(ticket);
    const claim = { ref: ticket.ref, attempt: stored.job.attempt, origin: ticket.seq };
    const size = payloadBytes(ticket);
    const holding = new Holding(
      claim,
      stored,
      ticket.seq,
      holder,
      leaseId,
      size,
      now,
      this.settling.run.holdAfter,
    );
    holding.ticket = ticket;
    if (spec.hardLimit > 0) {
      holding.endAt = holding.startedAt + spec.hardLimit + this.settling.run.hardLimitGrace;
      holding.endAs = "time-limit";
    }
    if (leaseFor > 0) holding.expiresAt = now + leaseFor;
    this.holdings.add(holding);
    const { payload } = spec;
    const writesFirst = spec.retry?.maxCrashes === 0 || leaseFor > this.settling.run.holdAfter;
    const keyed = spec.concurrencyKey !== "";
    const fed = spec.flow !== undefined && spec.flow.dependsOn.length > 0;
    if (writesFirst || fed || keyed || (payload !== undefined && payload.externalSize > 0)) {
      return this.#prepare(holding, spec, writesFirst ? leaseFor || this.settling.run.lease : 0);
    }
    return this.#granted(holding, spec, payload, none);
  }

  async #prepare(holding: Holding, spec: Spec, holdFor: number): Promise<Granted | undefined> {
    try {
      if (spec.concurrencyKey !== "" && !(await this.#enter(holding))) return undefined;
      const [payload, inputs] = await Promise.all([
        this.payload(spec),
        spec.flow === undefined ? none : this.inputs(spec),
      ]);
      // Nobody has the lease yet. Whoever wrote one meanwhile had the same ticket, and its worker runs the job.
      const strict = untouched(holding.claim);
      if (holdFor > 0 && !(await this.settling.hold(holding, holdFor, undefined, strict))) return undefined;
      if (holdFor > 0) this.holdings.renewed(holding, this.clock.now() + this.settling.run.renewEvery);
      return this.#granted(holding, spec, payload, inputs);
    } catch (error) {
      // Nobody has seen the job yet; un-acked, its ticket comes again.
      if (!isPassing(error)) this.log.error({ job: holding.id, error: String(error) }, "a lease failed");
      this.settling.letGo(holding);
      return undefined;
    }
  }

  /** A place of its concurrency key. False: its job is parked. @throws Refusal */
  async #enter(holding: Holding): Promise<boolean> {
    try {
      if (await this.enter(holding.ref, holding.known(), holding.claim.origin)) return true;
    } catch (error) {
      // Unless it has moved on meanwhile, which is as good as parked.
      if (!(error instanceof Refusal) || isPassing(error)) throw error;
    }
    holding.ticket?.ack();
    this.settling.letGo(holding);
    return false;
  }

  /** The payload, wherever it lies. @throws Refusal STORE_UNAVAILABLE */
  async payload(spec: Spec): Promise<Content | undefined> {
    const { payload } = spec;
    if (payload === undefined || payload.externalSize === 0) return payload;
    const data = await this.jobs.body({ task: spec.task, key: spec.key });
    return data === undefined ? undefined : { data, type: payload.type, externalSize: 0 };
  }

  #granted(
    holding: Holding,
    spec: Spec,
    payload: Content | undefined,
    inputs: readonly FlowInput[],
  ): Granted {
    const { job } = holding.stored;
    const since = job.dueAt || spec.submittedAt;
    this.telemetry.started(spec, Math.max(0, holding.startedAt - since) / 1000, traceOf(spec));
    this.hints.stirred(holding.id);
    return {
      holding,
      grant: {
        leaseId: holding.leaseId,
        token: this.tokens.sign(holding.claim),
        ref: holding.ref,
        spec: this.telemetry.traces?.lent(spec, holding.claim.attempt) ?? spec,
        payload,
        inputs,
        attempt: holding.claim.attempt,
        failures: job.failures,
        expiresAt: holding.expiresAt,
      },
    };
  }

  async #expire(ticket: Ticket): Promise<undefined> {
    const { stored } = ticket;
    if (stored === undefined) return;
    try {
      const changed = await this.ledger.change(
        ticket.ref,
        { stored, last: ticket.seq },
        { type: "expire" },
        unmoved,
      );
      report(changed, this.telemetry, this.log, this.clock.now());
      ticket.ack();
    } catch (error) {
      if (isPassing(error)) return;
      this.log.debug({ job: jobId(ticket.ref) }, "an expired job had moved on");
      ticket.ack();
    }
  }
}
