// The NATS protocol itself, for the messages that there are thousands of. The client's own publish makes a handful of
// objects and four buffers of each message, and its headers are a map for one value that is looked at: on two cores that
// was a quarter of what a job costs the broker. Here messages are written one behind the other into one piece of memory
// that goes out in one write, and of what comes in only what is asked for is read. Nothing else in the broker knows the
// client's inside.

import { MsgImpl, NatsConnectionImpl } from "@nats-io/nats-core/internal";
import type { Msg, NatsConnection } from "nats";

/** Bytes of one piece of memory: some hundred messages. */
const slab = 256 * 1024;
/** Around a message's own parts: verbs, lengths, line ends. */
const frame = 64;
/** What nobody waits for leaves with the next message that somebody does, or after this, ms: each write to the
 *  connection takes the broker some 0.15 ms [profile on two cores], and wakes the server. */
const rideWithin = 3;
const mostRiders = 1_000;

/** What a message's headers are asked for; "" = there is none of that name. */
export interface Headers {
  get(name: string): string;
}

/** Messages on their way out. They go with the next flush, or at the end of this turn of the event loop. */
export class Wire {
  readonly #connection: NatsConnectionImpl;
  #memory = Buffer.allocUnsafeSlow(slab);
  #sent = 0;
  #end = 0;
  #flushing = false;
  /** Acks by their subject, and requests. */
  #riders: (Uint8Array | string)[] = [];
  /** Of the first of them, performance.now(). */
  #ridingSince = 0;
  #rideTimer: NodeJS.Timeout | undefined;

  constructor(readonly nc: NatsConnection) {
    if (!(nc instanceof NatsConnectionImpl)) throw new Error("not a connection of this client's");
    this.#connection = nc;
  }

  /** `head`: header lines, each with its line end, ASCII as the subjects are; `reply` "" = none.
   *  @throws Error on a closed connection, and for what the server would not take */
  publish(subject: string, reply: string, head: string, data: Uint8Array): void {
    const { protocol } = this.#connection;
    if (this.#connection.isClosed()) throw new Error("the connection is closed");
    this.board();
    const headSize = head.length + 12;
    const size = headSize + data.length;
    if (protocol.info !== undefined && size > protocol.info.max_payload) {
      throw new Error(`a message of ${size} bytes is larger than nats-server takes`);
    }
    this.#make(subject.length + reply.length + size + frame);
    const to = reply === "" ? "" : `${reply} `;
    this.#text(`HPUB ${subject} ${to}${headSize} ${size}\r\nNATS/1.0\r\n${head}\r\n`);
    this.#memory.set(data, this.#end);
    this.#end += data.length;
    this.#text("\r\n");
  }

  /** A request whose answers come to `reply`; ASCII all of it. */
  ask(subject: string, reply: string, request: string): void {
    this.board();
    this.#put(requestText(subject, reply, request));
  }

  /** A request that nobody waits for. */
  askAlong(subject: string, reply: string, request: string): void {
    this.#ride(requestText(subject, reply, request));
  }

  /** Acks what was delivered with this reply subject. Nobody waits for it. */
  ack(to: Uint8Array): void {
    this.#ride(to);
  }

  /** Writes what nobody waits for. */
  board(): void {
    if (this.#riders.length === 0) return;
    const riders = this.#riders;
    this.#riders = [];
    for (const rider of riders) this.#put(rider);
  }

  /** Drops requests not sent yet: whoever reconnects makes them anew. */
  dropRequests(): void {
    this.#riders = this.#riders.filter((rider) => typeof rider !== "string");
  }

  flush(): void {
    if (this.#end === this.#sent) return;
    const bytes = this.#memory.subarray(this.#sent, this.#end);
    this.#sent = this.#end;
    if (!this.#connection.isClosed()) this.#connection.protocol.sendCommand(bytes);
  }

  #ride(rider: Uint8Array | string): void {
    if (this.#riders.length === 0) this.#ridingSince = performance.now();
    this.#riders.push(rider);
    if (this.#riders.length >= mostRiders) this.board();
    else this.#boardWithin(rideWithin);
  }

  /** One timer for many rides: most leave with a message, and whoever comes after has a time of its own. */
  #boardWithin(ms: number): void {
    this.#rideTimer ??= setTimeout(() => {
      this.#rideTimer = undefined;
      const left = this.#ridingSince + rideWithin - performance.now();
      if (this.#riders.length > 0 && left > 1) this.#boardWithin(left);
      else this.board();
    }, ms);
  }

  #put(message: Uint8Array | string): void {
    if (this.#connection.isClosed()) return;
    this.#make(message.length + frame);
    if (typeof message === "string") return this.#text(message);
    this.#text("PUB ");
    this.#memory.set(message, this.#end);
    this.#end += message.length;
    this.#text(" 4\r\n+ACK\r\n");
  }

  /** Room for so many bytes. What was handed to the client stays as it is: it may not have been written yet. */
  #make(size: number): void {
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        this.flush();
      });
    }
    if (this.#end + size <= this.#memory.length) return;
    this.flush();
    this.#memory = Buffer.allocUnsafeSlow(Math.max(slab, size));
    this.#sent = 0;
    this.#end = 0;
  }

  #text(text: string): void {
    this.#end += this.#memory.write(text, this.#end, "latin1");
  }
}

function requestText(subject: string, reply: string, request: string): string {
  return `PUB ${subject} ${reply} ${request.length}\r\n${request}\r\n`;
}

/** A ticket's reply subject, which says all about its delivery:
 *  `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>`; the second form of the protocol has
 *  domain and account in front and a random token behind. */
export interface AckSubject {
  /** Where an ack goes. */
  to: Uint8Array;
  /** From 1. */
  deliveries: number;
  seq: number;
  /** Messages of the consumer not delivered yet, after this one. */
  pending: number;
}

const ackPrefix = Buffer.from("$JS.ACK.");
const dot = 46;
const zero = 48;

/** Undefined: not a delivered message, but an answer about a request. */
export function ackSubjectOf(msg: Msg): AckSubject | undefined {
  const to = msg instanceof MsgImpl ? msg._msg.reply : Buffer.from(msg.reply ?? "");
  if (to === undefined || to.length <= ackPrefix.length) return undefined;
  for (let i = 0; i < ackPrefix.length; i++) if (to[i] !== ackPrefix[i]) return undefined;
  let tokens = 1;
  for (const byte of to) if (byte === dot) tokens++;
  const first = tokens === 9 ? 4 : 6;
  const numbers = [0, 0, 0, 0, 0];
  let token = 0;
  for (const byte of to) {
    if (byte === dot) token++;
    else if (token >= first && token < first + 5) {
      numbers[token - first] = (numbers[token - first] ?? 0) * 10 + (byte - zero);
    }
  }
  const [deliveries = 0, seq = 0, , , pending = 0] = numbers;
  return { to, deliveries, seq, pending };
}

export function subjectOf(msg: Msg): string {
  return msg instanceof MsgImpl ? latin1(msg._msg.subject) : msg.subject;
}

export function headersOfMsg(msg: Msg): Headers | undefined {
  if (!(msg instanceof MsgImpl)) return msg.headers;
  const { hdr } = msg._msg;
  return hdr > 0 ? new HeaderText(latin1(msg._rdata.subarray(0, hdr))) : undefined;
}

/** Headers as they came: `Name: value` with a line end behind each. */
export class HeaderText implements Headers {
  constructor(readonly text: string) {}

  get(name: string): string {
    const at = this.text.indexOf(`\r\n${name}:`);
    if (at < 0) return "";
    const from = at + name.length + 3;
    return this.text.slice(from, this.text.indexOf("\r\n", from)).trim();
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
