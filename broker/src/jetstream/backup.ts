// Backup and restore of a namespace, while its brokers run. The nats-server's own snapshot copies a stream block by block:
// a job that moves on meanwhile, from a block not copied yet into one begun since, is in none of them, and of delays
// that ended during a copy some were lost. So messages are read in their order until there are no more: whatever
// lies in the stream at that moment was there when its sequence was passed. Older messages of a job that come along are
// what they would be in the stream: its latest revision is its state.
//
// A file is gzipped lines of JSON: a head, a line for each message, an end that says how many.

import { createReadStream, createWriteStream } from "node:fs";
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

/** Writes all that is stored to a file. Returns how many messages. @throws StartupError */
export async function backUp(options: StoreOptions, path: string, log: Log): Promise<number> {
  return withStreams(options, log, async (js, streams) => {
    let messages = 0;
    async function* lines() {
      const { namespace, shards } = options;
      yield jsonLine({ droverBackup: fileFormat, storageFormat, namespace, shards } satisfies Head);
      for (const stream of streams) {
        for await (const line of messagesOf(js, stream)) {
          messages += 1;
          yield jsonLine(line);
        }
      }
      yield jsonLine({ end: messages });
    }
    await pipeline(Readable.from(lines()), createGzip(), createWriteStream(path, { mode: 0o600 }));
    return messages;
  });
}

/** Puts what a file has into the namespace, which has to be empty. No broker may run. Returns how many messages.
 *  @throws StartupError */
export async function restore(options: StoreOptions, path: string, log: Log): Promise<number> {
  await withEnd(path, options);
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
    for await (const line of linesOf(path)) {
      if (!("subject" in line)) continue;
      const { subject, headers, data } = line;
      const sent = { headers: headersFrom(headers), timeout: patience };
      waiting.push(js.publish(subject, Buffer.from(data, "base64"), sent));
      messages += 1;
      if (waiting.length < inFlight) continue;
      await Promise.all(waiting);
      waiting = [];
    }
    await Promise.all(waiting);
    return messages;
  });
}

/** In the order of their sequences, to the moment in which there are no more. */
async function* messagesOf(js: JetStreamClient, stream: string): AsyncGenerator<Line> {
  const { state } = await (await js.jetstreamManager()).streams.info(stream);
  if (state.messages === 0) return;
  const consumer = await js.consumers.get(stream);
  // As much on the way as it takes to overtake those who write.
  const messages = await consumer.consume({ max_bytes: ahead });
  try {
    for await (const { subject, headers, data, info } of messages) {
      yield { subject, headers: pairsOf(headers), data: Buffer.from(data).toString("base64") };
      if (info.pending === 0) return;
    }
  } finally {
    await messages.close();
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

/** A file that is whole and of this namespace. @throws StartupError */
async function withEnd(path: string, { namespace, shards }: StoreOptions): Promise<void> {
  let head: Partial<Head> | undefined;
  let last: object = {};
  let messages = -1;
  try {
    for await (const line of linesOf(path)) {
      head ??= line as Partial<Head>;
      last = line;
      messages += 1;
    }
  } catch (error) {
    throw new StartupError(`${path} cannot be read as a backup: ${String(error)}`);
  }
  if (head?.droverBackup !== fileFormat) throw new StartupError(`${path} is no backup of Drover`);
  if (!("end" in last) || last.end !== messages - 1)
    throw new StartupError(`${path} ends early: it is not whole`);
  const same = head.namespace === namespace && head.shards === shards && head.storageFormat === storageFormat;
  if (!same) {
    throw new StartupError(
      `${path} is of namespace ${head.namespace} with ${head.shards} shards and storage format ${head.storageFormat}: ` +
        "set DROVER_NAMESPACE and DROVER_SHARDS accordingly, and use the version of Drover that made it",
    );
  }
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
