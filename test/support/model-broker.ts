// A broker's use cases, as they ship, on a store in memory. Whatever they ask of the outside waits until the test lets it
// happen, so that any two brokers can be interleaved in any way, and one can vanish between any two steps.

import { Alarms } from "../../broker/src/app/alarms.js";
import { Cancel } from "../../broker/src/app/cancel.js";
import { Deliveries } from "../../broker/src/app/deliveries.js";
import { Dispatcher } from "../../broker/src/app/dispatcher.js";
import { Granting } from "../../broker/src/app/granting.js";
import { Hints } from "../../broker/src/app/hints.js";
import { Holdings } from "../../broker/src/app/holdings.js";
import { Inspect } from "../../broker/src/app/inspect.js";
import { Keeper } from "../../broker/src/app/keeper.js";
import { type Changed, type Fence, type Known, Ledger } from "../../broker/src/app/ledger.js";
import {
  type Change,
  type Clock,
  Conflict,
  type Jobs,
  type Journal,
  type LaneKey,
  type Lanes,
  type LaneView,
  type LeaseClaim,
  type Peers,
  type Ticket,
  type Tokens,
} from "../../broker/src/app/ports.js";
import { Reader } from "../../broker/src/app/reader.js";
import { Sessions } from "../../broker/src/app/sessions.js";
import { Settling } from "../../broker/src/app/settling.js";
import { type Log, silent } from "../../broker/src/app/telemetry.js";
import { UnaryWorkers } from "../../broker/src/app/unary.js";
import { Refusal } from "../../broker/src/core/errors.js";
import type { JobRef, Snapshot } from "../../broker/src/core/job.js";
import { parseJobId } from "../../broker/src/core/names.js";
import { bears } from "../../broker/src/core/snapshot.js";
import type { Event } from "../../broker/src/core/transitions.js";
import type { Message, ModelStore } from "./model-store.js";

/** What may become of a write: an answer may be lost, and so may the request. */
export type Fate = "answered" | "answer-lost" | "request-lost";

/** What all brokers of a world share. */
export interface Shared {
  readonly store: ModelStore;
  readonly clock: Clock;
  readonly brokers: readonly ModelBroker[];
  /** Settles when the test lets the next step of this broker happen; never, when the broker is gone by then. */
  turn(broker: ModelBroker, what: "read" | "write" | "ask"): Promise<Fate>;
  committed(change: Change, seq: number): void;
  nonce(): string;
  /** Something that must never happen. */
  broken(what: string): void;
  /** Whether the fences are asked at all. */
  readonly fenced: boolean;
}

const nothing = () => undefined;
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
export const theLane: LaneKey = { task: "t", queue: "q", priority: 5 };

export class ModelBroker {
  alive = true;
  /** Neither heard by the others nor hearing them. */
  cutOff = false;
  /** Tickets at or below are read before they run. */
  trustAbove = 0;
  readonly asked = new Map<string, (body: unknown) => unknown>();
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
  readonly alarms: Alarms;
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
    this.ledger = new WatchedLedger(this, jobs, lanes, this.#hints);
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
    );
    this.keeper = new Keeper(holdings, this.settling, clock, silent, log);
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
    );
    new Inspect(peers, holdings, this.sessions, this.dispatcher, this.keeper);
    this.alarms = new Alarms(this.ledger, jobs, peers, silent, log);
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
    const trusted = deliveries === 1 && seq > this.trustAbove;
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

  hears(other: ModelBroker): boolean {
    return other === this || (other.alive && !other.cutOff && !this.cutOff);
  }
}

/** Bugs come out as what must not happen; and a world without fences can be had. */
class WatchedLedger extends Ledger {
  readonly #shared: Shared;

  constructor(broker: ModelBroker, jobs: Jobs, lanes: Lanes, hints: Hints) {
    super(new ModelJournal(broker), jobs, lanes, broker.shared.clock, hints, () => 0.5);
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

/** Writes at once; after a lost answer it finds out by the nonce, as the one that ships does. */
class ModelJournal implements Journal {
  constructor(readonly broker: ModelBroker) {}

  nonce(): string {
    return this.broker.shared.nonce();
  }

  async commit(change: Change): Promise<number> {
    const { shared } = this.broker;
    for (let unknown = false; ; ) {
      const fate = await shared.turn(this.broker, "write");
      const seq = fate === "request-lost" ? undefined : shared.store.commit(change, shared.clock.now());
      if (seq !== undefined) shared.committed(change, seq);
      if (fate === "answered") {
        if (seq !== undefined) return seq;
        if (!unknown) throw new Conflict(change.ref);
      }
      unknown = true;
      await shared.turn(this.broker, "read");
      const snapshot = shared.store.read(change.ref);
      if (bears(snapshot, change.nonce)) return snapshot.current?.seq ?? snapshot.last;
      if (snapshot.last !== change.expected) throw new Conflict(change.ref);
    }
  }
}

class ModelJobs implements Jobs {
  constructor(readonly broker: ModelBroker) {}

  async read(refs: readonly JobRef[]): Promise<Snapshot[]> {
    await this.broker.shared.turn(this.broker, "read");
    return refs.map((ref) => this.broker.shared.store.read(ref));
  }

  async body(): Promise<undefined> {
    return undefined;
  }

  dropBody(): void {
    // Payloads here are small.
  }

  async list(): Promise<never> {
    throw new Error("nobody lists here");
  }

  watch(): () => void {
    return nothing;
  }
}

class ModelPeers implements Peers {
  readonly self: string;

  constructor(readonly broker: ModelBroker) {
    this.self = broker.name;
  }

  all(): string[] {
    return this.#heard().map(({ name }) => name);
  }

  async ask(topic: string, body: unknown) {
    const targets = this.#heard();
    const answers: { broker: string; body: unknown }[] = [];
    for (const target of targets) {
      const asked = target.asked.get(topic);
      if (asked === undefined) continue;
      const answer = (said: unknown) => {
        if (target.alive) answers.push({ broker: target.name, body: said });
      };
      Promise.resolve(asked(body)).then(answer, nothing);
    }
    await this.broker.shared.turn(this.broker, "ask");
    return { answers: [...answers], silent: targets.length - answers.length };
  }

  answer(topic: string, handler: (body: unknown) => unknown): void {
    this.broker.asked.set(topic, handler);
  }

  tell(topic: string, body: unknown): void {
    const said = () => {
      for (const target of this.#heard()) {
        for (const handler of target.told.get(topic) ?? []) handler(body, this.self);
      }
    };
    void this.broker.shared.turn(this.broker, "ask").then(said);
  }

  hear(topic: string, handler: (body: unknown, broker: string) => void): void {
    const handlers = this.broker.told.get(topic) ?? [];
    this.broker.told.set(topic, [...handlers, handler]);
  }

  #heard(): ModelBroker[] {
    return this.broker.shared.brokers.filter((other) => other.alive && this.broker.hears(other));
  }
}

class OneLane implements Lanes {
  readonly #lane: LaneView = { key: theLane, pending: 0, pulling: 0, probing: false };

  async ensure(): Promise<void> {
    // It is there.
  }

  has(): boolean {
    return true;
  }

  all(): readonly LaneView[] {
    return [this.#lane];
  }

  pull(): void {
    // The test delivers when it likes.
  }

  probe(): void {
    // The test delivers when it likes.
  }
}

/** Whether tokens can be forged is not the question here. */
export const plainTokens: Tokens = {
  sign: ({ ref, attempt, origin }) => `${attempt}.${origin}.${ref.task}~${ref.key}`,
  verify: (token): LeaseClaim | undefined => {
    const [, attempt, origin, id = ""] = /^(\d+)\.(\d+)\.(.*)$/.exec(token) ?? [];
    const ref = parseJobId(id);
    return ref && { ref, attempt: Number(attempt), origin: Number(origin) };
  },
};
