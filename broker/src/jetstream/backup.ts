// Backup and restore of a namespace, while its brokers run. The nats-server's own snapshot copies a stream block by block:
// a job that moves on meanwhile, from a block not copied yet into one begun since, is in none of them, and of delays
// that ended during a copy some were lost. So messages are read in their order until there are no more: whatever
// lies in the stream at that moment was there when its sequence was passed. Older messages of a job that come along are
// what they would be in the stream: its latest revision is its state.
//
// A file is gzipped lines of JSON: a head, a line for each message, an end that says how many.

import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import { headers, type MsgHdrs } from "nats";
import type { Log } from "../app/telemetry.js";
import { JsApi } from "./api.js";
import { header } from "./codec.js";
import { provision } from "./provision.js";
import { StartupError } from "./startup-error.js";
import { reach, type StoreOptions } from "./store.js";
import { storageFormat } from "./stream-config.js";

const fileFormat = 1;
/** Publishes without an answer, at most. */
const inFlight = 256;
/** Bytes that the nats-server may send ahead. */
const ahead = 32 * 1024 * 1024;
/** How long a server may take for one message, ms. */
const patience = 30_000;

const backupRules = {
  /** What a copy has, once it has what lay there when it was begun, to overtake those who write meanwhile, ms. */
  overtake: 600_000,
  /** Between two words about how far it is, ms. */
  tell: 5_000,
  /** Silence after which the server is asked whether there is more, ms. */
  silence: 1_000,
} as const;

export interface BackedUp {
  messages: number;
  /** Whatever was acknowledged until then is in it. */
  asOf: Date;
}

interface Head {
  droverBackup: number;
  storageFormat: string;
  namespace: string;
  shards: number;
}

interface Line {
  subject: string;
  headers: [string, string][];
  /** Base64. */
  data: string;
}

interface End {
  /** Messages before it. */
  end: number;
  /** As a BackedUp has it, in ISO 8601. */
  asOf?: string;
}

/** Of the publish that stored a message, and not of the message. */
const spent = new Set<string>([
  header.expected,
  header.expectedSubject,
  header.scheduler,
  header.scheduleNext,
  header.batch,
  header.batchSequence,
  header.batchCommit,
]);

/** Writes all that is stored to a file, which is there only once it is whole. @throws StartupError */
export async function backUp(
  options: StoreOptions,
  path: string,
  log: Log,
  rules: { overtake: number; tell: number; silence: number } = backupRules,
): Promise<BackedUp> {
  return withStreams(options, log, async (js, streams) => {
    let messages = 0;
    let asOf: Date | undefined;
    async function* lines() {
      const { namespace, shards } = options;
      yield jsonLine({ droverBackup: fileFormat, storageFormat, namespace, shards } satisfies Head);
      for (const stream of streams) {
        let toldAt = performance.now();
        for await (const { line, behind } of messagesOf(js, stream, rules)) {
          messages += 1;
          yield jsonLine(line);
          if (performance.now() < toldAt + rules.tell) continue;
          toldAt = performance.now();
          log.info({ stream, messages, behind }, "the backup is under way");
        }
        asOf ??= new Date();
      }
      yield jsonLine({ end: messages, asOf });
    }
    const half = `${path}.part`;
    try {
      await pipeline(Readable.from(lines()), createGzip(), createWriteStream(half, { mode: 0o600 }));
      await rename(half, path);
    } catch (error) {
      await rm(half, { force: true });
      throw error;
    }
    return { messages, asOf: asOf ?? new Date() };
  });
}

/** Puts what a file has into the namespace, which has to be empty. No broker may run. @throws StartupError */
export async function restore(
  options: StoreOptions,
  path: string,
  log: Log,
): Promise<{ messages: number; asOf?: string }> {
  const { asOf } = await withEnd(path, options);
  return withStreams(options, log, async (js, streams) => {
    const manager = await js.jetstreamManager();
    for (const stream of streams) {
      const { state } = await manager.streams.info(stream);
      if (state.messages > 0) {
        throw new StartupError(
          `stream ${stream} is not empty: restore into a new namespace or a new nats-server`,
        );
      }
    }
    let messages = 0;
    let waiting: Promise<unknown>[] = [];
    let toldAt = performance.now();
    for await (const line of linesOf(path)) {
      if (!("subject" in line)) continue;
      const { subject, headers, data } = line;
      const sent = { headers: headersFrom(headers), timeout: patience };
      waiting.push(js.publish(subject, Buffer.from(data, "base64"), sent));
      messages += 1;
      if (waiting.length < inFlight) continue;
      await Promise.all(waiting);
      waiting = [];
      if (performance.now() < toldAt + backupRules.tell) continue;
      toldAt = performance.now();
      log.info({ messages }, "the restore is under way");
    }
    await Promise.all(waiting);
    return { messages, ...(asOf !== undefined && { asOf }) };
  });
}

/** In the order of their sequences, to a moment in which there are no more; `behind`: how many there were then.
 *  @throws StartupError when those who write are faster for longer than the rules allow */
async function* messagesOf(
  js: JetStreamClient,
  stream: string,
  rules: { overtake: number; silence: number },
): AsyncGenerator<{ line: Line; behind: number }> {
  const { state } = await (await js.jetstreamManager()).streams.info(stream);
  if (state.messages === 0) return;
  const consumer = await js.consumers.get(stream);
  // As much on the way as it takes to overtake those who write.
  const consumed = await consumer.consume({ max_bytes: ahead });
  const iterator = consumed[Symbol.asyncIterator]();
  let until = Number.POSITIVE_INFINITY;
  try {
    for (let next = iterator.next(); ; next = iterator.next()) {
      // The last ones may have been removed before they were sent: then nothing comes, and nothing says so.
      while (!(await arrives(next, rules.silence))) {
        const { num_pending: left } = await consumer.info();
        if (left === 0 && !(await arrives(next, 0))) return;
      }
      const { done, value: message } = await next;
      if (done === true) throw new StartupError(`the nats-server sends no more of ${stream}: try again`);
      const { subject, headers, data, info, seq } = message;
      const line = { subject, headers: pairsOf(headers), data: Buffer.from(data).toString("base64") };
      yield { line, behind: info.pending };
      if (info.pending === 0) return;
      if (seq >= state.last_seq) until = Math.min(until, performance.now() + rules.overtake);
      if (performance.now() < until) continue;
      throw new StartupError(
        `the copy of ${stream} is ${info.pending} messages behind those who write, and has not overtaken them in ` +
          `${rules.overtake / 1_000} s: make it when they write less, or pause those who submit until it is done`,
      );
    }
  } finally {
    // It is closed once nobody reads it any more.
    const closed = consumed.close();
    await iterator.return?.(undefined);
    await closed;
  }
}

/** Whether it settles in time, ms. */
async function arrives(awaited: Promise<unknown>, within: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, within, false);
  });
  try {
    return await Promise.race([awaited.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function withStreams<T>(
  options: StoreOptions,
  log: Log,
  work: (js: JetStreamClient, streams: readonly string[]) => Promise<T>,
): Promise<T> {
  const { connection, embedded } = await reach(options, log);
  try {
    const { namespace, shards, replicas } = options;
    const api = new JsApi(connection.nc, () => undefined);
    const { streams, cron } = await provision({ connection, api, log, namespace, shards, replicas });
    return await work(jetstream(connection.nc), [...streams, cron]);
  } finally {
    await connection.close();
    await embedded?.close();
  }
}

/** The end of a file that is whole and of this namespace. @throws StartupError */
async function withEnd(path: string, { namespace, shards }: StoreOptions): Promise<End> {
  let head: Partial<Head> | undefined;
  let last: Partial<End> = {};
  let messages = -1;
  try {
    for await (const line of linesOf(path)) {
      head ??= line as Partial<Head>;
      last = line as Partial<End>;
      messages += 1;
    }
  } catch (error) {
    throw new StartupError(`${path} cannot be read as a backup: ${String(error)}`);
  }
  if (head?.droverBackup !== fileFormat) throw new StartupError(`${path} is no backup of Drover`);
  if (last.end !== messages - 1) throw new StartupError(`${path} ends early: it is not whole`);
  const same = head.namespace === namespace && head.shards === shards && head.storageFormat === storageFormat;
  if (!same) {
    throw new StartupError(
      `${path} is of namespace ${head.namespace} with ${head.shards} shards and storage format ${head.storageFormat}: ` +
        "set DROVER_NAMESPACE and DROVER_SHARDS accordingly, and use the version of Drover that made it",
    );
  }
  return last as End;
}

async function* linesOf(path: string): AsyncGenerator<Line | object> {
  const unzipped = createGunzip();
  const read = pipeline(createReadStream(path), unzipped);
  // Whoever reads the lines hears of it too; this keeps it from being nobody's.
  read.catch(() => undefined);
  for await (const line of createInterface({ input: unzipped })) yield JSON.parse(line);
  await read;
}

function jsonLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

function pairsOf(headers: MsgHdrs | undefined): [string, string][] {
  if (headers === undefined) return [];
  return headers.keys().flatMap((name) => (spent.has(name) ? [] : [[name, headers.get(name)]]));
}

function headersFrom(pairs: readonly (readonly [string, string])[]): MsgHdrs {
  const made = headers();
  for (const [name, value] of pairs) made.append(name, value);
  return made;
}
