// Whether the broker's NATS user may do what brokers do, found out at the start instead of at the first job. The server
// tells of a missing right only by an error beside the connection's other traffic, so each kind of subject gets one
// message that cannot have any effect, and what is refused is collected.

import { headers } from "nats";
import type { Connection } from "./connect.js";

interface Probe {
  subject: string;
  body?: string;
  /** For a subject that a stream stores: refused there for naming another stream. */
  elsewhere?: true;
}

/** The subjects the broker may not publish or subscribe to, each with what it is; empty = none. */
export async function missingRights(
  connection: Connection,
  namespace: string,
  streams: readonly string[],
  stored: readonly string[],
): Promise<string[]> {
  const missing = new Set<string>();
  const stop = connection.onDenied((operation, subject) => {
    missing.add(`${operation === "publish" ? "publish to" : "subscribe to"} ${subject}`);
  });
  const { nc } = connection;
  const notHere = headers();
  notHere.set("Nats-Expected-Stream", "drover-asks-for-rights");
  try {
    for (const subject of [`drover.${namespace}.ctl.>`, ...stored.map((prefix) => `${prefix}.>`)]) {
      nc.subscribe(subject, { callback: () => undefined }).unsubscribe();
    }
    for (const { subject, body, elsewhere } of probes(namespace, streams, stored)) {
      nc.publish(subject, body, elsewhere === true ? { headers: notHere } : {});
    }
    // The server refuses in the order it was asked, so all refusals come before the answer to this.
    await nc.flush();
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    stop();
  }
  return [...missing].sort();
}

function* probes(namespace: string, streams: readonly string[], stored: readonly string[]): Generator<Probe> {
  yield { subject: `drover.${namespace}.ctl.rights` };
  for (const prefix of stored) yield { subject: `${prefix}.rights`, elsewhere: true };
  // Asks for nothing, of a consumer that there is not: answered with an error that nobody reads. A purge that asks for
  // nothing would be one of everything, so this one contradicts itself, and names a subject that nothing is stored under.
  const nothing = "{}";
  for (const [i, stream] of streams.entries()) {
    const filter = `${stored[i] ?? stored[0]}.rights`;
    yield { subject: `$JS.API.STREAM.PURGE.${stream}`, body: JSON.stringify({ filter, seq: 2, keep: 1 }) };
    yield { subject: `$JS.API.STREAM.MSG.GET.${stream}`, body: nothing };
    yield { subject: `$JS.API.DIRECT.GET.${stream}`, body: nothing };
    yield { subject: `$JS.API.CONSUMER.CREATE.${stream}.rights.${filter}`, body: nothing };
    yield { subject: `$JS.API.CONSUMER.LIST.${stream}`, body: nothing };
    yield { subject: `$JS.API.CONSUMER.INFO.${stream}.rights`, body: nothing };
    yield { subject: `$JS.API.CONSUMER.PAUSE.${stream}.rights`, body: nothing };
    yield { subject: `$JS.API.CONSUMER.DELETE.${stream}.rights`, body: nothing };
    yield { subject: `$JS.API.CONSUMER.MSG.NEXT.${stream}.rights`, body: nothing };
    yield { subject: `$JS.ACK.${stream}.rights.1.1.1.1.0` };
  }
}
