// Tickets without a lane. A stream that was restored from a backup comes without consumers (theirs would be of another
// moment than the messages: what ended while the copy was made would count as delivered and be lost), so its lanes are
// made anew from the subjects of what waits in them.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { LaneKey } from "../app/ports.js";
import { parseJobSubject, type Subjects } from "./subjects.js";

/** The lanes that a shard's ready jobs would need. Lists every one of them: for a stream that has no lane at all. */
export async function lanesOfTickets(
  jsm: JetStreamManager,
  subjects: Subjects,
  shard: number,
): Promise<LaneKey[]> {
  const filter = subjects.phase(shard, "ready");
  const { state } = await jsm.streams.info(subjects.stream(shard), { subjects_filter: filter });
  const found = new Map<string, LaneKey>();
  for (const subject of Object.keys(state.subjects ?? {})) {
    const parsed = parseJobSubject(subject);
    if (parsed === undefined) continue;
    const { task, queue, priority } = parsed;
    const key = { task, queue, priority };
    found.set(subjects.lane(key), key);
  }
  return [...found.values()];
}
