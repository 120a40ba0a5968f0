// The sessions of this broker: who is attached, who has fallen silent, who came back in time.

import { invalid, Refusal } from "../core/errors.js";
import { specOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import type { Dispatcher } from "./dispatcher.js";
import { byOrigin } from "./fences.js";
import type { HeldAnswer } from "./held-answer.js";
import { Holding, type Holdings } from "./holdings.js";
import type { Ledger } from "./ledger.js";
import { Patience } from "./patience.js";
import type { Jobs, LeaseClaim } from "./ports.js";
import { type SessionParts, WorkSession } from "./session.js";
import type { Telemetry } from "./telemetry.js";
import type { Hello, Session, SessionSink } from "./worker-api.js";

export interface SessionTimes {
  /** Between two pings, ms. */
  pingEvery: number;
  /** Silence that ends a session, ms. */
  timeout: number;
  /** What a closed session has to come back, ms. */
  grace: number;
}

const readAtOnce = 200;
/** Between two looks at who is silent, ms. */
const tickEvery = 1_000;

/** What brokers tell one another of a lease that its worker has brought along. */
interface Taken {
  id: string;
  origin: number;
}

export interface SessionsParts extends Omit<SessionParts, "changed" | "ended"> {
  /** This broker's name. */
  broker: string;
  ledger: Ledger;
  jobs: Pick<Jobs, "read">;
  holdings: Holdings;
  dispatcher: Dispatcher;
  telemetry: Telemetry;
}

export class Sessions {
  /** Attached, or gone for less than the grace. By the worker's instance. */
  readonly #byInstance = new Map<string, WorkSession>();
  readonly #gone = new Map<WorkSession, Patience>();
  readonly #timer: NodeJS.Timeout;
  #draining = false;
  #lastTick = Date.now();
  #lastPing = Date.now();

  constructor(
    readonly parts: SessionsParts,
    readonly times: SessionTimes,
  ) {
    parts.hints.peers.hear("taken", (body) => this.#taken(body as Taken));
    this.#timer = setInterval(() => this.#tick(), tickEvery);
    this.#timer.unref();
  }

  /** Jobs that could be handed out now. */
  freeSlots(): number {
    return this.attached().reduce((free, session) => free + session.free(), 0);
  }

  /** Those with a stream. */
  attached(): WorkSession[] {
    return [...this.#byInstance.values()].filter((session) => session.open);
  }

  async attach(hello: Hello, sink: SessionSink): Promise<Session> {
    if (this.#draining) {
      throw new Refusal("DRAINING", "this broker is stopping: attach to another one", { retryAfter: 500 });
    }
    if (hello.tasks.length === 0) {
      throw invalid([{ field: "attach.tasks", description: "none: name at least one task to work on" }]);
    }
    const session = new WorkSession(hello, sink, {
      ...this.parts,
      changed: () => this.parts.dispatcher.soon(),
      ended: (ended, clean) => this.#ended(ended, clean),
    });
    const before = this.#byInstance.get(hello.instance);
    this.#byInstance.set(hello.instance, session);
    if (before !== undefined) this.#replace(before);
    const { held, lost } = await this.#takeUp(session, before, hello.held);
    if (!session.open) {
      // The stream ended while the store was asked.
      this.#lose(session);
      return session;
    }
    sink.attached({
      broker: this.parts.broker,
      pingInterval: this.times.pingEvery,
      sessionTimeout: this.times.timeout,
      held,
      lost,
    });
    this.parts.dispatcher.add(session);
    this.parts.telemetry.workers(this.attached().length);
    return session;
  }

  /** Workers are sent to other brokers; new ones are refused. */
  drain(): void {
    this.#draining = true;
    for (const session of this.attached()) {
      session.draining = true;
      session.sink.drain();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const patience of this.#gone.values()) patience.cancel();
    this.#gone.clear();
  }

  /** The same process again, before or after its old stream was seen to end. */
  #replace(before: WorkSession): void {
    this.#gone.get(before)?.cancel();
    this.#gone.delete(before);
    this.parts.dispatcher.remove(before);
    if (before.open) {
      before.open = false;
      before.sink.close("the worker has attached again");
    }
  }

  async #takeUp(session: WorkSession, before: WorkSession | undefined, tokens: readonly string[]) {
    const held: { token: string; leaseId: number; cancelRequested: boolean }[] = [];
    const lost: string[] = [];
    const elsewhere: { token: string; claim: LeaseClaim }[] = [];
    const keep = (token: string, holding: Holding) => {
      session.adopt(holding);
      held.push({ token, leaseId: holding.leaseId, cancelRequested: holding.cancelRequested });
    };
    for (const token of tokens) {
      const claim = this.parts.tokens.verify(token);
      if (claim === undefined) {
        lost.push(token);
        continue;
      }
      const here = this.parts.holdings.get(`${claim.ref.task}~${claim.ref.key}`);
      if (here !== undefined && here.claim.origin === claim.origin && !here.holder.unary) {
        // A consumer that had forgotten the delivery gave the same ticket out again: its worker runs the job by now.
        if (here.holder.instance !== session.instance) {
          lost.push(token);
          continue;
        }
        here.holder.released(here);
        keep(token, here);
      } else {
        elsewhere.push({ token, claim });
      }
    }
    // What was sent and never arrived the worker does not know: it has not begun, so it is given back.
    for (const holding of [...(before?.leases.values() ?? [])]) this.parts.settling.giveBack(holding);
    for (let i = 0; i < elsewhere.length; i += readAtOnce) {
      await this.#attachAll(session, elsewhere.slice(i, i + readAtOnce), keep, lost);
    }
    return { held, lost };
  }

  /** Leases of other brokers: each is written as held at once, which fences the other broker off. */
  async #attachAll(
    session: WorkSession,
    claims: readonly { token: string; claim: LeaseClaim }[],
    keep: (token: string, holding: Holding) => void,
    lost: string[],
  ): Promise<void> {
    const others = await this.#heldByOthers(
      session.instance,
      claims.map(({ claim }) => jobId(claim.ref)),
    );
    const snapshots = await this.parts.jobs.read(claims.map(({ claim }) => claim.ref));
    const now = this.parts.clock.now();
    await Promise.all(
      claims.map(async ({ token, claim }, i) => {
        const snapshot = snapshots[i];
        if (snapshot?.current === undefined || others.has(jobId(claim.ref))) {
          lost.push(token);
          return;
        }
        const before = snapshot.current;
        const spec = specOf(before.job);
        const startedAt = before.job.hold?.startedAt ?? now;
        const hold = {
          origin: claim.origin,
          worker: session.worker,
          startedAt,
          leaseUntil: now + this.parts.settling.run.lease,
          unary: false,
          lostOnExpiry: spec.retry?.maxCrashes === 0,
          broker: this.parts.broker,
        };
        try {
          const fence = byOrigin(claim);
          const refusal = fence(before, true);
          if (refusal !== undefined) throw refusal;
          const known = { stored: before, last: snapshot.last };
          const changed = await this.parts.ledger.change(claim.ref, known, { type: "hold", hold }, fence);
          const size = spec.payload?.externalSize || spec.payload?.data.length || 0;
          const holding = new Holding(
            claim,
            changed.stored,
            changed.last,
            session,
            0,
            size,
            now,
            this.parts.settling.run.renewEvery,
          );
          if (spec.hardLimit > 0)
            holding.endAt = startedAt + spec.hardLimit + this.parts.settling.run.hardLimitGrace;
          this.parts.holdings.add(holding);
          keep(token, holding);
          // Its ticket may wait in a buffer, here or elsewhere: handed out from there it would be run a second time.
          const taken: Taken = { id: holding.id, origin: claim.origin };
          this.#taken(taken);
          this.parts.hints.peers.tell("taken", taken);
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          lost.push(token);
        }
      }),
    );
  }

  /** Which of these jobs a living worker other than this one holds. */
  async #heldByOthers(instance: string, ids: readonly string[]): Promise<Set<string>> {
    const { peers } = this.parts.hints;
    const others = new Set<string>();
    if (peers.all().length < 2) return others;
    const { answers } = await peers.ask("holders", { ids });
    for (const { body } of answers) {
      for (const answer of body as HeldAnswer[]) {
        if (answer.instance !== "" && answer.instance !== instance) others.add(answer.id);
      }
    }
    return others;
  }

  /** A worker has come back with the lease of a ticket. */
  #taken({ id, origin }: Taken): void {
    this.parts.dispatcher.discard(id, origin)?.ack();
  }

  #ended(session: WorkSession, clean: boolean): void {
    this.parts.dispatcher.remove(session);
    this.parts.telemetry.workers(this.attached().length);
    if (clean) {
      // It closed in good order, so whatever it had not reported it does not run.
      this.#forget(session);
      for (const holding of [...session.leases.values()]) this.parts.settling.giveBack(holding);
      return;
    }
    this.#await(session, this.times.grace);
  }

  /** Gives it `ms` to come back. */
  #await(session: WorkSession, ms: number): void {
    this.#gone.set(session, new Patience(ms, () => this.#lose(session)));
  }

  #forget(session: WorkSession): void {
    this.#gone.delete(session);
    if (this.#byInstance.get(session.hello.instance) === session) {
      this.#byInstance.delete(session.hello.instance);
    }
  }

  #lose(session: WorkSession): void {
    const vouched = session.vouchedUntil - Date.now();
    if (vouched > 0) return this.#await(session, vouched);
    this.#forget(session);
    for (const holding of [...session.leases.values()]) void this.parts.settling.end(holding, "lose");
  }

  #tick(): void {
    const now = Date.now();
    // One tick's time has passed, whatever the clock says. Beyond it this broker stood still, and what workers said
    // meanwhile lies unread: that is not their silence. Or the clock was set.
    const beyond = now - this.#lastTick - tickEvery;
    this.#lastTick = now;
    const ping = Math.abs(now - this.#lastPing) >= this.times.pingEvery;
    if (ping) this.#lastPing = now;
    for (const session of this.attached()) {
      session.heard = Math.min(now, session.heard + beyond);
      session.vouchedUntil += beyond;
      if (now - session.heard > this.times.timeout && now > session.vouchedUntil) {
        session.open = false;
        session.sink.close(`nothing was heard for ${this.times.timeout} ms`);
        this.parts.dispatcher.remove(session);
        this.#lose(session);
        this.parts.telemetry.workers(this.attached().length);
      } else if (ping) {
        session.sink.ping(this.parts.clock.now());
      }
    }
  }
}
