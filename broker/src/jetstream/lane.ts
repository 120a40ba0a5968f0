// A lane as this broker knows it: what the server says of its consumer, and what this broker has seen of it since.

import type { ConsumerInfo } from "@nats-io/jetstream";
import type { LaneKey, LaneView } from "../app/ports.js";
import type { Puller } from "./puller.js";

export class StreamLane implements LaneView {
  pending = 0;
  /** When this broker last knew better than any listing that there is a ticket, ms of this machine's clock. */
  filled = 0;
  /** Tickets at or below are read before they run. */
  trustAbove = Number.POSITIVE_INFINITY;
  /** As last listed. */
  info: ConsumerInfo | undefined;
  /** The furthest sequence that is known to have been delivered. */
  reached = 0;
  /** Acks since the lane was last swept. */
  acked = 0;
  /** How many those were a round of sweeps ago. */
  ackedBefore = 0;
  /** When it was swept last, ms of this machine's clock. */
  sweptAt = 0;
  /** The floor up to which it was swept last. */
  swept = 0;
  /** How many deliveries there had been when it was last swept with none of them out. */
  sweptDeliveries: number | undefined;
  /** When this broker came to know it, ms of this machine's clock. */
  readonly adopted = Date.now();
  puller!: Puller;

  constructor(
    readonly key: LaneKey,
    readonly shard: number,
    readonly name: string,
    readonly filter: string,
    public created: string,
  ) {}

  get pulling(): number {
    return this.puller.pulling;
  }

  get probing(): boolean {
    return this.puller.probing;
  }
}

/** About to be removed as idle: making it again takes the mark away. */
export function isMarked(lane: StreamLane): boolean {
  return lane.info?.config.metadata?.["drover-removing"] !== undefined;
}
