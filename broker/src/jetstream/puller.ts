// Pull requests on one consumer, at the level of the protocol: many short ones for what is there now, and one that
// stays open for what comes next. An open request lapses after 5 s and is made again, with heartbeats in between, so
// that a request the server has forgotten is noticed within seconds.

import type { Msg, NatsConnection, Subscription } from "nats";
import { statusOf } from "./codec.js";
import { type AckSubject, ackSubjectOf, type Headers, headersOfMsg, subjectOf, type Wire } from "./wire.js";

/** About so long: a request ends on the nearest beat. The lanes of an idle broker so come to lapse and to be asked for
 *  again together, in few wake-ups and few writes instead of one of each per lane. */
const openFor = 5_000;
const beat = 2_500;
const heartbeat = 2_500;
/** A request about which nothing was heard for this long is lost. */
const silence = 2 * heartbeat + 1_000;
const perMs = 1_000_000;

export interface Consumer {
  stream: string;
  name: string;
}

export interface Delivery {
  subject: string;
  seq: number;
  /** From 1. */
  deliveries: number;
  /** Messages of the consumer not delivered yet, after this one. */
  pending: number;
  headers: Headers | undefined;
  data: Uint8Array;
  /** Publishing an ack here moves the consumer on. */
  ackTo: Uint8Array;
}

export interface PullerEvents {
  delivered(delivery: Delivery): void;
  /** A request has ended; `empty` = the consumer had nothing (more) to give. */
  over(empty: boolean): void;
  /** What the server counts as delivered can no longer be trusted: requests were lost or the consumer changed. */
  distrust(): void;
}

interface Request {
  id: string;
  left: number;
  /** ms, this machine's clock. */
  heard: number;
}

/** A delivered message bears its own subject, not the inbox it was sent to; only the subscription tells which request it
 *  answers. So there are two of them, and one request at a time on each. */
type Kind = "short" | "open";

export class Puller {
  readonly #requests: Record<Kind, Request | undefined> = { short: undefined, open: undefined };
  readonly #subscriptions: Subscription[];
  #next = 0;
  #wanted = 0;

  constructor(
    readonly inbox: PullInbox,
    readonly token: string,
    readonly consumer: Consumer,
    readonly events: PullerEvents,
  ) {
    this.#subscriptions = (["short", "open"] as const).map((kind) =>
      inbox.nc.subscribe(`${this.#inbox(kind)}.*`, {
        callback: (error, msg) => {
          if (error === null) this.#answered(kind, msg);
        },
      }),
    );
  }

  /** Messages asked for by a short request and not come yet. */
  get pulling(): number {
    return this.#requests.short?.left ?? 0;
  }

  get probing(): boolean {
    return this.#requests.open !== undefined;
  }

  /** What is there now, up to n. Nothing happens while an earlier call is under way. */
  pull(n: number): void {
    if (this.#requests.short === undefined) this.#request("short", n);
  }

  /** Keeps a request for n messages open; 0 lets it lapse. */
  keepOpen(n: number): void {
    this.#wanted = n;
    this.#reopen();
  }

  /** The server has forgotten all requests. */
  forget(): void {
    this.#requests.short = undefined;
    this.#requests.open = undefined;
    this.#reopen();
  }

  /** Called every second or so: requests that the server has lost are given up. */
  check(now: number): void {
    let lost = false;
    for (const kind of ["short", "open"] as const) {
      const request = this.#requests[kind];
      if (request === undefined || now - request.heard < silence) continue;
      this.#requests[kind] = undefined;
      lost = true;
    }
    if (!lost) return;
    this.events.distrust();
    this.#reopen();
    this.events.over(false);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #answered(kind: Kind, msg: Msg): void {
    const request = this.#requests[kind];
    const acks = ackSubjectOf(msg);
    if (acks !== undefined) {
      const delivery = deliveryOf(msg, acks);
      // What comes for a request that was given up is ours all the same.
      if (request !== undefined) {
        request.heard = Date.now();
        if (--request.left === 0) this.#requests[kind] = undefined;
      }
      this.events.delivered(delivery);
      if (request?.left === 0) {
        this.#reopen();
        this.events.over(delivery.pending === 0);
      }
      return;
    }
    // An answer without a message: its subject is the inbox, so here the request is known for certain.
    if (request === undefined || !msg.subject.endsWith(`.${request.id}`)) return;
    const status = statusOf(msg);
    if (status === 100) {
      request.heard = Date.now();
      return;
    }
    this.#requests[kind] = undefined;
    // 409: the consumer was deleted, changed hands or is otherwise not what it was.
    if (status === 409) this.events.distrust();
    this.#reopen();
    this.events.over(status === 404 || (status === 408 && kind === "short"));
  }

  #reopen(): void {
    if (this.#wanted > 0 && this.#requests.open === undefined) this.#request("open", this.#wanted);
  }

  #request(kind: Kind, n: number): void {
    const id = (this.#next++).toString(36);
    const now = Date.now();
    this.#requests[kind] = { id, left: n, heard: now };
    const reply = `${this.#inbox(kind)}.${id}`;
    if (kind === "short") this.inbox.ask(this.consumer, { batch: n, no_wait: true }, reply);
    else this.inbox.askAlong(this.consumer, { batch: n, ...openUntilBeat(now) }, reply);
  }

  #inbox(kind: Kind): string {
    return `${this.inbox.prefix}.${this.token}.${kind}`;
  }
}

/** The server refuses a heartbeat that is more than half of the request's time. */
function openUntilBeat(now: number): { expires: number; idle_heartbeat: number } {
  const expires = Math.round((now + openFor) / beat) * beat - now;
  return { expires: expires * perMs, idle_heartbeat: Math.min(heartbeat, Math.floor(expires / 2)) * perMs };
}

/** The pull requests of all consumers of this broker. */
export class PullInbox {
  readonly #pullers = new Set<Puller>();
  readonly #check: NodeJS.Timeout;
  #next = 0;

  constructor(
    readonly nc: NatsConnection,
    readonly wire: Wire,
    readonly prefix: string,
  ) {
    this.#check = setInterval(() => {
      const now = Date.now();
      for (const puller of this.#pullers) puller.check(now);
    }, 1_000);
    this.#check.unref();
  }

  open(consumer: Consumer, events: PullerEvents): Puller {
    const puller = new Puller(this, (this.#next++).toString(36), consumer, events);
    this.#pullers.add(puller);
    return puller;
  }

  drop(puller: Puller): void {
    this.#pullers.delete(puller);
    puller.close();
  }

  ask(consumer: Consumer, request: object, reply: string): void {
    this.wire.ask(subjectOfPull(consumer), reply, JSON.stringify(request));
  }

  /** For what comes some time: the request itself may wait a little. */
  askAlong(consumer: Consumer, request: object, reply: string): void {
    this.wire.askAlong(subjectOfPull(consumer), reply, JSON.stringify(request));
  }

  ack({ ackTo }: { ackTo: Uint8Array }): void {
    this.wire.ack(ackTo);
  }

  reconnected(): void {
    this.wire.dropRequests();
    for (const puller of this.#pullers) puller.forget();
  }

  close(): void {
    clearInterval(this.#check);
    this.wire.board();
    for (const puller of this.#pullers) puller.close();
    this.#pullers.clear();
  }
}

function subjectOfPull({ stream, name }: Consumer): string {
  return `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`;
}

function deliveryOf(msg: Msg, { to, deliveries, seq, pending }: AckSubject): Delivery {
  const { data } = msg;
  return { subject: subjectOf(msg), seq, deliveries, pending, headers: headersOfMsg(msg), data, ackTo: to };
}
