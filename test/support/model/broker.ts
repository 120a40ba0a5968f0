// A broker's use cases, as they ship, on a store in memory. Whatever they ask of the outside waits until the test lets it
// happen, so that any two brokers can be interleaved in any way, and one can vanish between any two steps.

import { Agenda } from "../../../broker/src/app/agenda.js";
import { Alarms } from "../../../broker/src/app/alarms.js";
import { Cancel } from "../../../broker/src/app/cancel.js";
import { Deliveries } from "../../../broker/src/app/deliveries.js";
import { Dispatcher } from "../../../broker/src/app/dispatcher.js";
import { Granting } from "../../../broker/src/app/granting.js";
import { Hints } from "../../../broker/src/app/hints.js";
import { Holdings } from "../../../broker/src/app/holdings.js";
import { Inspect } from "../../../broker/src/app/inspect.js";
import { Keeper } from "../../../broker/src/app/keeper.js";
import { type Changed, type Fence, type Known, Ledger } from "../../../broker/src/app/ledger.js";
import { Move } from "../../../broker/src/app/move.js";
import type { Jobs, Lanes, Ticket } from "../../../broker/src/app/ports.js";
import { Promoter } from "../../../broker/src/app/promoter.js";
import { Reader } from "../../../broker/src/app/reader.js";
import { Sessions } from "../../../broker/src/app/sessions.js";
import { Settling } from "../../../broker/src/app/settling.js";
import { type Log, silent } from "../../../broker/src/app/telemetry.js";
import { UnaryWorkers } from "../../../broker/src/app/unary.js";
import { Refusal } from "../../../broker/src/core/errors.js";
import type { JobRef } from "../../../broker/src/core/job.js";
import type { Event } from "../../../broker/src/core/transitions.js";
import {
  type Host,
  ModelJobs,
  ModelJournal,
  ModelPeers,
  OneLane,
  plainTokens,
  type Shared,
  theLane,
} from "./ports.js";
import type { Message } from "./store.js";

const nothing = () => undefined;
const log: Log = { outcome: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

export class ModelBroker implements Host {
  alive = true;
  /** Neither heard by the others nor hearing them. */
  cutOff = false;
  /** Tickets at or below are read before they run. */
  trustAbove = 0;
  readonly asked = new Map<string, (body: unknown) => unknown>();
  /** The count of deliveries that each ticket came here with, the lowest of them. */
  readonly came = new Map<number, number>();
  readonly told = new Map<string, ((body: unknown, broker: string) => void)[]>();
  readonly ledger: Ledger;
  readonly holdings = new Holdings();
  readonly settling: Settling;
  readonly granting: Granting;
  readonly dispatcher: Dispatcher;
  readonly sessions: Sessions;
  readonly unary: UnaryWorkers;
  readonly keeper: Keeper;
  readonly cancel: Cancel;
  readonly move: Move;
  readonly alarms: Alarms;
  /** Moved on by the test: its timer never starts. */
  readonly promoter: Promoter;
  readonly #hints: Hints;

  constructor(
    readonly name: string,
    readonly shared: Shared,
  ) {
    const { clock } = shared;
    const { holdings } = this;
    const jobs = new ModelJobs(this);
    const peers = new ModelPeers(this);
    const lanes = new OneLane();
    this.#hints = new Hints(jobs, peers);
    // Few places, so that some delays are left to the store.
    const agenda = new Agenda({ places: 2, distantPlaces: 2, distant: 1e9 });
    this.ledger = new WatchedLedger(this, jobs, lanes, this.#hints, agenda);
    this.promoter = new Promoter(agenda, this.ledger, jobs, clock, silent, log);
    this.settling = new Settling(this.ledger, holdings, jobs, clock, silent, log, name);
    this.granting = new Granting(
      this.ledger,
      this.settling,
      holdings,
      jobs,
      plainTokens,
      this.#hints,
      clock,
      silent,
      log,
      async () => [],
      async () => true,
    );
    const deliveries: Deliveries = new Deliveries(
      this.ledger,
      jobs,
      peers,
      holdings,
      silent,
      log,
      (ticket) => this.dispatcher.accept(ticket),
      (id) => this.dispatcher.isBuffered(id),
    );
    this.dispatcher = new Dispatcher(
      lanes,
      (ticket) => deliveries.giveBack(ticket),
      (ticket) => deliveries.examine(ticket),
      undefined,
      () => clock.now(),
    );
    // The test says when a session's grace is over.
    const never = { pingEvery: 1e9, timeout: 1e9, grace: 2e9 };
    const parts = {
      settling: this.settling,
      granting: this.granting,
      tokens: plainTokens,
      hints: this.#hints,
      clock,
    };
    this.sessions = new Sessions(name, never, parts, this.ledger, jobs, holdings, this.dispatcher, silent);
    this.unary = new UnaryWorkers(
      this.ledger,
      this.settling,
      this.granting,
      holdings,
      this.dispatcher,
      plainTokens,
      clock,
      name,
      peers,
    );
    this.keeper = new Keeper(holdings, this.settling, clock, log);
    this.keeper.stop();
    const reader = new Reader(jobs, peers, holdings);
    this.cancel = new Cancel(
      this.ledger,
      jobs,
      reader,
      peers,
      holdings,
      this.settling,
      this.dispatcher,
      clock,
      silent,
      log,
      { again: async () => [] },
    );
    this.move = new Move(this.ledger, jobs, lanes, reader, peers, holdings, this.settling, this.dispatcher);
    new Inspect(peers, holdings, this.sessions, this.dispatcher, this.keeper);
    this.alarms = new Alarms(this.ledger, jobs, peers, clock, silent, log);
  }

  /** The process is gone, with everything in it. */
  die(): void {
    this.alive = false;
    this.dispatcher.stop();
    this.sessions.stop();
    this.#hints.close();
  }

  delivered({ message, deliveries }: { message: Message; deliveries: number }): void {
    const { ref, seq, stored } = message;
    this.came.set(seq, Math.min(deliveries, this.came.get(seq) ?? deliveries));
    const trusted = deliveries === 1 && (seq > this.trustAbove || !this.shared.wary);
    if (trusted) this.shared.trusted(ref, stored?.rev);
    const ack = () => {
      if (this.alive) this.shared.store.tickets.ack(seq);
    };
    this.dispatcher.delivered({
      lane: theLane,
      ref,
      seq,
      deliveries,
      trusted,
      stored,
      corrupt: undefined,
      ack,
    });
  }

  rang(messages: readonly Message[]): void {
    const alarms = messages.map(({ ref, seq, stored }) => ({
      ref,
      seq,
      stored,
      corrupt: false,
      ack: () => {
        if (this.alive) this.shared.store.alarms.ack(seq);
      },
    }));
    void this.alarms.look(alarms);
  }

  /** A ticket of the buffer. */
  buffered(id: string): Ticket | undefined {
    return this.dispatcher.discard(id);
  }

  hears(other: Host): boolean {
    return other === this || !(this.cutOff || (other as ModelBroker).cutOff);
  }
}

/** Bugs come out as what must not happen; and a world without fences can be had. */
class WatchedLedger extends Ledger {
  readonly #shared: Shared;

  constructor(broker: ModelBroker, jobs: Jobs, lanes: Lanes, hints: Hints, agenda: Agenda) {
    super(new ModelJournal(broker), jobs, lanes, broker.shared.clock, hints, agenda, () => 0.5);
    this.#shared = broker.shared;
  }

  override async change(ref: JobRef, known: Known | undefined, event: Event, fence: Fence): Promise<Changed> {
    try {
      return await super.change(ref, known, event, this.#shared.fenced ? fence : () => undefined);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      this.#shared.broken(`${event.type} of ${ref.key}: ${String(error)}`);
      throw new Refusal("LEASE_LOST", "broken");
    }
  }
}
