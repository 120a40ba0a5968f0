// The brokers of a namespace among themselves, over plain NATS messages that nobody stores. They tell each other that
// they are there, ask who runs a job, and pass hints on. All of it may get lost; but "nobody has it" must not come from
// having forgotten somebody, so a broker that was known and did not answer is counted as silent, and brokers are
// forgotten only by a broker that could have heard them.
//
//   drover.<ns>.ctl.here              I am here, every 2 s; I am new; I am leaving
//   drover.<ns>.ctl.ask.<topic>       a question to all
//   drover.<ns>.ctl.reply.<broker>    an answer to that broker
//   drover.<ns>.ctl.tell.<topic>      news for all

import { setTimeout as pause } from "node:timers/promises";
import type { Msg, Subscription } from "nats";
import { Patience } from "../app/patience.js";
import type { Peers } from "../app/ports.js";
import type { Log } from "../app/telemetry.js";
import type { Connection } from "./connect.js";
import { decode, encode, type Message, word } from "./peer-messages.js";
import { messageOf } from "./startup-error.js";

export interface PeersOptions {
  connection: Connection;
  namespace: string;
  /** This broker's name, of [A-Za-z0-9_-]; no two brokers may have the same. */
  self: string;
  log: Log;
  /** How long a question waits, ms. */
  patience?: number;
}

const peersRules = {
  /** Own ticks, ms, and how many of them make an announcement, and an absence. */
  tick: 1_000,
  announce: 2,
  absent: 7,
  /** How long a question waits, ms. */
  patience: 300,
} as const;

type Answers = { answers: { broker: string; body: unknown }[]; silent: number };

interface Question {
  open: Set<string>;
  answers: Answers["answers"];
  failed: number;
  finish: () => void;
}

export class NatsPeers implements Peers {
  readonly self: string;
  readonly #connection: Connection;
  readonly #log: Log;
  readonly #patience: number;
  readonly #root: string;
  /** The others, and at which of our ticks each was heard last. */
  readonly #others = new Map<string, number>();
  readonly #answerers = new Map<string, (body: unknown) => unknown>();
  readonly #hearers = new Map<string, ((body: unknown, broker: string) => void)[]>();
  readonly #questions = new Map<number, Question>();
  readonly #subscriptions: Subscription[] = [];
  #tick = 0;
  #lastId = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopHearing: () => void = () => undefined;
  #closed = false;

  constructor({ connection, namespace, self, log, patience = peersRules.patience }: PeersOptions) {
    if (!word.test(self)) throw new RangeError(`not a broker's name: ${self}`);
    this.self = self;
    this.#connection = connection;
    this.#log = log;
    this.#patience = patience;
    this.#root = `drover.${namespace}.ctl.`;
  }

  /** Announces this broker and gives the others 300 ms to say that they are there, so that the first question already
   *  knows whom to wait for. Register what answers before. */
  async start(): Promise<void> {
    this.#listen("here", (message) => this.#announced(message));
    this.#listen("ask.*", (message, topic) => void this.#asked(message, topic));
    this.#listen(`reply.${this.self}`, (message) => this.#answered(message));
    this.#listen("tell.*", (message, topic) => this.#told(topic, message.body, message.broker));
    this.#stopHearing = this.#connection.onConnected(() => this.#connectedAgain());
    this.#timer = setInterval(() => this.#ticked(), peersRules.tick);
    this.#announce("new");
    await pause(peersRules.patience);
  }

  /** Says goodbye. Questions under way end now, with whom they have. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#stopHearing();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    for (const question of [...this.#questions.values()]) question.finish();
    if (!this.#connection.connected) return;
    this.#announce("leaving");
    // So that it is out before the connection goes; but a server that stands still is not waited for.
    const sent = this.#connection.nc.flush().catch(() => undefined);
    await Promise.race([sent, pause(peersRules.patience, undefined, { ref: false })]);
  }

  all(): string[] {
    return [this.self, ...this.#others.keys()].sort();
  }

  /** @throws PeerMessageTooLarge */
  async ask(topic: string, body: unknown): Promise<Answers> {
    const id = ++this.#lastId;
    const data = encode("a question", { broker: this.self, id, body });
    const answered = new Promise<Answers>((resolve) => {
      let patience: Patience | undefined;
      const question: Question = {
        open: new Set([this.self, ...this.#others.keys()]),
        answers: [],
        failed: 0,
        finish: () => {
          patience?.cancel();
          this.#questions.delete(id);
          resolve({ answers: question.answers, silent: question.open.size + question.failed });
        },
      };
      // Who is taken for silent loses his runs: not while his answer lies here unread.
      patience = new Patience(this.#closed ? 0 : this.#patience, question.finish);
      this.#questions.set(id, question);
    });
    this.#publish(`ask.${token(topic)}`, data);
    // This broker answers without the way over the network, and also while there is none.
    void this.#answerOf(topic, body, id).then((answer) => this.#answered(answer));
    return answered;
  }

  answer(topic: string, handler: (body: unknown) => unknown): void {
    this.#answerers.set(token(topic), handler);
  }

  /** @throws PeerMessageTooLarge */
  tell(topic: string, body: unknown): void {
    this.#publish(`tell.${token(topic)}`, encode("news", { broker: this.self, body }));
    // In a moment of its own, as it is for the others: who tells must not be surprised by hearing it meanwhile.
    queueMicrotask(() => this.#told(topic, body, this.self));
  }

  hear(topic: string, handler: (body: unknown, broker: string) => void): void {
    const handlers = this.#hearers.get(token(topic));
    if (handlers === undefined) this.#hearers.set(topic, [handler]);
    else handlers.push(handler);
  }

  #listen(subject: string, handler: (message: Message, topic: string) => void): void {
    const callback = (error: Error | null, msg: Msg) => {
      if (error !== null) return;
      const message = decode(msg.data);
      if (message === undefined) {
        this.#log.warn({ subject: msg.subject }, "a message between brokers cannot be read");
      } else if (message.broker !== this.self) {
        handler(message, msg.subject.slice(msg.subject.lastIndexOf(".") + 1));
      }
    };
    this.#subscriptions.push(this.#connection.nc.subscribe(this.#root + subject, { callback }));
  }

  #publish(subject: string, data: string): void {
    try {
      this.#connection.nc.publish(this.#root + subject, data);
    } catch (error) {
      // Only a connection that was closed throws; then nobody is there to hear.
      if (!this.#closed)
        this.#log.debug({ error: messageOf(error) }, "a message between brokers was not sent");
    }
  }

  #announce(state: NonNullable<Message["state"]>): void {
    this.#publish("here", JSON.stringify({ broker: this.self, state }));
  }

  #ticked(): void {
    // While there is no connection nobody can be heard, so nobody is forgotten. Own ticks instead of times, so that a
    // process that stood still does not take the others for dead when it goes on.
    if (!this.#connection.connected) return;
    this.#tick += 1;
    if (this.#tick % peersRules.announce === 0) this.#announce("here");
    for (const [broker, heard] of this.#others) {
      if (this.#tick - heard > peersRules.absent) this.#gone(broker, "broker not heard any more");
    }
  }

  /** What was under way is lost, and the others may need as long as we did to come back. */
  #connectedAgain(): void {
    for (const broker of this.#others.keys()) this.#others.set(broker, this.#tick);
    this.#announce("new");
  }

  #announced({ broker, state }: Message): void {
    if (state === "leaving") return this.#gone(broker, "broker left");
    this.#heard(broker);
    if (state === "new") this.#announce("here");
  }

  #heard(broker: string): void {
    if (!this.#others.has(broker)) this.#log.info({ broker }, "broker joined");
    this.#others.set(broker, this.#tick);
  }

  #gone(broker: string, how: string): void {
    if (!this.#others.delete(broker)) return;
    this.#log.info({ broker }, how);
    // What a broker has that left, or was not heard for 7 s, is not to be waited for.
    for (const question of [...this.#questions.values()]) {
      if (question.open.delete(broker) && question.open.size === 0) question.finish();
    }
  }

  async #asked({ broker, id, body }: Message, topic: string): Promise<void> {
    this.#heard(broker);
    if (id === undefined) return;
    const answer = await this.#answerOf(topic, body, id);
    let data: string;
    try {
      data = encode("an answer", answer);
    } catch (error) {
      data = JSON.stringify({ broker: this.self, id, failed: messageOf(error) });
      this.#log.error({ topic, error: messageOf(error) }, "another broker gets no answer");
    }
    if (!this.#closed) this.#publish(`reply.${broker}`, data);
  }

  /** Never fails: an answer that says so does. A topic that nobody here answers is answered with nothing to say. */
  async #answerOf(topic: string, body: unknown, id: number): Promise<Message> {
    const handler = this.#answerers.get(topic);
    if (handler === undefined) return { broker: this.self, id };
    try {
      return { broker: this.self, id, body: (await handler(body)) ?? null };
    } catch (error) {
      this.#log.error({ topic, error: messageOf(error) }, "a question between brokers could not be answered");
      return { broker: this.self, id, failed: messageOf(error) };
    }
  }

  #answered({ broker, id, body, failed }: Message): void {
    const question = id === undefined ? undefined : this.#questions.get(id);
    if (question === undefined) return;
    question.open.delete(broker);
    if (failed !== undefined) question.failed += 1;
    else if (body !== undefined) question.answers.push({ broker, body });
    if (question.open.size === 0) question.finish();
  }

  #told(topic: string, body: unknown, broker: string): void {
    for (const handler of this.#hearers.get(topic) ?? []) {
      try {
        // A handler that turns out to be asynchronous must not fail unheard.
        Promise.resolve(handler(body, broker) as unknown).catch((error: unknown) => this.#deaf(topic, error));
      } catch (error) {
        this.#deaf(topic, error);
      }
    }
  }

  #deaf(topic: string, error: unknown): void {
    this.#log.error({ topic, error: messageOf(error) }, "news of another broker could not be handled");
  }
}

function token(text: string): string {
  if (!word.test(text)) throw new RangeError(`not a topic of brokers: ${text}`);
  return text;
}
