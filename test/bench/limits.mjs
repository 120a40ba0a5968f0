// What JetStream itself takes on this machine, in this run, without Drover: atomic batches of 1,000 messages with the
// compare-and-set of a submit, two in flight, on a nats-server with the same settings. Figures of Drover are read
// against it, since absolute ones wander with the machine.
import { randomUUID } from "node:crypto";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "nats";

const size = 1_000;
const inFlight = 2;

/** Messages per second. */
export async function jetStreamLimit(url, auth, messages) {
  const nc = await connect({ servers: url, ...auth });
  try {
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add({
      name: "BENCH",
      subjects: ["bench.>"],
      max_msgs_per_subject: 1,
      allow_direct: true,
      allow_atomic: true,
      allow_msg_ttl: true,
      allow_msg_schedules: true,
      allow_rollup_hdrs: true,
    });
    const body = Buffer.alloc(300, "x");
    const started = performance.now();
    let left = messages / size;
    const sender = async () => {
      while (left-- > 0) await publishBatch(nc, body);
    };
    await Promise.all(Array.from({ length: inFlight }, sender));
    return messages / ((performance.now() - started) / 1_000);
  } finally {
    await nc.close();
  }
}

async function publishBatch(nc, body) {
  const batch = randomUUID();
  for (let sequence = 1; sequence <= size; sequence++) {
    const key = `${batch}-${sequence}`;
    const hdrs = headers();
    hdrs.set("Nats-Batch-Id", batch);
    hdrs.set("Nats-Batch-Sequence", String(sequence));
    hdrs.set("Nats-Expected-Last-Subject-Sequence", "0");
    hdrs.set("Nats-Expected-Last-Subject-Sequence-Subject", `bench.*.task.*.*.${key}`);
    const subject = `bench.ready.task.queue.5.${key}`;
    if (sequence < size) {
      nc.publish(subject, body, { headers: hdrs });
      continue;
    }
    hdrs.set("Nats-Batch-Commit", "1");
    const answer = (await nc.request(subject, body, { headers: hdrs, timeout: 20_000 })).json();
    if (answer.error !== undefined) throw new Error(answer.error.description);
  }
}
