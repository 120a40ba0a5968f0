// Keeps a worker attached to some broker, for as long as it wants to be: opens sessions one after the other, and while a
// broker stops, the next one beside it, so that no lease is ever without a session for longer than it has to be.

import { Ring } from "@drover/proto/sdk/addresses";
import type { Attach, Attached, CancelLeases, Lease, Settled } from "@drover/proto/v1";
import type { Logger } from "./log.js";
import { Reconnect } from "./reconnect.js";
import { type Incoming, type Outgoing, Session, type SessionOptions } from "./session.js";
import type { SessionError } from "./session-error.js";

export interface LinkEvents {
  /** What to attach with, asked anew for each session. */
  readonly attach: () => Attach;
  readonly attached: (attached: Attached, address: string) => void;
  /** No other broker took over after all: what was held back may go up. */
  readonly stayed: () => void;
  readonly leases: (leases: readonly Lease[]) => void;
  /** `moving`: another broker is just being asked to take the leases over, so this one may already be fenced off. */
  readonly settled: (settled: Settled, moving: boolean) => void;
  readonly cancel: (cancel: CancelLeases) => void;
  /** Whether there is no lease, nor an outcome to be settled. */
  readonly isIdle: () => boolean;
}

export interface LinkOptions extends Omit<SessionOptions, "address"> {
  readonly addresses: readonly string[];
  readonly logger: Logger;
}

/** For a stopping broker to end the stream it is left by, in ms. */
const LEAVE_TIMEOUT = 2_000;

export class Link {
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #ring: Ring;
  readonly #reconnect = new Reconnect();
  #current: Session | undefined;
  #opening: Session | undefined;
  #everAttached = false;
  #stopped = false;
  #wake: () => void = () => {};

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#ring = new Ring(options.addresses);
  }

  /** There is a session, and no other broker is just taking over: what goes up now counts. */
  get isOpen(): boolean {
    return this.#current !== undefined && this.#opening === undefined;
  }

  send(message: Outgoing): void {
    this.#current?.send(message);
  }

  /** Goes on until stop(). @throws SessionError when the very first attach is refused for what it asks for; whatever
   *  comes later is tried again. */
  async keep(): Promise<void> {
    while (!this.#stopped) {
      const session = this.#open();
      try {
        await session.attached;
      } catch (error) {
        if (this.#opening === session) this.#opening = undefined;
        if (this.#stopped) return;
        if (this.#current !== undefined) this.#events.stayed();
        await this.#onFailure(session, error as SessionError);
        continue;
      }
      await this.#follow(session);
    }
  }

  /** Opens no further session; the current one stays until end(). */
  stop(): void {
    this.#stopped = true;
    this.#opening?.close();
    this.#opening = undefined;
    this.#wake();
  }

  /** Half-closes the session and waits up to `patience` ms for the broker to do the same. */
  async end(patience: number): Promise<void> {
    await this.#current?.end(patience);
  }

  #open(): Session {
    const { addresses: _, logger: __, ...options } = this.#options;
    const session = new Session({ ...options, address: this.#ring.current }, this.#events.attach(), {
      attached: (attached, answer) => this.#becomeCurrent(attached, answer),
      message: (sender, message) => this.#receive(sender, message),
    });
    this.#opening = session;
    return session;
  }

  #becomeCurrent(session: Session, attached: Attached): void {
    const before = this.#current;
    this.#current = session;
    this.#opening = undefined;
    this.#everAttached = true;
    const { broker, held, lost } = attached;
    this.#options.logger.info(
      { event: "session_attached", broker, address: session.address, held: held.length, lost: lost.length },
      "session_attached",
    );
    this.#events.attached(attached, session.address);
    before?.close();
  }

  #receive(sender: Session, message: Incoming): void {
    // What a session says after another one took its leases over is about names that mean something else now.
    if (sender !== this.#current) return;
    switch (message.$case) {
      case "leases":
        return this.#events.leases(message.value.leases);
      case "settled":
        this.#events.settled(message.value, this.#opening !== undefined);
        return this.#leaveStopping(sender);
      case "cancel":
        return this.#events.cancel(message.value);
    }
  }

  /** Until the session has ended or its broker stops. In the latter case it stays current until another one is. */
  async #follow(session: Session): Promise<void> {
    const closed = session.closed.then((error) => {
      if (this.#current === session) this.#current = undefined;
      return { event: "session_lost", error: error?.message ?? "the broker ended the stream" };
    });
    const drained = session.drained.then(() => ({ event: "session_moves", error: "the broker stops" }));
    const { event, error } = await Promise.race([closed, drained]);
    if (this.#stopped) return;
    this.#leaveStopping(session);
    const wait = this.#reconnect.ended(session.lived);
    this.#options.logger.warn({ event, address: session.address, error, retry_in_ms: wait }, event);
    this.#ring.next();
    await this.#pause(wait);
  }

  /** A broker that stops waits for the workers that still hold something; not for this one, then. */
  #leaveStopping(session: Session): void {
    if (session.isDraining && this.#events.isIdle()) void session.end(LEAVE_TIMEOUT);
  }

  async #onFailure(session: Session, error: SessionError): Promise<void> {
    if (error.isRefusal && !this.#everAttached) throw error;
    const wait = this.#reconnect.failed();
    const { message, reason } = error;
    this.#options.logger.warn(
      { event: "attach_failed", address: session.address, error: message, reason, retry_in_ms: wait },
      "attach_failed",
    );
    this.#ring.next();
    await this.#pause(wait);
  }

  async #pause(ms: number): Promise<void> {
    if (ms === 0 || this.#stopped) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
