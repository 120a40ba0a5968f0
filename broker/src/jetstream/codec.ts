// Messages of jobs, to and from bytes. Headers are built afresh at every transition: a fired message keeps those of the
// batch it was stored in, and publishing them again would make it a member of a batch that is long gone.

import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { headers, type Msg, type MsgHdrs } from "nats";
import type { FlowEnd } from "../app/flow-ports.js";
import type { Claim } from "../app/key-ports.js";
import { type Job, newJob, type Phase, type ScheduledPhase, type Stored, unreadable } from "../core/job.js";
import { storage } from "./storage-proto.js";
import { type JobSubject, parseJobSubject } from "./subjects.js";
import type { Headers } from "./wire.js";

export const header = {
  rev: "Drover-Rev",
  nonce: "Drover-Nonce",
  expected: "Nats-Expected-Last-Subject-Sequence",
  expectedSubject: "Nats-Expected-Last-Subject-Sequence-Subject",
  schedule: "Nats-Schedule",
  target: "Nats-Schedule-Target",
  scheduler: "Nats-Scheduler",
  scheduleNext: "Nats-Schedule-Next",
  ttl: "Nats-TTL",
  rollup: "Nats-Rollup",
  batch: "Nats-Batch-Id",
  batchSequence: "Nats-Batch-Sequence",
  batchCommit: "Nats-Batch-Commit",
  /** Of direct reads. */
  subject: "Nats-Subject",
  sequence: "Nats-Sequence",
  storedAt: "Nats-Time-Stamp",
  pending: "Nats-Num-Pending",
} as const;

/** One for all jobs: it keeps the memory that it has grown to. */
let writer = new BinaryWriter();

export function encodeJob(job: Job): Uint8Array {
  try {
    return storage.Job.encode(job, writer).finish();
  } catch (error) {
    // Left in the middle of a message.
    writer = new BinaryWriter();
    throw error;
  }
}

export function encodeFlowEnd(end: FlowEnd): Uint8Array {
  return storage.FlowEnd.encode(end).finish();
}

export function encodeClaim(claim: Claim): Uint8Array {
  return storage.Claim.encode(claim).finish();
}

export function encodeParked(queue: string): Uint8Array {
  return storage.Parked.encode({ queue }).finish();
}

/** Undefined: it was freed. */
export function decodeClaim(data: Uint8Array): Claim | undefined {
  return data.length === 0 ? undefined : storage.Claim.decode(data);
}

export type Decoded =
  | { kind: "job"; stored: Stored }
  /** Emptied on purpose: counts for the compare-and-set, says nothing. */
  | { kind: "tombstone"; subject: JobSubject }
  | { kind: "corrupt"; stored: Stored; bytes: Uint8Array };

/** A job's message as it was read. Undefined: not a job's subject at all. */
export function decode(
  subject: string,
  seq: number,
  hdrs: Headers | undefined,
  data: Uint8Array,
): Decoded | undefined {
  const parts = parseJobSubject(subject);
  return parts && decodeAt(parts, seq, hdrs, data);
}

/** The same where it is known what the subject says. */
export function decodeAt(
  parts: JobSubject,
  seq: number,
  hdrs: Headers | undefined,
  data: Uint8Array,
): Decoded {
  const revision = hdrs?.get(header.rev) ?? "";
  if (data.length === 0 && revision === "") return { kind: "tombstone", subject: parts };
  const rev = Number(revision);
  const place = {
    phase: parts.phase,
    queue: parts.queue,
    priority: parts.priority,
    rev: Number.isSafeInteger(rev) && rev > 0 ? rev : 1,
    seq,
    nonce: hdrs?.get(header.nonce) ?? "",
    firedFrom: parts.phase === "due" ? firedFrom(hdrs) : undefined,
  };
  try {
    if (place.rev !== rev) throw new Error("no revision");
    const job: Job = storage.Job.decode(data);
    const { spec } = job;
    if (
      spec === undefined ||
      spec.task !== parts.task ||
      spec.key !== parts.key ||
      spec.retry === undefined
    ) {
      throw new Error("not the job its subject names");
    }
    // Neither by a spread nor by Object.assign: adding a property takes them as long as all the rest.
    const { phase, queue, priority, nonce, firedFrom } = place;
    return { kind: "job", stored: { phase, queue, priority, rev, seq, nonce, firedFrom, job } };
  } catch {
    const job = strangers(parts, data);
    return {
      kind: "corrupt",
      stored: isRecord(parts.phase) ? deadLetter(place, job) : { ...place, job },
      bytes: data,
    };
  }
}

/** What stands in for a job that cannot be read, so that it can be recorded as failed with its bytes. */
function strangers(parts: JobSubject, bytes: Uint8Array): Job {
  const spec = {
    task: parts.task,
    key: parts.key,
    queue: parts.queue,
    priority: parts.priority,
    softLimit: 0,
    hardLimit: 0,
    startBy: 0,
    labels: {},
    headers: {},
    submittedAt: 0,
    runAt: 0,
    traceParent: "",
    inputs: [],
    concurrencyKey: "",
    limits: [],
    payload: undefined,
    flow: undefined,
    unique: undefined,
    debounce: undefined,
    schedule: undefined,
    retry: { maxAttempts: 1, maxCrashes: 0, initialDelay: 0, factor: 1, maxDelay: 0, jitter: 0 },
  };
  return { ...newJob(spec, ""), corrupt: bytes.slice(0, 65_536) };
}

function isRecord(phase: Phase): boolean {
  return phase === "succeeded" || phase === "failed" || phase === "cancelled" || phase === "kept";
}

/** A record that cannot be read does not tell its job's result either: whatever its subject says, all that can be shown
 *  is a dead letter. `kept` is the phase whose content says how the job ended. */
function deadLetter(place: Omit<Stored, "job">, job: Job): Stored {
  return { ...place, phase: "kept", job: { ...job, attempt: 0, outcome: "failed", failure: unreadable } };
}

/** Whose schedule raised an alarm: the phase in the schedule's subject. */
function firedFrom(hdrs: Headers | undefined): ScheduledPhase {
  const scheduler = parseJobSubject(hdrs?.get(header.scheduler) ?? "");
  const phase: Phase | undefined = scheduler?.phase;
  return phase === "held-a" || phase === "held-b" || phase === "blocked" ? phase : "later";
}

/** `@at` of a time in ms. The server reads RFC 3339 with fractions. */
export function at(ms: number): string {
  return `@at ${new Date(ms).toISOString()}`;
}

/** One header with its line end. Values are names, numbers and subjects of ours: never what a submitter wrote. */
export function line(name: string, value: string): string {
  return `${name}: ${value}\r\n`;
}

let encoded: Uint8Array = new Uint8Array(0);
const carrier: MsgHdrs = Object.assign(headers(), { encode: () => encoded });

/** Headers for the very next publish: the client encodes them while it is called, so one object serves all messages. On
 *  the hot path the library's own, a map for each message and a check for each value, cost more than the job itself. */
export function headersOf(lines: string): MsgHdrs {
  encoded = Buffer.from(`NATS/1.0\r\n${lines}\r\n`, "latin1");
  return carrier;
}

/** Status of a JetStream answer without a body: 0 for a message. */
export function statusOf(msg: Pick<Msg, "data" | "headers">): number {
  return msg.data.length === 0 && msg.headers !== undefined ? msg.headers.code : 0;
}
