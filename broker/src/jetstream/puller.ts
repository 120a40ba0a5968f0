// Pull requests on one consumer, at the level of the protocol: many short ones for what is there now, and one that
// stays open for what comes next. An open request lapses after 5 s and is made again, with heartbeats in between, so
// that a request the server has forgotten is noticed within seconds.

import type { Msg, MsgHdrs, NatsConnection, Subscription } from "nats";
import { statusOf } from "./codec.js";

const openFor = 5_000;
const heartbeat = 2_000;
/** A request about which nothing was heard for this long is lost. */
const silence = 2 * heartbeat + 1_000;
const perMs = 1_000_000;

export interface Delivery {
  subject: string;
  seq: number;
  /** From 1. */
  deliveries: number;
  /** Messages of the consumer not delivered yet, after this one. */
  pending: number;
  headers: MsgHdrs | undefined;
  data: Uint8Array;
  /** Publishing an ack here moves the consumer on. */
  ackTo: string;
}

export interface PullerEvents {
  delivered(delivery: Delivery): void;
  /** A request has ended; `empty` = the consumer had nothing (more) to give. */
  over(empty: boolean): void;
  /** What the server counts as delivered can no longer be trusted: requests were lost or the consumer changed. */
  distrust(): void;
}

interface Request {
  left: number;
  open: boolean;
  heard: number;
}

export class Puller {
  readonly #requests = new Map<string, Request>();
  #next = 0;
  /** Messages asked for by short requests and not come yet. */
  pulling = 0;
  #wanted = 0;

  constructor(
    readonly inbox: PullInbox,
    readonly token: string,
    readonly consumer: { stream: string; name: string },
    readonly events: PullerEvents,
  ) {}

  /** What is there now, up to n. */
  pull(n: number): void {
    this.pulling += n;
    this.#request(n, false);
  }

  /** Keeps a request for n messages open; 0 lets it lapse. */
  keepOpen(n: number): void {
    this.#wanted = n;
    if (n > 0 && !this.probing) this.#request(n, true);
  }

  get probing(): boolean {
    for (const request of this.#requests.values()) if (request.open) return true;
    return false;
  }

  /** The server has forgotten all requests. */
  forget(): void {
    this.#requests.clear();
    this.pulling = 0;
    if (this.#wanted > 0) this.#request(this.#wanted, true);
  }

  /** Called every second or so: requests that the server has lost are given up. */
  check(now: number): void {
    let lost = false;
    for (const [id, request] of this.#requests) {
      if (now - request.heard < silence) continue;
      this.#end(id, request);
      lost = true;
    }
    if (!lost) return;
    this.events.distrust();
    this.#reopen();
    this.events.over(false);
  }

  /** @internal by the inbox */
  answered(id: string, msg: Msg): void {
    const request = this.#requests.get(id);
    const status = statusOf(msg);
    if (status === 100) {
      if (request !== undefined) request.heard = Date.now();
      return;
    }
    if (status === 0 || msg.reply?.startsWith("$JS.ACK.") === true) {
      const delivery = deliveryOf(msg);
      if (request !== undefined) {
        request.heard = Date.now();
        request.left--;
        if (!request.open) this.pulling--;
        if (request.left === 0) this.#end(id, request);
      }
      // Also what comes for a request that was given up: it is ours now.
      if (delivery !== undefined) this.events.delivered(delivery);
      if (request?.left === 0) {
        this.#reopen();
        this.events.over(delivery?.pending === 0);
      }
      return;
    }
    if (request === undefined) return;
    this.#end(id, request);
    // 409: the consumer was deleted, changed hands or is otherwise not what it was.
    if (status === 409) this.events.distrust();
    this.#reopen();
    this.events.over(status === 404 || (status === 408 && !request.open));
  }

  #reopen(): void {
    if (this.#wanted > 0 && !this.probing) this.#request(this.#wanted, true);
  }

  #end(id: string, request: Request): void {
    this.#requests.delete(id);
    if (!request.open) this.pulling -= request.left;
  }

  #request(n: number, open: boolean): void {
    const id = (this.#next++).toString(36);
    this.#requests.set(id, { left: n, open, heard: Date.now() });
    const ask = open
      ? { batch: n, expires: openFor * perMs, idle_heartbeat: heartbeat * perMs }
      : { batch: n, no_wait: true };
    this.inbox.ask(this, id, ask);
  }
}

/** One subscription for the pull requests of all consumers. */
export class PullInbox {
  readonly #pullers = new Map<string, Puller>();
  readonly #subscription: Subscription;
  readonly #check: NodeJS.Timeout;
  #next = 0;

  constructor(
    readonly nc: NatsConnection,
    readonly prefix: string,
  ) {
    this.#subscription = nc.subscribe(`${prefix}.*.*`, {
      callback: (error, msg) => {
        if (error !== null) return;
        const [token, id] = msg.subject.slice(prefix.length + 1).split(".");
        if (token === undefined || id === undefined) return;
        this.#pullers.get(token)?.answered(id, msg);
      },
    });
    this.#check = setInterval(() => {
      const now = Date.now();
      for (const puller of this.#pullers.values()) puller.check(now);
    }, 1_000);
    this.#check.unref();
  }

  open(consumer: { stream: string; name: string }, events: PullerEvents): Puller {
    const token = (this.#next++).toString(36);
    const puller = new Puller(this, token, consumer, events);
    this.#pullers.set(token, puller);
    return puller;
  }

  drop(puller: Puller): void {
    this.#pullers.delete(puller.token);
  }

  ask(puller: Puller, id: string, request: object): void {
    const { stream, name } = puller.consumer;
    if (this.nc.isClosed()) return;
    this.nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, JSON.stringify(request), {
      reply: `${this.prefix}.${puller.token}.${id}`,
    });
  }

  ack(delivery: { ackTo: string }): void {
    if (!this.nc.isClosed()) this.nc.publish(delivery.ackTo, "+ACK");
  }

  reconnected(): void {
    for (const puller of this.#pullers.values()) puller.forget();
  }

  close(): void {
    clearInterval(this.#check);
    this.#subscription.unsubscribe();
    this.#pullers.clear();
  }
}

/** `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>`; the second form of the protocol has
 *  domain and account in front and a random token behind. */
function deliveryOf(msg: Msg): Delivery | undefined {
  const reply = msg.reply;
  if (reply === undefined) return undefined;
  const tokens = reply.split(".");
  const first = tokens.length === 9 ? 4 : 6;
  return {
    subject: msg.subject,
    seq: Number(tokens[first + 1]),
    deliveries: Number(tokens[first]),
    pending: Number(tokens[first + 4]),
    headers: msg.headers,
    data: msg.data,
    ackTo: reply,
  };
}
