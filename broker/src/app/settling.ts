// Everything that ends or prolongs an attempt: a worker's report, a heartbeat, a lost session, a limit, a cancel.

import type { Run } from "../core/attempt-ends.js";
import { Refusal } from "../core/errors.js";
import { AttemptOutcome, FailureReason, type State, specOf, stateOf } from "../core/job.js";
import { type RunTimes, times } from "../core/limits.js";
import type { Event } from "../core/transitions.js";
import { byOrigin, isPassing, untouched } from "./fences.js";
import type { Holding, Holdings } from "./holdings.js";
import type { Changed, Fence, Known, Ledger } from "./ledger.js";
import type { Clock, Jobs, LeaseClaim } from "./ports.js";
import { type EndState, type Log, type Outcome, type Telemetry, traceOf } from "./telemetry.js";
import type { Report } from "./worker-api.js";

export interface SettlingParts {
  ledger: Ledger;
  holdings: Holdings;
  jobs: Pick<Jobs, "dropBody">;
  clock: Clock;
  telemetry: Telemetry;
  log: Log;
  broker: string;
}

export class Settling {
  constructor(
    readonly parts: SettlingParts,
    readonly run: RunTimes = times,
  ) {}

  /** Records a worker's report on a lease of this broker. @throws Refusal */
  report(holding: Holding, report: Report): Promise<State> {
    return new Promise((recorded, failed) => this.settle(holding, report, recorded, failed));
  }

  /** The same for the thousands that a session reports. Calls one of the two, once; they must not throw. */
  settle(
    holding: Holding,
    report: Report,
    recorded: (state: State) => void,
    failed: (error: Error) => void,
  ): void {
    if (report.type === "cancelled" && !holding.cancelRequested) return failed(notCancelled(holding.id));
    holding.settling = true;
    const event = eventOf(report, { worker: holding.holder.worker, startedAt: holding.startedAt });
    this.parts.ledger.changeKnown(
      holding.ref,
      holding.known(),
      event,
      byOrigin(holding.claim),
      (changed) => {
        this.#settled(holding, changed);
        holding.settling = false;
        recorded(stateOf(changed.stored));
      },
      (error) => {
        if (error instanceof Refusal && !isPassing(error)) {
          this.parts.telemetry.refused(error.reason);
          holding.ticket?.ack();
          this.letGo(holding);
        }
        holding.settling = false;
        failed(error);
      },
    );
  }

  /** Records a report on a lease that this broker knows only by its token. @throws Refusal */
  async reportByToken(claim: LeaseClaim, report: Report): Promise<State> {
    const event = eventOf(report, { worker: "", startedAt: 0 });
    const fence = byOrigin(claim);
    const cancelling: Fence = (current, moved) =>
      fence(current, moved) ??
      (report.type === "cancelled" && current.job.cancelRequestedAt === 0
        ? notCancelled(`${claim.ref.task}~${claim.ref.key}`)
        : undefined);
    try {
      const changed = await this.parts.ledger.change(claim.ref, undefined, event, cancelling);
      this.#ended(changed);
      return stateOf(changed.stored);
    } catch (error) {
      if (error instanceof Refusal) this.parts.telemetry.refused(error.reason);
      throw error;
    }
  }

  /** Writes or renews the lease in the store. False: it is no longer ours, and was let go.
   *  @throws Refusal STORE_UNAVAILABLE */
  async hold(
    holding: Holding,
    leaseFor: number,
    cancel?: { reason: string },
    // A unary worker may have extended through another broker; a session's lease is only ours while untouched.
    fence = holding.holder.unary ? byOrigin(holding.claim) : untouched(holding.claim),
  ): Promise<boolean> {
    holding.renewing = true;
    try {
      const hold = {
        origin: holding.claim.origin,
        worker: holding.holder.worker,
        startedAt: holding.startedAt,
        leaseUntil: this.parts.clock.now() + leaseFor,
        unary: holding.holder.unary,
        lostOnExpiry: (specOf(holding.stored.job).retry?.maxCrashes ?? 1) === 0,
        broker: this.parts.broker,
      };
      const event: Event =
        cancel === undefined
          ? { type: "hold", hold, progress: holding.progress }
          : { type: "requestCancel", hold, reason: cancel.reason };
      const changed = await this.parts.ledger.change(holding.ref, holding.known(), event, fence);
      this.#now(holding, changed);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal) || isPassing(error)) throw error;
      this.#lost(holding, true);
      return false;
    } finally {
      holding.renewing = false;
    }
  }

  /** Ends an attempt by the broker's own decision: the worker is gone, a limit passed, a cancel went unanswered. */
  async end(holding: Holding, as: "lose" | "time-limit" | "cancelled"): Promise<void> {
    if (holding.settling) return;
    holding.settling = true;
    const run: Run = { worker: holding.holder.worker, startedAt: holding.startedAt };
    const event: Event =
      as === "lose"
        ? { type: "lose", run }
        : as === "cancelled"
          ? { type: "endCancelled", run }
          : { type: "fail", run, failure: timeLimit(specOf(holding.stored.job).hardLimit) };
    try {
      const changed = await this.parts.ledger.change(
        holding.ref,
        holding.known(),
        event,
        untouched(holding.claim),
      );
      if (as === "lose") this.parts.telemetry.leaseLost(lineOf(changed));
      else holding.holder.cancelled(holding, as === "cancelled" ? "lease-lost" : "time-limit");
      this.#settled(holding, changed);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const away = isPassing(error);
      // The ticket or the lease in the store ends by itself; what is here must not outlive it.
      if (away) this.parts.log.warn({ job: holding.id }, "an attempt could not be ended; the store will");
      this.#lost(holding, !away);
    } finally {
      holding.settling = false;
    }
  }

  /** Gives a lease back that no worker holds, without penalty. Never rejects: what cannot be written now ends by itself. */
  giveBack(holding: Holding): void {
    if (holding.settling) return;
    this.report(holding, { type: "release" }).catch((error: unknown) => {
      if (!(error instanceof Refusal)) throw error;
      this.letGo(holding);
    });
  }

  /** What is here is dropped; the job is left as it is. */
  letGo(holding: Holding): void {
    if (this.parts.holdings.remove(holding)) holding.holder.released(holding);
  }

  /** Somebody else has written the job since: the run is no lease any more. */
  superseded(holding: Holding): void {
    this.#lost(holding, true);
  }

  /** A ticket is acked only when the job has moved on: else it still is the job, and has to come again. */
  #lost(holding: Holding, movedOn: boolean): void {
    if (movedOn) holding.ticket?.ack();
    holding.holder.cancelled(holding, "lease-lost");
    this.letGo(holding);
  }

  #now(holding: Holding, changed: Changed): void {
    holding.stored = changed.stored;
    holding.last = changed.last;
    holding.ticket?.ack();
    holding.ticket = undefined;
    if (changed.stored.job.cancelRequestedAt > 0) holding.cancelRequested = true;
  }

  #settled(holding: Holding, changed: Changed): void {
    holding.ticket?.ack();
    holding.ticket = undefined;
    if (this.parts.holdings.remove(holding)) holding.holder.released(holding);
    this.#ended(changed);
  }

  /** Counts and logs what became of the attempt. */
  #ended(changed: Changed): void {
    report(changed, this.parts.telemetry, this.parts.log, this.parts.clock.now());
    const { payload } = specOf(changed.before.job);
    const over =
      changed.stored.phase !== "failed" &&
      changed.next.job.finishedAt > 0 &&
      // A cancelled member runs again when its flow is redriven.
      changed.next.job.spec?.payload === undefined;
    if (over && payload !== undefined && payload.externalSize > 0 && stateOf(changed.stored) !== "FAILED") {
      const { task, key } = specOf(changed.stored.job);
      this.parts.jobs.dropBody({ task, key });
    }
  }
}

/** One line of log, one count and the spans for what a change made of a job, which was stored at `now`. */
export function report(changed: Changed, telemetry: Telemetry, log: Log, now: number): void {
  telemetry.traces?.changed(changed, now);
  const { job } = changed.stored;
  const line = lineOf(changed);
  const state = stateOf(changed.stored);
  const attempt = job.history.at(-1);
  // A short run that another broker had handed out was reported here: when it began is not known.
  const timed = attempt !== undefined && attempt.startedAt > 0;
  const ran = timed ? attempt.endedAt - attempt.startedAt : undefined;
  const told = (outcome: Outcome["outcome"], reason: string, dueAt = 0) =>
    log.outcome({
      job: `${line.task}~${specOf(job).key}`,
      task: line.task,
      queue: line.queue,
      attempt: attempt?.number ?? 0,
      outcome,
      reason,
      ran,
      dueAt,
    });
  if (state === "SUCCEEDED" || state === "FAILED" || state === "CANCELLED") {
    const outcome = state.toLowerCase() as EndState;
    const reason = state === "FAILED" ? reasonName(job.failure?.reason ?? 0) : "";
    const seconds = ran === undefined ? undefined : ran / 1000;
    telemetry.finished(line, outcome, reason, seconds, traceOf(specOf(changed.before.job)));
    told(outcome, reason);
  } else if (
    attempt?.outcome === AttemptOutcome.FAILED &&
    changed.next.job.failures > changed.before.job.failures
  ) {
    telemetry.retried(line);
    told("retrying", reasonName(attempt.failure?.reason ?? 0), job.dueAt);
  } else if (changed.next.job.crashes > changed.before.job.crashes) {
    told("crashed", "");
  }
}

export function lineOf(known: Known): { task: string; queue: string } {
  const { task, queue } = specOf(known.stored.job);
  return { task, queue };
}

function reasonName(reason: number): string {
  for (const [name, number] of Object.entries(FailureReason)) if (number === reason) return name;
  return "";
}

function timeLimit(limit: number) {
  return {
    reason: FailureReason.TIME_LIMIT,
    type: "",
    message: `the run took longer than its hard time limit of ${limit} ms`,
    stack: "",
  };
}

function notCancelled(id: string): Refusal {
  return new Refusal(
    "NOT_CANCELLED",
    `nobody asked for ${id} to be cancelled: report what became of the run`,
  );
}

function eventOf(report: Report, run: Run): Event {
  switch (report.type) {
    case "success":
      return { type: "succeed", run, result: report.result };
    case "failure":
      return { type: "fail", run, failure: report.failure, retryAfter: report.retryAfter };
    case "release":
      return { type: "release", run };
    case "snooze":
      return { type: "snooze", run, delay: report.delay };
    case "cancelled":
      return { type: "endCancelled", run };
  }
}
