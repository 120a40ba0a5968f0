// Lanes without a server: what is asked of them is written down, and comes when the test says so.

import type { Taker } from "../../broker/src/app/dispatcher.js";
import type { LaneEvents, LaneKey, Lanes, LaneView, Ticket } from "../../broker/src/app/ports.js";
import { stored } from "./stored-jobs.js";

export class HandLane implements LaneView {
  pulling = 0;
  probing = false;
  /** As last heard: the test says when the broker hears. */
  pending = 0;
  readonly backlog: Ticket[] = [];

  constructor(readonly key: LaneKey) {}

  get name(): string {
    return `${this.key.queue}/${this.key.task}/${this.key.priority}`;
  }
}

let seq = 0;

export function aTicket(lane: LaneKey, fields: Partial<Ticket> = {}): Ticket {
  seq += 1;
  const ref = { task: lane.task, key: `k${seq}` };
  return {
    lane,
    ref,
    seq,
    deliveries: 1,
    trusted: true,
    stored: stored("ready", { seq }),
    corrupt: undefined,
    ack: () => undefined,
    ...fields,
  };
}

export class HandDrivenLanes implements Lanes {
  readonly #lanes: HandLane[] = [];
  /** Every pull, as `queue/task/priority n`. */
  readonly pulls: string[] = [];
  #events: LaneEvents | undefined;

  serve(events: LaneEvents): void {
    this.#events = events;
  }

  lane(task: string, priority: number, queue = "q"): HandLane {
    const known = this.#lanes.find(
      ({ key }) => key.task === task && key.queue === queue && key.priority === priority,
    );
    if (known !== undefined) return known;
    const lane = new HandLane({ task, queue, priority });
    this.#lanes.push(lane);
    return lane;
  }

  /** Tickets in the stream; the broker hears of them unless it is told not to. */
  fill(lane: HandLane, count: number, heard = true): void {
    for (let i = 0; i < count; i++) lane.backlog.push(aTicket(lane.key));
    if (heard) this.hear(lane);
  }

  hear(lane: HandLane): void {
    lane.pending = lane.backlog.length;
    this.#events?.moved(lane);
  }

  /** What was asked for arrives, and then the answer that there is no more. */
  deliver(lane: HandLane): void {
    while (lane.pulling > 0 && lane.backlog.length > 0) {
      lane.pulling--;
      this.#send(lane);
    }
    if (lane.pulling > 0) lane.pending = 0;
    lane.pulling = 0;
    if (lane.probing && lane.backlog.length > 0) this.#send(lane);
    this.#events?.moved(lane);
  }

  #send(lane: HandLane): void {
    const ticket = lane.backlog.shift();
    if (ticket === undefined) return;
    lane.pending = lane.backlog.length;
    this.#events?.delivered(ticket);
  }

  remove(lane: HandLane): void {
    this.#lanes.splice(this.#lanes.indexOf(lane), 1);
  }

  probed(): string[] {
    return this.#lanes.filter(({ probing }) => probing).map(({ name }) => name);
  }

  filled(): void {
    // Lanes of a test say by themselves what they hold.
  }

  async ensure(): Promise<void> {
    // All that are needed are there.
  }

  has(): boolean {
    return true;
  }

  all(): readonly HandLane[] {
    return [...this.#lanes];
  }

  pull(lane: LaneView, n: number): void {
    this.pulls.push(`${(lane as HandLane).name} ${n}`);
    (lane as HandLane).pulling += n;
  }

  probe(lane: LaneView, open: boolean): void {
    (lane as HandLane).probing = open;
  }
}

/** Somebody with credit, who keeps what he is given until he is told that it is done. */
export class HandTaker implements Taker {
  readonly queues: ReadonlyMap<string, number>;
  readonly took: Ticket[] = [];
  readonly running: Ticket[] = [];
  active = true;
  flushed = 0;

  constructor(
    public credit: number,
    readonly tasks: Readonly<Record<string, number>>,
    queues: Readonly<Record<string, number>> = { q: 1 },
  ) {
    this.queues = new Map(Object.entries(queues));
  }

  serves(task: string): boolean {
    return task in this.tasks;
  }

  free(): number {
    return this.active ? Math.max(0, this.credit - this.running.length) : 0;
  }

  freeFor(task: string): number {
    const running = this.running.filter((ticket) => ticket.lane.task === task).length;
    return Math.max(0, Math.min(this.free(), (this.tasks[task] ?? 0) - running));
  }

  take(ticket: Ticket): void {
    if (this.freeFor(ticket.lane.task) <= 0) throw new Error("given more than there is credit for");
    this.took.push(ticket);
    this.running.push(ticket);
  }

  flush(): void {
    this.flushed += 1;
  }

  /** The oldest n runs are over. */
  finish(n = this.running.length): void {
    this.running.splice(0, n);
  }
}
