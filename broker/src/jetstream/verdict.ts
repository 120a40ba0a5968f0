// What the server's answer to a write means.

import type { Msg } from "nats";
import { statusOf } from "./codec.js";

/** Only `conflict` says that the compare-and-set failed; after `again` nothing was stored. */
export type Verdict = { seq: number } | "conflict" | "again" | { full: number } | { failed: string };

/** Server errors by number: see nats-server's errors.json. */
export function verdictOf(msg: Msg): Verdict {
  // Nobody listens: JetStream is not up yet. Nothing was stored.
  if (statusOf(msg) === 503) return "again";
  const answer = msg.json<{ seq?: number; error?: { err_code?: number; description?: string } }>();
  if (answer.error === undefined) return { seq: answer.seq ?? 0 };
  switch (answer.error.err_code) {
    case 10071: // wrong last sequence
    case 10212: // the schedule to be purged is not there any more: it fired
      return "conflict";
    case 10164: // another write of the same filter is in flight (R3)
    case 10210: // too many batches in flight
    case 10211:
    case 10176: // an incomplete batch: a reconnect cut it
    case 10008: // the system is temporarily unavailable
      return "again";
    case 10023: // insufficient resources
    case 10047: // insufficient storage
    case 10077: // the stream's bytes or messages are at their limit
      return { full: answer.error.err_code };
    default:
      return { failed: answer.error.description ?? "an error without a description" };
  }
}
