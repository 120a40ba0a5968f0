// Schedules that fired: a retry or a delay that is due, a lease that ended unreported, a deadline. The message is only
// an alarm, since the nats-server publishes what it picked without looking whether it still holds; what is true is
// read, for many jobs at once, and changed by compare-and-set like everything else.

import { Refusal } from "../core/errors.js";
import { type Stored, standingOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import { isPassing, unmoved } from "./fences.js";
import type { HeldAnswer } from "./held-answer.js";
import type { Known, Ledger } from "./ledger.js";
import type { Alarm, Clock, Jobs, Peers } from "./ports.js";
import { lineOf, report } from "./settling.js";
import type { Log, Telemetry } from "./telemetry.js";

export interface AlarmsParts {
  ledger: Ledger;
  jobs: Pick<Jobs, "read">;
  peers: Peers;
  clock: Clock;
  telemetry: Telemetry;
  log: Log;
}

export class Alarms {
  constructor(readonly parts: AlarmsParts) {}

  /** Never rejects: what could not be dealt with is not acked and comes again. */
  async look(alarms: readonly Alarm[]): Promise<void> {
    try {
      const snapshots = await this.parts.jobs.read(alarms.map((alarm) => alarm.ref));
      const due: { alarm: Alarm; known: Known }[] = [];
      for (const [i, alarm] of alarms.entries()) {
        const snapshot = snapshots[i];
        const current = snapshot?.current;
        if (current === undefined || current.phase !== "due" || current.seq !== alarm.seq) alarm.ack();
        else if (alarm.corrupt) void this.#bury(alarm, current);
        else due.push({ alarm, known: { stored: current, last: snapshot?.last ?? current.seq } });
      }
      const alive = await this.#stillHeld(due.map(({ known }) => known));
      await Promise.all(due.map(({ alarm, known }) => this.#act(alarm, known, alive)));
    } catch (error) {
      this.parts.log.warn({ error: String(error) }, "alarms could not be looked into");
    }
  }

  /** Of a job that cannot be read any more only its name is known: made ready, it would run without its payload. */
  async #bury(alarm: Alarm, stored: Stored): Promise<void> {
    const job = jobId(alarm.ref);
    try {
      await this.parts.ledger.bury(alarm.ref, stored);
      this.parts.log.error({ job, seq: alarm.seq }, "an alarm cannot be read: job failed");
      this.parts.telemetry.finished(
        { task: alarm.ref.task, queue: stored.queue },
        "failed",
        "CORRUPT",
        undefined,
      );
      alarm.ack();
    } catch (error) {
      this.parts.log.error(
        { job, error: String(error) },
        "an alarm cannot be read nor its job recorded as failed",
      );
    }
  }

  /** Leases that ended only because they could not be renewed, while a broker and its worker are alive: asked for, the
   *  holder renews, and the job has moved on when the alarm comes again. */
  async #stillHeld(due: readonly Known[]): Promise<Set<string>> {
    const ids = due
      .filter(({ stored }) => standingOf(stored) === "held" && stored.job.hold?.unary !== true)
      .map(({ stored }) => jobId(stored.job.spec ?? { task: "", key: "" }));
    const alive = new Set<string>();
    if (ids.length === 0) return alive;
    const { answers } = await this.parts.peers.ask("holders", { ids, renew: true });
    for (const { body } of answers) for (const { id } of body as HeldAnswer[]) alive.add(id);
    return alive;
  }

  async #act(alarm: Alarm, known: Known, alive: ReadonlySet<string>): Promise<void> {
    if (alive.has(jobId(alarm.ref))) return;
    try {
      const changed = await this.parts.ledger.change(alarm.ref, known, { type: "alarm" }, unmoved);
      if (standingOf(known.stored) === "later") {
        const late = (this.parts.clock.now() - known.stored.job.dueAt) / 1_000;
        this.parts.telemetry.promoted(lineOf(known), "alarm", late);
      } else if (standingOf(known.stored) === "held") {
        this.parts.telemetry.leaseLost({ task: alarm.ref.task, queue: known.stored.queue });
      }
      report(changed, this.parts.telemetry, this.parts.log, this.parts.clock.now());
      alarm.ack();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (isPassing(error)) return;
      if (error.reason === "TOO_MANY_LANES") {
        this.parts.log.error({ job: jobId(alarm.ref) }, `a due job has no lane: ${error.message}`);
        return;
      }
      alarm.ack();
    }
  }
}
