// Messages that are stored all or none, written apart from the journal: those of flows, schedules and keys.

import { type NatsConnection, TimeoutError } from "nats";
import { memberHeaders, type Outgoing, plainHeaders } from "./messages.js";
import { unavailable } from "./reads.js";
import { type Verdict, verdictOf } from "./verdict.js";

const timeout = 5_000;

/** `batch`: a name that no other has. One message goes without a batch. `unanswered`: they may have been stored.
 *  @throws Refusal STORE_UNAVAILABLE where nothing was sent */
export async function publishBatch(
  nc: NatsConnection,
  batch: string,
  messages: readonly Outgoing[],
): Promise<Verdict | "unanswered"> {
  const last = messages.length - 1;
  const headersAt = (message: Outgoing, i: number) =>
    last === 0 ? plainHeaders(message) : memberHeaders(message, batch, i + 1, i === last);
  try {
    for (const [i, message] of messages.entries()) {
      const headers = headersAt(message, i);
      if (i < last) nc.publish(message.subject, message.data, { headers });
      else return verdictOf(await nc.request(message.subject, message.data, { headers, timeout }));
    }
  } catch (error) {
    if (error instanceof TimeoutError || (error as Error).name === "TimeoutError") return "unanswered";
    throw unavailable((error as Error).message);
  }
  throw new Error("an empty batch");
}
