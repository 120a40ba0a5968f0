// Reading jobs: all messages of each, in one request for up to 200 jobs; what they say together is a rule of core
// (snapshot.ts). With one replica the direct read sees every acknowledged write; with several only the leader does, so
// there each job is walked through on the leader.

import { Empty, type Msg, type NatsConnection } from "nats";
import type { Jobs, ListPosition, ListQuery } from "../app/ports.js";
import { Refusal } from "../core/errors.js";
import type { JobRef, Phase, Snapshot, Stored } from "../core/job.js";
import { jobId } from "../core/names.js";
import { noJob, withMessage } from "../core/snapshot.js";
import { decode, header, statusOf } from "./codec.js";
import type { RequestOutcome } from "./measured.js";
import { ReadInbox } from "./read-inbox.js";
import { isUnder, type Subjects } from "./subjects.js";
import { type Headers, HeaderText, headersOfMsg } from "./wire.js";

const chunk = 200;
const timeout = 5_000;
/** Of what lies next in a stream, at most so much is looked at for a page: there may be payloads between the jobs. */
const lookBytes = 1024 * 1024;

export class JobReads implements Jobs {
  readonly #inbox: ReadInbox;

  constructor(
    readonly nc: NatsConnection,
    readonly subjects: Subjects,
    readonly replicas: number,
    /** Hears how each read of many ended, and after how many seconds: those are no requests of the client's. */
    readonly told: (outcome: RequestOutcome, seconds: number) => void = () => undefined,
  ) {
    this.#inbox = new ReadInbox(nc);
  }

  async read(refs: readonly JobRef[]): Promise<Snapshot[]> {
    const found = new Map<string, Snapshot>();
    for (const ref of refs) found.set(jobId(ref), noJob);
    const byShard = new Map<number, JobRef[]>();
    for (const ref of refs) {
      const shard = this.subjects.shard(ref.task);
      const list = byShard.get(shard);
      if (list === undefined) byShard.set(shard, [ref]);
      else list.push(ref);
    }
    for (const [shard, list] of byShard) {
      for (let i = 0; i < list.length; i += chunk) {
        await this.#readChunk(shard, list.slice(i, i + chunk), found);
      }
    }
    return refs.map((ref) => found.get(jobId(ref)) ?? noJob);
  }

  async body(ref: JobRef): Promise<Uint8Array | undefined> {
    const shard = this.subjects.shard(ref.task);
    const messages = await this.#direct(this.subjects.stream(shard), {
      multi_last: [this.subjects.body(ref)],
    });
    return messages[0]?.data;
  }

  /** The message of each of these subjects of a shard, in no order; subjects without one are left out. @throws Refusal */
  last(shard: number, subjects: readonly string[]): Promise<Raw[]> {
    return this.lastIn(this.subjects.stream(shard), subjects);
  }

  /** The same of any stream. */
  async lastIn(stream: string, subjects: readonly string[]): Promise<Raw[]> {
    if (subjects.length === 0) return [];
    if (this.replicas === 1) return this.#direct(stream, { multi_last: subjects });
    return (await Promise.all(subjects.map((subject) => this.#fromLeader(stream, subject)))).flat();
  }

  /** The first of those that a filter matches, tombstones left out; with several replicas what was written a moment ago may
   *  be missing. @throws Refusal */
  async first(shard: number, filter: string, most: number): Promise<Raw[]> {
    const stream = this.subjects.stream(shard);
    const batch = Math.max(most, 10);
    const found: Raw[] = [];
    for (let seq = 1; found.length < most; ) {
      const page = await this.#direct(stream, { batch, seq, next_by_subj: filter });
      found.push(...page.filter(({ data }) => data.length > 0));
      const last = page.at(-1);
      if (last === undefined || page.length < batch) break;
      seq = last.seq + 1;
    }
    return found.slice(0, most);
  }

  dropBody(ref: JobRef): void {
    const stream = this.subjects.stream(this.subjects.shard(ref.task));
    // Best effort: what is missed here the sweep of bodies finds.
    this.nc.publish(`$JS.API.STREAM.PURGE.${stream}`, JSON.stringify({ filter: this.subjects.body(ref) }));
  }

  /** Old tickets and alarms lie about until they are swept, so what a phase's subjects name is read again by job. */
  async list(query: ListQuery): Promise<{ jobs: Stored[]; next: ListPosition | undefined }> {
    let { shard, seq } = query.from ?? { shard: 0, seq: 1 };
    const jobs: Stored[] = [];
    while (shard < this.subjects.shards && jobs.length < query.limit) {
      // What earlier shards gave counts towards the page.
      const page = await this.#candidates(shard, seq, { ...query, limit: query.limit - jobs.length });
      const refs = new Map<string, { ref: JobRef; seq: number }>();
      for (const c of page.candidates) refs.set(jobId(c.ref), c);
      const snapshots = await this.read([...refs.values()].map((c) => c.ref));
      for (const { current } of snapshots) {
        if (current === undefined || !query.phases.includes(current.phase)) continue;
        // A job is listed where its current message lies, so that pages never name it twice.
        if (!page.seqs.has(current.seq)) continue;
        jobs.push(current);
      }
      if (page.next === undefined) {
        shard += 1;
        seq = 1;
      } else {
        seq = page.next;
        break;
      }
    }
    jobs.sort((a, b) => a.seq - b.seq);
    return { jobs, next: shard < this.subjects.shards ? { shard, seq } : undefined };
  }

  watch(ref: JobRef, hint: () => void): () => void {
    const subscription = this.nc.subscribe(this.subjects.ofJob(ref), { callback: () => hint() });
    return () => subscription.unsubscribe();
  }

  /** A page of messages by phase. Several phases cannot be asked for at once, so a wildcard is read and sieved. */
  async #candidates(
    shard: number,
    from: number,
    query: ListQuery,
  ): Promise<{
    candidates: { ref: JobRef; seq: number }[];
    seqs: Set<number>;
    next: number | undefined;
  }> {
    const only = query.phases.length === 1 ? query.phases[0] : undefined;
    const filter = this.subjects.phase(shard, only ?? ("*" as Phase), query.task, query.queue);
    const { messages, next } = await this.#next(shard, from, filter, query.limit);
    const candidates: { ref: JobRef; seq: number }[] = [];
    const seqs = new Set<number>();
    for (const message of messages) {
      const decoded = decode(message.subject, message.seq, message.headers, message.data);
      if (decoded === undefined || decoded.kind === "tombstone") continue;
      const { spec } = decoded.stored.job;
      if (spec === undefined) continue;
      candidates.push({ ref: { task: spec.task, key: spec.key }, seq: message.seq });
      seqs.add(message.seq);
    }
    return { candidates, seqs, next };
  }

  /** Of the messages from a sequence on, the next that a filter matches, and where to go on; undefined: there are no more.
   *  For a batch with a filter the server counts all that match, a quarter of a second with a million of them; one without
   *  costs nothing. So what comes next is read as it lies and sieved, and where little of it is asked for, with the filter: then
   *  there is less to count, or a long way to go. */
  async #next(
    shard: number,
    from: number,
    filter: string,
    limit: number,
  ): Promise<{ messages: Raw[]; next: number | undefined }> {
    const stream = this.subjects.stream(shard);
    const lying = await this.#direct(stream, { batch: limit, seq: from, max_bytes: lookBytes });
    const last = lying.at(-1);
    if (last === undefined) return { messages: [], next: undefined };
    const matching = lying.filter(({ subject }) => isUnder(filter, subject));
    if (matching.length * 4 >= lying.length) {
      // Fewer than asked for, and not for their size: the stream ends here. Else another call finds that out.
      const bytes = lying.reduce((sum, { data }) => sum + data.length, 0);
      const ends = lying.length < limit && bytes < lookBytes / 4;
      return { messages: matching, next: ends ? undefined : last.seq + 1 };
    }
    const messages = await this.#direct(stream, { batch: limit, seq: from, next_by_subj: filter });
    const end = messages.at(-1);
    return { messages, next: end === undefined || messages.length < limit ? undefined : end.seq + 1 };
  }

  async #readChunk(shard: number, refs: readonly JobRef[], found: Map<string, Snapshot>): Promise<void> {
    const messages = await this.last(
      shard,
      refs.map((ref) => this.subjects.ofJob(ref)),
    );
    for (const message of messages) {
      const decoded = decode(message.subject, message.seq, message.headers, message.data);
      if (decoded === undefined) continue;
      const ref =
        decoded.kind === "tombstone"
          ? { task: decoded.subject.task, key: decoded.subject.key }
          : decoded.stored.job.spec;
      const snapshot = ref && found.get(jobId(ref));
      if (ref === undefined || snapshot === undefined) continue;
      const stored = decoded.kind === "tombstone" ? undefined : decoded.stored;
      found.set(jobId(ref), withMessage(snapshot, message.seq, stored));
    }
  }

  /** A direct read of many messages: they come one by one, then an empty one that says how it ended. */
  async #direct(stream: string, request: object): Promise<Raw[]> {
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#directOnce(stream, request);
      if (outcome !== "again") return outcome;
      if (attempt === 3) throw unavailable("a message vanished while it was read");
    }
  }

  #directOnce(stream: string, request: object): Promise<Raw[] | "again"> {
    if (this.nc.isClosed()) return Promise.reject(unavailable("the connection is closed"));
    return new Promise((resolve, reject) => {
      const messages: Raw[] = [];
      const started = performance.now();
      const inbox = this.#inbox.open((msg) => {
        const status = statusOf(msg);
        if (status === 0) {
          messages.push(rawOf(msg));
          return;
        }
        if (status === 204) return done(messages);
        // Of a list that is how it says "nothing"; of jobs, that one moved between being found and being read.
        const vanished = "multi_last" in request && msg.headers?.description === "Message Not Found";
        if (status === 404) return done(vanished ? "again" : messages);
        done(unavailable(`a read was refused: ${status} ${msg.headers?.description ?? ""}`));
      });
      const timer = setTimeout(() => done(unavailable("a read was not answered")), timeout);
      const done = (outcome: Raw[] | "again" | Refusal) => {
        clearTimeout(timer);
        inbox.close();
        this.told(outcome instanceof Refusal ? "unanswered" : "ok", (performance.now() - started) / 1_000);
        if (outcome instanceof Refusal) reject(outcome);
        else resolve(outcome);
      };
      try {
        this.nc.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(request), { reply: inbox.reply });
      } catch (error) {
        done(unavailable(String(error)));
      }
    });
  }

  async #fromLeader(stream: string, filter: string): Promise<Raw[]> {
    const subject = `$JS.API.STREAM.MSG.GET.${stream}`;
    const messages: Raw[] = [];
    for (let seq = 1; ; ) {
      const answer = await this.nc
        .request(subject, JSON.stringify({ seq, next_by_subj: filter }), { timeout })
        .catch((error: Error) => {
          throw unavailable(error.message);
        });
      const { message, error } = answer.json<{
        message?: { subject: string; seq: number; data?: string; hdrs?: string };
        error?: { code: number; description: string };
      }>();
      if (error !== undefined && error.code !== 404) throw unavailable(error.description);
      if (message === undefined) return messages;
      messages.push({
        subject: message.subject,
        seq: message.seq,
        headers:
          message.hdrs === undefined
            ? undefined
            : new HeaderText(Buffer.from(message.hdrs, "base64").toString("latin1")),
        data: message.data === undefined ? Empty : Buffer.from(message.data, "base64"),
      });
      seq = message.seq + 1;
    }
  }
}

/** A message as it lies in the store. */
export interface Raw {
  subject: string;
  seq: number;
  headers: Headers | undefined;
  data: Uint8Array;
}

function rawOf(msg: Msg): Raw {
  const headers = headersOfMsg(msg);
  return {
    subject: headers?.get(header.subject) ?? "",
    seq: Number(headers?.get(header.sequence) ?? 0),
    headers,
    data: msg.data,
  };
}

export function unavailable(why: string): Refusal {
  return new Refusal("STORE_UNAVAILABLE", `the store cannot be reached: ${why}`, { retryAfter: 1_000 });
}
