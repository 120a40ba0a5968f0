// Members and graphs of flows that were asked for lately: they never change, and every step of a flow needs them.

import { Refusal } from "../core/errors.js";
import { type Graph, graphOf } from "../core/flow.js";
import type { FlowEntry, FlowRecord, Flows } from "./flow-ports.js";

export interface FlowPlan {
  entries: readonly FlowEntry[];
  graph: Graph;
}

/** Members of all plans that are kept in mind together. */
const mostMembers = 200_000;

export class FlowGraphs {
  /** In the order of use, by the key and the submit it is of. */
  readonly #known = new Map<string, FlowPlan>();
  #members = 0;

  constructor(readonly flows: Pick<Flows, "members">) {}

  /** @throws Refusal STORE_UNAVAILABLE */
  async of(record: FlowRecord): Promise<FlowPlan> {
    const name = `${record.key} ${record.submittedAt}`;
    const known = this.#known.get(name);
    if (known !== undefined) {
      this.#known.delete(name);
      this.#known.set(name, known);
      return known;
    }
    const entries = await this.flows.members(record.key, record.parts);
    if (entries.length !== record.members.length) {
      throw new Refusal("STORE_UNAVAILABLE", `the members of the flow ${record.key} cannot be read`, {
        retryAfter: 1_000,
      });
    }
    const plan = { entries, graph: graphOf(entries) };
    this.#known.set(name, plan);
    this.#members += entries.length;
    for (const [oldest, { entries: gone }] of this.#known) {
      if (this.#members <= mostMembers || oldest === name) break;
      this.#known.delete(oldest);
      this.#members -= gone.length;
    }
    return plan;
  }
}
