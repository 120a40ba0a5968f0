// The consumers that are the lanes: how one is made, found again, and made anew where the server has lost its files.

import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import {
  type ConsumerConfig,
  type ConsumerInfo,
  JetStreamApiError,
  type JetStreamManager,
} from "@nats-io/jetstream";
import type { LaneKey, Peers } from "../app/ports.js";
import { times } from "../core/limits.js";

const perMs = 1_000_000;
/** The server's numbers for a consumer that is there with another configuration, for one that is not there (when it is
 *  asked for, when it is to be changed), and for one whose files are just being removed. The first of these stays for
 *  good on one that was made while those of its predecessor were being removed: its own are gone with them. */
const consumerExists = 10148;
const noConsumer: readonly number[] = [10014, 10149];
const consumerBare = 10012;
const consumerGoing: readonly number[] = [consumerBare, 10104];
/** Waits before a consumer is asked for again whose files are being removed, ms. */
const goingWaits = [20, 20, 40, 80, 160, 160, 160, 160, 160, 160] as const;

type LaneConfig = Partial<ConsumerConfig> & { durable_name: string };

export class LaneConsumers {
  constructor(
    readonly jsm: JetStreamManager,
    readonly peers: Pick<Peers, "tell">,
    /** ms. */
    readonly ackWait: number,
  ) {}

  make(stream: string, key: LaneKey, filter: string, paused: boolean): Promise<ConsumerInfo> {
    return this.#add(stream, {
      durable_name: laneName(filter),
      filter_subject: filter,
      ack_policy: "explicit",
      deliver_policy: "all",
      ack_wait: this.ackWait * perMs,
      max_deliver: -1,
      max_ack_pending: -1,
      metadata: {
        "drover-task": key.task,
        "drover-queue": key.queue,
        "drover-priority": String(key.priority),
      },
      ...(paused ? { pause_until: new Date(times.never).toISOString() } : {}),
    });
  }

  /** A lane that is about to go as idle is there already, but with a mark: taking that away is an update, unless it went
   *  in this very moment. */
  async #add(stream: string, config: LaneConfig): Promise<ConsumerInfo> {
    let there = false;
    for (let attempt = 0; ; attempt++) {
      try {
        return there
          ? await this.jsm.consumers.update(stream, config.durable_name, config)
          : await this.jsm.consumers.add(stream, config);
      } catch (error) {
        const code = error instanceof JetStreamApiError ? error.code : 0;
        const known = code === consumerExists || noConsumer.includes(code) || consumerGoing.includes(code);
        const wait = goingWaits[attempt];
        if (!known || wait === undefined) throw error;
        there = code === consumerExists;
        if (!consumerGoing.includes(code)) continue;
        await pause(wait);
        // What it has delivered and got acks for is forgotten with it: those tickets are looked into when they come again.
        if (code === consumerBare && attempt >= 2) await this.#remove(stream, config);
      }
    }
  }

  async #remove(stream: string, { durable_name, filter_subject }: LaneConfig): Promise<void> {
    // Before it goes: brokers with no request open on it would take old tickets from its successor for new ones.
    this.peers.tell("lane-remade", filter_subject);
    try {
      await this.jsm.consumers.delete(stream, durable_name);
    } catch (error) {
      if (!(error instanceof JetStreamApiError && noConsumer.includes(error.code))) throw error;
    }
  }
}

/** Consumer names may hold no dots or slashes and 255 characters at most, so the words stand in the metadata. */
export function laneName(filter: string): string {
  return `lane_${createHash("sha256").update(filter).digest("hex").slice(0, 32)}`;
}

/** Undefined: no lane's. */
export function laneKeyOf(info: ConsumerInfo): LaneKey | undefined {
  const { metadata } = info.config;
  const task = metadata?.["drover-task"];
  const queue = metadata?.["drover-queue"];
  const priority = metadata?.["drover-priority"];
  if (task === undefined || queue === undefined || priority === undefined) return undefined;
  return { task, queue, priority: Number(priority) };
}
