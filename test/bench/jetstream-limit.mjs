// What JetStream itself takes on this machine, in this run, without Drover: the same messages, checks, consumers and
// purges on a nats-server with the same settings. Submits in atomic batches of 1,000, two in flight; drains by pulling
// 500 tickets at a time, storing outcomes in batches of 1,000, acking, and sweeping up to the ack floor, until all is
// acked and swept. Figures of Drover are read against these, since absolute ones wander with the machine.
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, createInbox, headers, nuid } from "nats";
import { NatsForBench } from "./nats.mjs";

const size = 1_000;
const inFlight = 2;
const pullSize = 500;
const sweepAfter = 5_000;
const lane = "bench.ready.task.queue.5.*";
const stream = "BENCH";
const consumer = "lane";

export async function jetStreamLimit(jobs) {
  const nats = await NatsForBench.start();
  const nc = await connect({ servers: nats.url });
  try {
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add({
      name: stream,
      subjects: ["bench.>"],
      max_msgs_per_subject: 1,
      allow_direct: true,
      allow_atomic: true,
      allow_msg_ttl: true,
      allow_msg_schedules: true,
      allow_rollup_hdrs: true,
    });
    await jsm.consumers.add(stream, {
      durable_name: consumer,
      filter_subject: lane,
      ack_policy: "explicit",
      ack_wait: 30e9,
      max_ack_pending: -1,
    });
    return {
      limit_jetstream_submit_per_s: await perSecond(jobs, () => submit(nc, jobs)),
      limit_jetstream_drain_per_s: await perSecond(jobs, () => drain(nc, jsm, jobs)),
    };
  } finally {
    await nc.close();
    await nats.stop();
  }
}

async function perSecond(jobs, work) {
  const started = performance.now();
  await work();
  return jobs / ((performance.now() - started) / 1_000);
}

async function submit(nc, jobs) {
  const body = Buffer.alloc(300, "x");
  let left = jobs / size;
  const sender = async () => {
    while (left-- > 0) {
      const messages = Array.from({ length: size }, () => ({ key: nuid.next(), expected: 0, body }));
      await store(nc, "ready", messages);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, sender));
}

async function drain(nc, jsm, jobs) {
  const outcomes = [];
  const writing = new Set();
  let acked = 0;
  let swept = 0;
  let sweeping = Promise.resolve();
  const sweep = async () => {
    const { ack_floor } = await jsm.consumers.info(stream, consumer);
    swept += (await jsm.streams.purge(stream, { filter: lane, seq: ack_floor.stream_seq + 1 })).purged;
  };
  const settle = (batch) => {
    const write = store(nc, "succeeded", batch).then(() => {
      for (const { ticket } of batch) ticket.respond("+ACK");
      if (Math.floor(acked / sweepAfter) < Math.floor((acked + batch.length) / sweepAfter)) {
        sweeping = sweeping.then(sweep);
      }
      acked += batch.length;
      writing.delete(write);
    });
    writing.add(write);
  };
  for (let pulled = 0; pulled < jobs; ) {
    pulled += await pull(nc, Math.min(pullSize, jobs - pulled), (ticket) => {
      const key = ticket.subject.slice(ticket.subject.lastIndexOf(".") + 1);
      outcomes.push({ key, expected: Number(ticket.reply.split(".")[5]), body: ticket.data, ticket });
      if (outcomes.length === size) settle(outcomes.splice(0));
    });
    while (writing.size >= inFlight) await Promise.race(writing);
  }
  if (outcomes.length > 0) settle(outcomes.splice(0));
  while (writing.size > 0) await Promise.race(writing);
  await nc.flush();
  await sweeping;
  while (swept < jobs) await sweep();
}

/** Settles with how many came. */
function pull(nc, most, received) {
  return new Promise((resolve) => {
    let came = 0;
    const inbox = createInbox();
    const subscription = nc.subscribe(inbox, {
      callback: (_, msg) => {
        const over = msg.headers !== undefined && msg.headers.code !== 0;
        if (!over) {
          came += 1;
          received(msg);
        }
        if (over || came === most) {
          subscription.unsubscribe();
          resolve(came);
        }
      },
    });
    const request = JSON.stringify({ batch: most, no_wait: true });
    nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, request, { reply: inbox });
  });
}

/** One atomic batch, each message checked against the last of its job. */
async function store(nc, phase, messages) {
  const batch = nuid.next();
  for (const [i, { key, expected, body }] of messages.entries()) {
    const last = i + 1 === messages.length;
    const hdrs = headersOf(
      `Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${i + 1}\r\n` +
        `Nats-Expected-Last-Subject-Sequence: ${expected}\r\n` +
        `Nats-Expected-Last-Subject-Sequence-Subject: bench.*.task.*.*.${key}\r\n` +
        (last ? "Nats-Batch-Commit: 1\r\n" : ""),
    );
    const subject = `bench.${phase}.task.queue.5.${key}`;
    if (!last) {
      nc.publish(subject, body, { headers: hdrs });
      continue;
    }
    const answer = (await nc.request(subject, body, { headers: hdrs, timeout: 20_000 })).json();
    if (answer.error !== undefined) throw new Error(answer.error.description);
  }
}

/** Headers for the very next publish, encoded here: the library's own would be the limit, not JetStream. */
function headersOf(lines) {
  const encoded = Buffer.from(`NATS/1.0\r\n${lines}\r\n`, "latin1");
  return Object.assign(headers(), { encode: () => encoded });
}
