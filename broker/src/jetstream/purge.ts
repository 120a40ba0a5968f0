// The one place that sends purges. A sequence of 0 or 1 would mean "everything" to the server, where the caller means
// "nothing yet".

import type { JetStreamManager } from "@nats-io/jetstream";

/** Removes the messages of `filter` below `seq`. How many there were. */
export async function purgeBelow(
  jsm: JetStreamManager,
  stream: string,
  filter: string,
  seq: number,
): Promise<number> {
  if (!Number.isSafeInteger(seq) || seq < 2) return 0;
  const { purged } = await jsm.streams.purge(stream, { filter, seq });
  return purged;
}
