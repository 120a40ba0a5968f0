// What brokers share of limits: a task's settings, how far a rate is used up, and who has which places. Small messages
// in the first shard, each changed by compare-and-set.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { KnownBook, LimitStore, TaskSettings } from "../app/queue-ports.js";
import { runLimits } from "../core/limits.js";
import { unused } from "../core/rate.js";
import type { Limited } from "../core/run-limits.js";
import { header, headersOf, line } from "./codec.js";
import { type JobReads, unavailable } from "./reads.js";
import { nextFrom } from "./seq-at.js";
import { asked, type SharedCodec, SharedMessage } from "./shared-message.js";
import { storage } from "./storage-proto.js";
import type { Subjects } from "./subjects.js";
import { verdictOf } from "./verdict.js";

const timeout = 5_000;
/** Books are stored in microseconds. */
const perMs = 1_000;
const attempts = 20;
/** Settings read at once. */
const chunk = 200;

const settingsCodec: SharedCodec<TaskSettings> = {
  decode: (data) => storage.Task.decode(data ?? new Uint8Array(0)),
  encode: (settings) => storage.Task.encode(settings).finish(),
};

interface Written {
  subject: string;
  head: string;
  data: Uint8Array;
}

export interface StreamLimitsParts {
  nc: NatsConnection;
  jsm: JetStreamManager;
  subjects: Subjects;
  reads: Pick<JobReads, "last">;
  nonce: () => string;
}

export class StreamLimits implements LimitStore {
  /** By name, with the sequence they were read at. */
  readonly #tasks = new Map<string, { settings: TaskSettings; seq: number }>();
  /** Everything up to this sequence is in there; undefined: nothing was read yet. */
  #tasksRead: number | undefined;

  constructor(readonly parts: StreamLimitsParts) {}

  /** Brokers ask every few seconds: after the first time only for what has changed since, which as a rule is nothing. */
  async tasks(): Promise<TaskSettings[]> {
    if (this.#tasksRead === undefined) await this.#readTasks();
    for (;;) {
      const from = (this.#tasksRead ?? 0) + 1;
      const changed = await nextFrom(
        this.parts.nc,
        this.parts.subjects.stream(0),
        this.parts.subjects.tasksSettings(),
        from,
      );
      if (changed === undefined) return [...this.#tasks.values()].map(({ settings }) => settings);
      this.#noteTask(changed);
      this.#tasksRead = Math.max(this.#tasksRead ?? 0, changed.seq);
    }
  }

  async #readTasks(): Promise<void> {
    const { state } = await asked(() =>
      this.parts.jsm.streams.info(this.parts.subjects.stream(0), {
        subjects_filter: this.parts.subjects.tasksSettings(),
      }),
    );
    const subjects = Object.keys(state.subjects ?? {});
    for (let i = 0; i < subjects.length; i += chunk) {
      for (const read of await this.parts.reads.last(0, subjects.slice(i, i + chunk))) this.#noteTask(read);
    }
    // What is stored after the subjects were listed is read by its sequence.
    this.#tasksRead = state.last_seq;
  }

  /** Two may ask at a time, and what came first need not be the older. */
  #noteTask({ data, seq }: { data: Uint8Array; seq: number }): void {
    const settings = settingsCodec.decode(data);
    if ((this.#tasks.get(settings.name)?.seq ?? 0) < seq) this.#tasks.set(settings.name, { settings, seq });
  }

  updateTask(task: string, change: (settings: TaskSettings) => TaskSettings): Promise<TaskSettings> {
    const subject = this.parts.subjects.taskSettings(task);
    const message = new SharedMessage(
      this.parts.nc,
      this.parts.jsm,
      this.parts.subjects.stream(0),
      subject,
      settingsCodec,
    );
    return message.update((found) => change({ ...found, name: task }));
  }

  async books(limits: readonly Limited[]): Promise<KnownBook[]> {
    const subjects = limits.map((limit) => this.parts.subjects.rateBook(limit));
    const found = new Map(
      (await this.parts.reads.last(0, subjects)).map((message) => [message.subject, message]),
    );
    return subjects.map((subject) => {
      const message = found.get(subject);
      if (message === undefined) return { book: unused, last: 0 };
      const { fullAt, interval } = storage.RateBook.decode(message.data);
      return { book: { fullAt: fullAt / perMs, interval: interval / perMs }, last: message.seq };
    });
  }

  async writeBooks(books: readonly (KnownBook & { limit: Limited })[]): Promise<number[] | undefined> {
    const last = await this.#write(
      books.map(({ limit, book, last }) => ({
        subject: this.parts.subjects.rateBook(limit),
        head: line(header.expected, String(last)),
        // Up, so that nothing is ever allowed too early.
        data: storage.RateBook.encode({
          fullAt: Math.ceil(book.fullAt * perMs),
          interval: book.interval * perMs,
        }).finish(),
      })),
    );
    return last === undefined ? undefined : books.map((_, i) => last - (books.length - 1 - i));
  }

  async places(limit: Limited): Promise<{ taken: ReadonlyMap<string, number>; last: number }> {
    const taken = new Map<string, number>();
    let last = 0;
    for (const message of await this.parts.reads.last(0, [this.parts.subjects.places(limit, "*")])) {
      const places = storage.Places.decode(message.data);
      taken.set(places.broker, places.taken);
      last = Math.max(last, message.seq);
    }
    return { taken, last };
  }

  async take(limit: Limited, broker: string, taken: number, last: number): Promise<boolean> {
    const stored = await this.#write([
      {
        subject: this.parts.subjects.places(limit, broker),
        head:
          line(header.expected, String(last)) +
          line(header.expectedSubject, this.parts.subjects.places(limit, "*")) +
          line(header.ttl, `${runLimits.placesLast / 1_000}s`),
        data: storage.Places.encode({ broker, taken }).finish(),
      },
    ]);
    return stored !== undefined;
  }

  /** In one step. @returns the last sequence; undefined when a compare-and-set failed */
  async #write(messages: readonly Written[]): Promise<number | undefined> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const verdict = verdictOf(await asked(() => this.#publish(messages)));
      if (verdict === "conflict") return undefined;
      if (verdict === "again") continue;
      if ("seq" in verdict) return verdict.seq;
      throw unavailable("full" in verdict ? "the store has no room left" : verdict.failed);
    }
    throw unavailable("it is busy with other writes");
  }

  #publish(messages: readonly Written[]) {
    const batch = this.parts.nonce();
    const [only] = messages;
    if (messages.length === 1 && only !== undefined) {
      return this.parts.nc.request(only.subject, only.data, { headers: headersOf(only.head), timeout });
    }
    for (const [i, { subject, head, data }] of messages.slice(0, -1).entries()) {
      const member = line(header.batch, batch) + line(header.batchSequence, String(i + 1));
      this.parts.nc.publish(subject, data, { headers: headersOf(head + member) });
    }
    const final = messages.at(-1);
    if (final === undefined) throw new Error("nothing to write");
    const commit =
      line(header.batch, batch) +
      line(header.batchSequence, String(messages.length)) +
      line(header.batchCommit, "1");
    return this.parts.nc.request(final.subject, final.data, {
      headers: headersOf(final.head + commit),
      timeout,
    });
  }
}
