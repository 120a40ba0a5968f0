// Tickets that may not run as they came. A ticket of an earlier connection, or one that JetStream delivered before, may
// be of a job that has long finished or that somebody is running right now: it is read first, many at a time. What
// cannot be parsed becomes a dead letter with its bytes, instead of going round in circles.

import { Refusal } from "../core/errors.js";
import type { Stored } from "../core/job.js";
import { jobId } from "../core/names.js";
import { isPassing, unmoved } from "./fences.js";
import type { HeldAnswer } from "./held-answer.js";
import type { Holdings } from "./holdings.js";
import type { Ledger } from "./ledger.js";
import type { Jobs, Peers, Ticket } from "./ports.js";
import { report } from "./settling.js";
import type { Log, Telemetry } from "./telemetry.js";

const readAtOnce = 200;

export interface DeliveriesParts {
  ledger: Pick<Ledger, "change" | "bury">;
  jobs: Pick<Jobs, "read">;
  peers: Pick<Peers, "ask">;
  holdings: Holdings;
  telemetry: Telemetry;
  log: Log;
  accept: (ticket: Ticket) => void;
  isBuffered: (id: string) => boolean;
}

export class Deliveries {
  readonly #waiting: { ticket: Ticket; decided: () => void }[] = [];
  #busy = false;

  constructor(readonly parts: DeliveriesParts) {}

  /** Settles, never rejecting, when it is decided what becomes of the ticket. */
  async examine(ticket: Ticket): Promise<void> {
    if (ticket.corrupt !== undefined && ticket.stored !== undefined) {
      await this.#bury(ticket, ticket.stored);
    } else if (ticket.stored === undefined) {
      ticket.ack();
    } else if (!this.#isOurs(ticket)) {
      await new Promise<void>((decided) => {
        this.#waiting.push({ ticket, decided });
        void this.#work();
      });
    }
  }

  /** Puts a ticket back at the end of its lane that nobody here took in time. */
  giveBack(ticket: Ticket): void {
    void this.#reissue(ticket, false);
  }

  /** The first delivery is the one that counts. */
  #isOurs(ticket: Ticket): boolean {
    const id = jobId(ticket.ref);
    return this.parts.holdings.get(id)?.claim.origin === ticket.seq || this.parts.isBuffered(id);
  }

  /** One round at a time; what comes meanwhile goes into the next. */
  async #work(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const round = this.#waiting.splice(0, readAtOnce);
      try {
        await this.#round(round.map(({ ticket }) => ticket));
      } catch (error) {
        // Left un-acked, they come again.
        this.parts.log.warn({ error: String(error) }, "delivered tickets could not be looked into");
      }
      for (const { decided } of round) decided();
    }
    this.#busy = false;
  }

  async #round(tickets: readonly Ticket[]): Promise<void> {
    const current = await this.#stillTheJob(tickets);
    if (current.length === 0) return;
    const { held, silent } = await this.#askHolders(current.map((ticket) => jobId(ticket.ref)));
    const free = current.filter((ticket) => !held.has(jobId(ticket.ref)) && !this.#isOurs(ticket));
    if (free.length === 0) return;
    // Read again: whoever held it may have stored its end between the read and the question, and held it no more.
    for (const ticket of await this.#stillTheJob(free)) {
      if (this.#isOurs(ticket)) continue;
      // Somebody who cannot be heard may be running it: only a new ticket fences that run off.
      if (ticket.deliveries === 1 && silent === 0) this.parts.accept(ticket);
      else void this.#reissue(ticket, ticket.deliveries > 1);
    }
  }

  /** The tickets that are their jobs' state; the others are acked. */
  async #stillTheJob(tickets: readonly Ticket[]): Promise<Ticket[]> {
    const snapshots = await this.parts.jobs.read(tickets.map((ticket) => ticket.ref));
    return tickets.filter((ticket, i) => {
      const now = snapshots[i]?.current;
      if (now?.phase === "ready" && now.seq === ticket.seq) return true;
      ticket.ack();
      return false;
    });
  }

  async #askHolders(ids: readonly string[]): Promise<{ held: Set<string>; silent: number }> {
    const { answers, silent } = await this.parts.peers.ask("holders", { ids });
    const held = new Set<string>();
    for (const { body } of answers) for (const { id } of body as HeldAnswer[]) held.add(id);
    return { held, silent };
  }

  async #reissue(ticket: Ticket, counted: boolean): Promise<void> {
    const { stored } = ticket;
    if (stored === undefined) return;
    try {
      const event = { type: "reissue", counted } as const;
      const changed = await this.parts.ledger.change(
        ticket.ref,
        { stored, last: ticket.seq },
        event,
        unmoved,
      );
      this.parts.telemetry.reissued(ticket.lane, counted ? "redelivered" : "unserved");
      if (changed.stored.phase !== "ready") {
        report(changed, this.parts.telemetry, this.parts.log, changed.stored.job.finishedAt);
      }
      ticket.ack();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // Moved on: done with. Not reachable: it comes again by itself.
      if (!isPassing(error)) ticket.ack();
    }
  }

  async #bury(ticket: Ticket, stored: Stored): Promise<void> {
    try {
      await this.parts.ledger.bury(ticket.ref, stored);
      this.parts.log.error(
        { job: jobId(ticket.ref), seq: ticket.seq },
        "a ticket cannot be read: job failed",
      );
      this.parts.telemetry.finished(ticket.lane, "failed", "CORRUPT", undefined);
      ticket.ack();
    } catch (error) {
      this.parts.log.error(
        { job: jobId(ticket.ref), error: String(error) },
        "a ticket cannot be read nor recorded as failed",
      );
    }
  }
}
