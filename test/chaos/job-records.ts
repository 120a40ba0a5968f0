// What JetStream has of the jobs, read past the broker: every message, decoded by what stands in docs and protos.

import { Job } from "@drover/proto/storage";
import { type JsMsg, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "nats";

export interface JobRecord {
  /** As the API names it; of a job that has not ended the phase of its message. */
  state: string;
  /** Which report made it, as far as the record tells: `success of attempt 2 by <pid>`. */
  outcome: string;
  attempts: number;
  crashes: number;
  /** First due time, ms; 0 = at once. */
  runAt: number;
  /** End of the lease in the store, ms; 0 = there is none. */
  leaseUntil: number;
}

interface Message {
  phase: string;
  rev: number;
  data: Uint8Array;
}

const recordPhases = ["succeeded", "failed", "cancelled", "kept"];
/** Numbers of drover.v1.AttemptOutcome. */
const reports: Readonly<Record<number, string>> = { 1: "success", 2: "failure", 6: "cancelled" };

/** The records of each job, by its id: one is right. A job whose state is not a record has that listed too. */
export async function recordsOf(natsUrl: string, namespace = "default"): Promise<Map<string, JobRecord[]>> {
  const byJob = await messagesOf(natsUrl, namespace);
  const found = new Map<string, JobRecord[]>();
  for (const [id, messages] of byJob) {
    const records = messages.filter(({ phase }) => recordPhases.includes(phase)).map(recordOf);
    const newest = messages.reduce((a, b) => (b.rev > a.rev ? b : a));
    if (!recordPhases.includes(newest.phase)) records.push({ ...recordOf(newest), state: newest.phase });
    found.set(id, records);
  }
  return found;
}

async function messagesOf(natsUrl: string, namespace: string): Promise<Map<string, Message[]>> {
  const stream = `DROVER_${namespace}_0`;
  const connection = await connect({ servers: natsUrl });
  try {
    const consumer = await jetstream(connection).consumers.get(stream, {
      filter_subjects: [`drover.${namespace}.0.job.>`],
    });
    const byJob = new Map<string, Message[]>();
    // Sweeps may take away what was still to come: then a message says that it is the last, or nothing does.
    while ((await consumer.info()).num_pending > 0) {
      for await (const message of await consumer.fetch({ max_messages: 10_000, expires: 1_000 })) {
        note(message, byJob);
        if (message.info.pending === 0) break;
      }
    }
    // Else it would be counted at each purge for minutes.
    await consumer.delete();
    return byJob;
  } finally {
    await connection.close();
  }
}

function note({ subject, headers, data }: JsMsg, byJob: Map<string, Message[]>): void {
  const [, , , , phase = "", task = "", , , key = ""] = subject.split(".");
  const rev = Number(headers?.get("Drover-Rev") ?? 0);
  // A tombstone stands for nothing.
  if (rev === 0) return;
  const id = `${task}~${key}`.replaceAll("/", ".");
  byJob.set(id, [...(byJob.get(id) ?? []), { phase, rev, data }]);
}

/** Tickets that are delivered, or are to be, and not acked. */
export async function ticketsOut(natsUrl: string, namespace = "default"): Promise<number> {
  const connection = await connect({ servers: natsUrl });
  try {
    const manager = await jetstreamManager(connection);
    let out = 0;
    for await (const { name, num_ack_pending, num_pending } of manager.consumers.list(
      `DROVER_${namespace}_0`,
    )) {
      if (name.startsWith("lane_")) out += num_ack_pending + num_pending;
    }
    return out;
  } finally {
    await connection.close();
  }
}

function recordOf({ phase, data }: Message): JobRecord {
  const job = Job.decode(data);
  const last = job.history.at(-1);
  const report = last && reports[last.outcome];
  const pid = last?.worker.split(":").at(-1);
  return {
    state: (phase === "kept" ? job.outcome : phase).toUpperCase(),
    outcome: report === undefined ? "none" : `${report} of attempt ${last?.number} by ${pid}`,
    attempts: job.history.length,
    crashes: job.crashes,
    runAt: job.spec?.runAt ?? 0,
    leaseUntil: job.hold?.leaseUntil ?? 0,
  };
}
