// A change of a job as the messages it is stored with. The first message carries the compare-and-set, since the server
// checks a batch against the state before it: a second check of the same job inside it would see nothing.

import type { MsgHdrs } from "nats";
import type { Change, Write } from "../app/ports.js";
import { at, encodeClaim, encodeFlowEnd, encodeJob, encodeParked, header, headersOf, line } from "./codec.js";
import type { Subjects } from "./subjects.js";

export interface Outgoing {
  subject: string;
  /** Header lines, each with its line end. */
  head: string;
  data: Uint8Array;
}

/** What the journal stores: indivisible. */
export interface Group {
  messages: Outgoing[];
  bytes: number;
  /** Place of the message whose sequence is the job's from then on. */
  jobMessage: number;
  /** Ends a schedule: as a plain publish it would not be one step on disk, so it goes as a batch even alone. */
  atomic: boolean;
}

const nothing = new Uint8Array(0);
/** A tombstone has done its work when it is stored: the message it replaces is gone. Left lying it would be counted as a
 *  ticket or a record and hold back retention until a worker of its task comes; one of a `kept` record for ever. */
const tombstoneSeconds = 5;

export function groupOf(change: Change, subjects: Subjects): Group {
  const { writes, expected, ref } = change;
  const ordered = writes.length === 1 ? writes : [...writes].sort((a, b) => rank(a) - rank(b));
  const messages = ordered.map((write) => messageOf(write, change, subjects));
  const first = messages[0];
  if (first === undefined) throw new Error("a change without writes");
  first.head += line(header.expected, String(expected)) + line(header.expectedSubject, subjects.ofJob(ref));
  const jobMessage = ordered.findIndex((write) => write.kind === "job");
  let bytes = 0;
  for (const message of messages) bytes += message.data.length + message.head.length;
  return {
    messages,
    bytes,
    jobMessage: Math.max(0, jobMessage),
    atomic: messages.length > 1 || ordered.some((w) => w.kind === "job" && w.purges !== undefined),
  };
}

function rank(write: Write): number {
  return write.kind === "tombstone" ? 0 : write.kind === "job" ? 1 : 2;
}

function messageOf(write: Write, change: Change, subjects: Subjects): Outgoing {
  const { ref, nonce } = change;
  switch (write.kind) {
    case "tombstone":
      return {
        subject: subjects.job(write.phase, ref, write.queue, write.priority),
        // Every broker pulls alarms, so those are swept soon.
        head: write.phase === "due" ? "" : line(header.ttl, `${tombstoneSeconds}s`),
        data: nothing,
      };
    case "flow-end":
      return {
        subject: subjects.flowEnd(subjects.shard(ref.task), write.flow, String(write.member)),
        head: "",
        data: encodeFlowEnd(write.end),
      };
    case "claim": {
      const { key, holder, expected, keepFor } = write;
      let head = expected === undefined ? "" : line(header.expected, String(expected));
      if (holder === undefined) head += line(header.ttl, `${tombstoneSeconds}s`);
      else if (keepFor > 0) head += line(header.ttl, `${Math.ceil(keepFor / 1000)}s`);
      return {
        subject: subjects.claim(ref.task, key),
        head,
        data: holder === undefined ? nothing : encodeClaim(holder),
      };
    }
    case "parked": {
      const { key, priority, queue, present } = write;
      return {
        subject: subjects.parked({ task: ref.task, key }, priority, ref.key),
        head: present ? "" : line(header.ttl, `${tombstoneSeconds}s`),
        data: present ? encodeParked(queue) : nothing,
      };
    }
    case "body":
      return { subject: subjects.body(ref), head: "", data: write.data };
    case "job": {
      const { queue, priority, fireAt, purges, keepFor } = write;
      let head = line(header.rev, String(write.rev)) + line(header.nonce, nonce);
      if (fireAt > 0) {
        head += line(header.schedule, at(fireAt));
        head += line(header.target, subjects.job("due", ref, queue, priority));
      }
      if (purges !== undefined) {
        const armed = subjects.schedule(purges.phase, ref, purges.queue, purges.priority, purges.nonce);
        head += line(header.scheduler, armed) + line(header.scheduleNext, "purge");
      }
      if (keepFor > 0) head += line(header.ttl, `${Math.ceil(keepFor / 1000)}s`);
      const subject =
        fireAt > 0
          ? subjects.schedule(write.phase, ref, queue, priority, nonce)
          : subjects.job(write.phase, ref, queue, priority);
      return { subject, head, data: encodeJob(write.job) };
    }
  }
}

export function plainHeaders(message: Outgoing): MsgHdrs {
  return headersOf(message.head);
}

/** As a member of a batch; `last` commits it. */
export function memberHeaders(message: Outgoing, batch: string, sequence: number, last: boolean): MsgHdrs {
  return headersOf(memberHead(message, batch, sequence, last));
}

export function memberHead({ head }: Outgoing, batch: string, sequence: number, last: boolean): string {
  const commit = last ? `${header.batchCommit}: 1\r\n` : "";
  return `${head}${header.batch}: ${batch}\r\n${header.batchSequence}: ${sequence}\r\n${commit}`;
}
