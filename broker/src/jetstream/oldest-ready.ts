// For how long the oldest ticket of each lane has been waiting. A consumer tells how many wait, not since when; so the
// first message behind what it has delivered is looked at, every few seconds and only in lanes where something waits. What
// was found stays the oldest until it is delivered, unless somebody takes it out of the lane, so a lane that stands still
// is looked at again once a minute. A scrape reads what was found, and costs nothing.

import type { NatsConnection } from "nats";
import type { LaneKey } from "../app/ports.js";
import { header, statusOf } from "./codec.js";
import type { StreamLane } from "./lane.js";

const lookEvery = 5_000;
/** How long what was found is relied on, ms. */
const relied = 60_000;
/** Reads at a time: with a thousand lanes they may not crowd out the others. */
const mostAtOnce = 16;
const answerWithin = 2_000;

interface Parts {
  nc: NatsConnection;
  lanes: { all(): readonly StreamLane[] };
  stream(shard: number): string;
  /** Of the server, ms. */
  now(): number;
  problem(error: unknown): void;
}

interface Found {
  seq: number;
  /** ms: when it became ready. */
  since: number;
  /** ms: when it was found. */
  at: number;
}

export class OldestReady {
  #found = new Map<StreamLane, Found>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(private readonly parts: Parts) {}

  start(): void {
    this.#timer = setInterval(() => void this.look(), lookEvery).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Seconds, for each lane there is; 0 where nothing waits, or what did has been handed out since the last look. */
  *ages(): Generator<{ key: LaneKey; seconds: number }> {
    const now = this.parts.now();
    for (const lane of this.parts.lanes.all()) {
      const found = this.#found.get(lane);
      const waits = found !== undefined && lane.pending > 0 && found.seq > lane.reached;
      yield { key: lane.key, seconds: waits ? Math.max(0, now - found.since) / 1_000 : 0 };
    }
  }

  /** Looks once. Never fails; calls that overlap share one look. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const found = new Map<StreamLane, Found>();
    const unknown: StreamLane[] = [];
    for (const lane of this.parts.lanes.all()) {
      if (lane.pending === 0) continue;
      const before = this.#found.get(lane);
      const holds =
        before !== undefined && before.seq > lane.reached && this.parts.now() - before.at < relied;
      if (holds) found.set(lane, before);
      else unknown.push(lane);
    }
    const next = unknown.values();
    const reader = async () => {
      for (const lane of next) {
        const first = await this.#first(lane);
        if (first !== undefined) found.set(lane, first);
      }
    };
    try {
      await Promise.all(Array.from({ length: mostAtOnce }, reader));
      this.#found = found;
    } catch (error) {
      // What was known stays: a ticket that waited then waits still, or was handed out and does not count.
      this.parts.problem(error);
    }
  }

  async #first(lane: StreamLane): Promise<Found | undefined> {
    const request = JSON.stringify({ seq: lane.reached + 1, next_by_subj: lane.filter });
    const subject = `$JS.API.DIRECT.GET.${this.parts.stream(lane.shard)}`;
    const answer = await this.parts.nc.request(subject, request, { timeout: answerWithin });
    if (statusOf(answer) !== 0) return undefined;
    const since = Date.parse(answer.headers?.get(header.storedAt) ?? "");
    const seq = Number(answer.headers?.get(header.sequence));
    return Number.isFinite(since) && seq > 0 ? { seq, since, at: this.parts.now() } : undefined;
  }
}
