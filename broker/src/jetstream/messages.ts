// A change of a job as the messages it is stored with. The first message carries the compare-and-set, since the server
// checks a batch against the state before it: a second check of the same job inside it would see nothing.

import type { MsgHdrs } from "nats";
import type { Change, Write } from "../app/ports.js";
import { at, encodeJob, header, headersOf } from "./codec.js";
import type { Subjects } from "./subjects.js";

type Field = readonly [string, string];

export interface Outgoing {
  subject: string;
  fields: Field[];
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

export function groupOf(change: Change, subjects: Subjects): Group {
  const ordered = [...change.writes].sort((a, b) => rank(a) - rank(b));
  const messages = ordered.map((write) => messageOf(write, change, subjects));
  const first = messages[0];
  if (first === undefined) throw new Error("a change without writes");
  first.fields.push(
    [header.expected, String(change.expected)],
    [header.expectedSubject, subjects.ofJob(change.ref)],
  );
  const jobMessage = ordered.findIndex((write) => write.kind === "job");
  return {
    messages,
    bytes: messages.reduce((sum, m) => sum + m.data.length + 256, 0),
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
        subject: subjects.job(write.phase, ref, write.queue, write.priority, 0),
        fields: [],
        data: nothing,
      };
    case "body":
      return { subject: subjects.body(ref), fields: [], data: write.data };
    case "job": {
      const fields: Field[] = [
        [header.rev, String(write.rev)],
        [header.nonce, nonce],
      ];
      if (write.fireAt > 0) {
        fields.push(
          [header.schedule, at(write.fireAt)],
          [header.target, subjects.job("due", ref, write.queue, write.priority, 0)],
        );
      }
      if (write.purges !== undefined) {
        const { phase, queue, priority, rev } = write.purges;
        fields.push(
          [header.scheduler, subjects.job(phase, ref, queue, priority, rev)],
          [header.scheduleNext, "purge"],
        );
      }
      if (write.keepFor > 0) fields.push([header.ttl, `${Math.ceil(write.keepFor / 1000)}s`]);
      return {
        subject: subjects.job(write.phase, ref, write.queue, write.priority, write.rev),
        fields,
        data: encodeJob(write.job),
      };
    }
  }
}

export function plainHeaders(message: Outgoing): MsgHdrs {
  return headersOf(message.fields);
}

/** As a member of a batch; `last` commits it. */
export function memberHeaders(message: Outgoing, batch: string, sequence: number, last: boolean): MsgHdrs {
  const hdrs = headersOf(message.fields);
  hdrs.set(header.batch, batch);
  hdrs.set(header.batchSequence, String(sequence));
  if (last) hdrs.set(header.batchCommit, "1");
  return hdrs;
}
