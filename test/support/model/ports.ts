// What a broker's use cases ask of the outside, answered by the model. Each request waits for its turn: that is where
// brokers are interleaved, answers get lost, and brokers vanish.

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
  type SureClock,
  type Tokens,
} from "../../../broker/src/app/ports.js";
import { Refusal } from "../../../broker/src/core/errors.js";
import type { JobRef, Snapshot } from "../../../broker/src/core/job.js";
import { parseJobId } from "../../../broker/src/core/names.js";
import { bears } from "../../../broker/src/core/snapshot.js";
import type { ModelStore } from "./store.js";

/** What may become of a write: an answer may be lost, and so may the request; and the journal may run out of patience
 *  without knowing which of the two it was. */
export type Fate = "answered" | "answer-lost" | "request-lost" | "given-up" | "given-up-stored";

/** What all brokers of a world share. */
export interface Shared {
  readonly store: ModelStore;
  readonly clock: Clock & SureClock;
  readonly brokers: readonly Host[];
  /** Settles when the test lets the next step of this broker happen; never, when the broker is gone by then. */
  turn(broker: Host): Promise<Fate>;
  committed(change: Change, seq: number): void;
  nonce(): string;
  /** Something that must never happen. */
  broken(what: string): void;
  /** Whether the fences are asked at all. */
  readonly fenced: boolean;
  /** Whether tickets from before the latest connection are read before they run. */
  readonly wary: boolean;
  /** A ticket is about to run unread. */
  trusted(ref: JobRef, rev: number | undefined): void;
}

/** Whose outside it is. */
export interface Host {
  readonly name: string;
  readonly alive: boolean;
  readonly shared: Shared;
  readonly asked: Map<string, (body: unknown) => unknown>;
  readonly told: Map<string, ((body: unknown, broker: string) => void)[]>;
  hears(other: Host): boolean;
}

/** All jobs are of one task and lie in one lane. */
export const theLane: LaneKey = { task: "t", queue: "q", priority: 5 };

const nothing = () => undefined;

/** Writes at once; after a lost answer it finds out by the nonce, as the one that ships does. */
export class ModelJournal implements Journal {
  constructor(readonly broker: Host) {}

  nonce(): string {
    return this.broker.shared.nonce();
  }

  write(change: Change, stored: (seq: number) => void, failed: (error: Error) => void): void {
    this.commit(change).then(stored, failed);
  }

  async commit(change: Change): Promise<number> {
    const { shared } = this.broker;
    for (let unknown = false; ; ) {
      const fate = await shared.turn(this.broker);
      const arrives = fate !== "request-lost" && fate !== "given-up";
      const seq = arrives ? shared.store.commit(change, shared.clock.now()) : undefined;
      if (seq !== undefined) shared.committed(change, seq);
      if (fate === "given-up" || fate === "given-up-stored") {
        throw new Refusal("STORE_UNAVAILABLE", "whether it stored the write is not known");
      }
      if (fate === "answered") {
        if (seq !== undefined) return seq;
        if (!unknown) throw new Conflict(change.ref);
      }
      unknown = true;
      await shared.turn(this.broker);
      const snapshot = shared.store.read(change.ref);
      if (bears(snapshot, change.nonce)) return snapshot.current?.seq ?? snapshot.last;
      if (snapshot.last !== change.expected) throw new Conflict(change.ref);
    }
  }
}

export class ModelJobs implements Jobs {
  constructor(readonly broker: Host) {}

  async read(refs: readonly JobRef[]): Promise<Snapshot[]> {
    await this.broker.shared.turn(this.broker);
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

export class ModelPeers implements Peers {
  readonly self: string;

  constructor(readonly broker: Host) {
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
    await this.broker.shared.turn(this.broker);
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
    void this.broker.shared.turn(this.broker).then(said);
  }

  hear(topic: string, handler: (body: unknown, broker: string) => void): void {
    const handlers = this.broker.told.get(topic) ?? [];
    this.broker.told.set(topic, [...handlers, handler]);
  }

  #heard(): Host[] {
    return this.broker.shared.brokers.filter((other) => other.alive && this.broker.hears(other));
  }
}

export class OneLane implements Lanes {
  readonly #lane: LaneView = { key: theLane, pending: 0, pulling: 0, probing: false };

  filled(): void {
    // Lanes of a test say by themselves what they hold.
  }

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
