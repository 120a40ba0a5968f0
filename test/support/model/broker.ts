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
import { Intake } from "../../../broker/src/app/intake.js";
import { Keeper } from "../../../broker/src/app/keeper.js";
import {
  type Changed,
  type Fence,
  type Known,
  Ledger,
  type LedgerParts,
} from "../../../broker/src/app/ledger.js";
import { Move } from "../../../broker/src/app/move.js";
import type { Ticket } from "../../../broker/src/app/ports.js";
import { Promoter } from "../../../broker/src/app/promoter.js";
import { Reader } from "../../../broker/src/app/reader.js";
import { Sessions } from "../../../broker/src/app/sessions.js";
import { Settling } from "../../../broker/src/app/settling.js";
import { type Log, silent as telemetry } from "../../../broker/src/app/telemetry.js";
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
  type Shared,
  theLane,
  plainTokens as tokens,
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
  /** Few places, so that some delays are left to the store. */
  readonly agenda = new Agenda({ places: 2, distantPlaces: 2, distant: 1e9 });
  readonly intake: Intake;
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
    const { holdings, agenda } = this;
    const jobs = new ModelJobs(this);
    const peers = new ModelPeers(this);
    const lanes = new OneLane();
    const hints = new Hints(jobs, peers);
    this.#hints = hints;
    const writing = { journal: new ModelJournal(this), jobs, lanes, clock, hints, agenda };
    this.intake = new Intake(writing);
    const ledger = new WatchedLedger(writing, shared);
    this.ledger = ledger;
    this.promoter = new Promoter({ agenda, ledger, jobs, clock, telemetry, log });
    const settling = new Settling({ ledger, holdings, jobs, clock, telemetry, log, broker: name });
    this.settling = settling;
    const granting = new Granting(
      ledger,
      settling,
      holdings,
      jobs,
      tokens,
      hints,
      clock,
      telemetry,
      log,
      async () => [],
      async () => true,
    );
    this.granting = granting;
    const deliveries: Deliveries = new Deliveries({
      ledger,
      jobs,
      peers,
      holdings,
      telemetry,
      log,
      accept: (ticket) => dispatcher.accept(ticket),
      isBuffered: (id) => dispatcher.isBuffered(id),
    });
    const dispatcher: Dispatcher = new Dispatcher(
      lanes,
      (ticket) => deliveries.giveBack(ticket),
      (ticket) => deliveries.examine(ticket),
      undefined,
      () => clock.now(),
    );
    this.dispatcher = dispatcher;
    // The test says when a session's grace is over.
    const never = { pingEvery: 1e9, timeout: 1e9, grace: 2e9 };
    const leasing = { ledger, jobs, settling, granting, holdings, dispatcher, tokens, clock, broker: name };
    this.sessions = new Sessions({ ...leasing, hints, telemetry }, never);
    this.unary = new UnaryWorkers({ ...leasing, peers });
    this.keeper = new Keeper(holdings, settling, clock, log);
    this.keeper.stop();
    const reader = new Reader(jobs, peers, holdings);
    const changing = { ledger, jobs, reader, peers, holdings, settling, dispatcher };
    const unique = { again: async () => [] };
    this.cancel = new Cancel({ ...changing, clock, telemetry, log, unique });
    this.move = new Move({ ...changing, lanes });
    new Inspect(peers, holdings, this.sessions, dispatcher, this.keeper);
    this.alarms = new Alarms({ ledger, jobs, peers, clock, telemetry, log });
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
  constructor(
    parts: LedgerParts,
    readonly shared: Shared,
  ) {
    super(parts, () => 0.5);
  }

  override async change(ref: JobRef, known: Known | undefined, event: Event, fence: Fence): Promise<Changed> {
    try {
      return await super.change(ref, known, event, this.shared.fenced ? fence : () => undefined);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      this.shared.broken(`${event.type} of ${ref.key}: ${String(error)}`);
      throw new Refusal("LEASE_LOST", "broken");
    }
  }
}
