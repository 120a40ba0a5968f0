// Sequences: the one that a moment corresponds to, and the first of a filter.

import { createInbox, type NatsConnection } from "nats";
import { header, statusOf } from "./codec.js";
import { unavailable } from "./reads.js";

/** The first sequence stored at or after `ms`; one beyond the last when there is none. @throws Refusal */
export async function seqAt(nc: NatsConnection, stream: string, filter: string, ms: number): Promise<number> {
  // With its headers: with no_hdr the server leaves out its own as well, and one of them is the answer.
  const request = { batch: 1, next_by_subj: filter, start_time: new Date(ms).toISOString() };
  return new Promise((resolve, reject) => {
    let seq = 0;
    const subscription = nc.subscribe(createInbox(), {
      callback: (error, msg) => {
        if (error !== null) return done(unavailable(error.message));
        const status = statusOf(msg);
        if (status === 0) seq = Number(msg.headers?.get(header.sequence) ?? 0);
        else if (status === 204 && seq > 0) done(seq);
        else if (status === 404 || status === 204) done(beyond(msg.headers?.get("Nats-Last-Sequence")));
        else done(unavailable(`a read was refused: ${status}`));
      },
    });
    const timer = setTimeout(() => done(unavailable("a read was not answered")), 5_000);
    const done = (outcome: number | Error | undefined) => {
      clearTimeout(timer);
      subscription.unsubscribe();
      if (typeof outcome === "number") resolve(outcome);
      else if (outcome !== undefined) reject(outcome);
      else {
        lastSeq(nc, stream).then((last) => resolve(last + 1), reject);
      }
    };
    nc.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(request), { reply: subscription.getSubject() });
  });
}

/** The first sequence from `seq` on that a filter matches, as the stream's leader
 *  knows it. Undefined when there is none. @throws Refusal */
export async function firstFrom(
  nc: NatsConnection,
  stream: string,
  filter: string,
  seq: number,
): Promise<number | undefined> {
  return (await nextFrom(nc, stream, filter, seq))?.seq;
}

/** The first message, by the same. */
export async function nextFrom(
  nc: NatsConnection,
  stream: string,
  filter: string,
  seq: number,
): Promise<{ seq: number; data: Uint8Array } | undefined> {
  const request = JSON.stringify({ seq, next_by_subj: filter });
  const answer = await nc
    .request(`$JS.API.STREAM.MSG.GET.${stream}`, request, { timeout: 5_000 })
    .catch((error: Error) => {
      throw unavailable(error.message);
    });
  const { message, error } = answer.json<{
    message?: { seq: number; data?: string };
    error?: { code: number; description: string };
  }>();
  if (error !== undefined && error.code !== 404) throw unavailable(error.description);
  return message && { seq: message.seq, data: Buffer.from(message.data ?? "", "base64") };
}

function beyond(last: string | undefined): number | undefined {
  const seq = Number(last ?? 0);
  return seq > 0 ? seq + 1 : undefined;
}

async function lastSeq(nc: NatsConnection, stream: string): Promise<number> {
  const answer = await nc.request(`$JS.API.STREAM.INFO.${stream}`, undefined, { timeout: 5_000 });
  return answer.json<{ state?: { last_seq?: number } }>().state?.last_seq ?? 0;
}
