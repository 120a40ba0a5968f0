// Moving a job that waits into another queue, or under another priority. It stays the same job: one commit writes it at
// its new place and empties the old one. A broker that has its old ticket is told; whoever handed that out in this very
// moment finds its lease fenced off, as everybody does whose job has moved on.

import { jobNotFound, Refusal } from "../core/errors.js";
import { type JobRef, type Stored, stateOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import { isAllowed, type Place } from "../core/transitions.js";
import type { JobView } from "./api.js";
import type { Dispatcher } from "./dispatcher.js";
import { unmoved } from "./fences.js";
import type { HeldAnswer } from "./held-answer.js";
import type { Holdings } from "./holdings.js";
import type { Ledger } from "./ledger.js";
import type { Jobs, Lanes, Peers } from "./ports.js";
import type { Reader } from "./reader.js";
import type { Settling } from "./settling.js";

const attempts = 8;

/** A job has left its place: the ticket of this sequence is no lease any more. */
interface Moved {
  id: string;
  seq: number;
}

export interface MoveParts {
  ledger: Ledger;
  jobs: Pick<Jobs, "read">;
  lanes: Pick<Lanes, "has" | "ensure" | "filled">;
  reader: Pick<Reader, "views">;
  peers: Peers;
  holdings: Holdings;
  settling: Settling;
  dispatcher: Pick<Dispatcher, "discard">;
}

export class Move {
  constructor(readonly parts: MoveParts) {
    parts.peers.hear("moved", (body) => this.#hasMoved(body as Moved));
  }

  async move(ref: JobRef, to: { [K in keyof Place]: Place[K] | undefined }): Promise<JobView> {
    const id = jobId(ref);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [snapshot] = await this.parts.jobs.read([ref]);
      const current = snapshot?.current;
      if (current === undefined) throw jobNotFound(id);
      if (!isAllowed(current, "move") || (await this.#runs(current, id))) throw notWaiting(id, current);
      const { queue, priority } = current;
      const place = { queue: to.queue ?? queue, priority: to.priority ?? priority };
      if (place.queue === queue && place.priority === priority) return this.#view(current, id);
      const lane = { task: ref.task, ...place };
      // Also for a job that waits for its time: where there is no room for its lane, its mover has to know.
      if (!this.parts.lanes.has(lane)) await this.parts.lanes.ensure(lane);
      try {
        const known = { stored: current, last: snapshot?.last ?? current.seq };
        const { stored } = await this.parts.ledger.change(ref, known, { type: "move", to: place }, unmoved);
        if (stored.phase === "ready") this.parts.lanes.filled(lane);
        if (current.phase === "ready")
          this.parts.peers.tell("moved", { id, seq: current.seq } satisfies Moved);
        return this.#view(stored, id);
      } catch (error) {
        // It moved on while we looked: look again.
        if (!(error instanceof Refusal) || error.reason !== "LEASE_LOST") throw error;
      }
    }
    throw new Refusal("STORE_UNAVAILABLE", `${id} is being changed by many at once`, { retryAfter: 200 });
  }

  async #runs({ phase }: Stored, id: string): Promise<boolean> {
    if (phase !== "ready") return false;
    const { answers } = await this.parts.peers.ask("holders", { ids: [id] });
    return answers.some(({ body }) => (body as HeldAnswer[]).some(({ buffered }) => !buffered));
  }

  async #view(stored: Stored, id: string): Promise<JobView> {
    const [view] = await this.parts.reader.views([stored], false);
    if (view === undefined) throw jobNotFound(id);
    return view;
  }

  #hasMoved({ id, seq }: Moved): void {
    this.parts.dispatcher.discard(id, seq)?.ack();
    const holding = this.parts.holdings.get(id);
    if (holding === undefined || holding.settling || holding.claim.origin !== seq) return;
    this.parts.settling.superseded(holding);
  }
}

function notWaiting(id: string, current: Stored): Refusal {
  const state = stateOf(current) === "READY" ? "RUNNING" : stateOf(current);
  return new Refusal("NOT_WAITING", `${id} is ${state}: only a job that waits can be moved`, {
    metadata: { id, state },
  });
}
