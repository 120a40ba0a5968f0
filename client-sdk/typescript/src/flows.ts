// Flows: submitted as a whole, and then one handle for all of it.

import {
  type Flow,
  FlowServiceService,
  type FlowServiceWatchResponse,
  FlowState as WireFlowState,
} from "@drover/proto/v1/flow_service";
import type { Caller, CallOptions } from "./call.js";
import { FlowFailedError, FlowTimeoutError } from "./errors.js";
import { type FlowNode, membersOf } from "./flow-builders.js";
import {
  type FlowMemberStatus,
  type FlowState,
  type FlowStatus,
  flowEnded,
  flowStatus,
  memberStatus,
} from "./flow-status.js";
import { type FollowRules, follow } from "./follow.js";
import type { WatchOptions } from "./handle.js";
import { newKey } from "./key.js";
import { timestamp } from "./spec.js";
import { traced } from "./tracing.js";

export interface FlowOptions extends CallOptions {
  /** The flow's name: a second submit of it gives the same flow. At most 100 characters. Default: a new UUIDv7. */
  readonly key?: string;
  /** What kind of flow, for people and filters. */
  readonly name?: string;
  /** What has not ended by then is cancelled, and the flow FAILED. */
  readonly deadline?: Date;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface FlowFilter {
  readonly state?: FlowState;
  readonly name?: string;
}

const PAGE = 100;

export class Flows {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Resolves once the flow is durable as a whole; its key makes it safe to repeat. Built of step(), chain(), group() and
   *  chord(). @throws InvalidArgumentError, JobExistsError, CallError */
  async submit(node: FlowNode, options: FlowOptions = {}): Promise<FlowHandle> {
    const { key = newKey(), name = "", deadline, labels = {} } = options;
    const flow = {
      key,
      name,
      members: membersOf(node),
      deadline: timestamp("deadline", deadline),
      labels: { ...labels },
    };
    const answer = await traced(
      "submit flow",
      flow.members.flatMap(({ job }) => job ?? []),
      () => this.#caller.call(FlowServiceService.submit, { flow }, options),
      (submitted) => submitted.key,
    );
    return new FlowHandle(answer.key, this.#caller);
  }

  /** A flow by its key, from any process. Asks the broker nothing yet. */
  flow(key: string): FlowHandle {
    return new FlowHandle(key, this.#caller);
  }

  /** The latest first. */
  async *list(filter: FlowFilter = {}, options: CallOptions = {}): AsyncGenerator<FlowStatus, void> {
    let pageToken = "";
    do {
      const request = {
        state: WireFlowState[`FLOW_STATE_${filter.state ?? "UNSPECIFIED"}`],
        name: filter.name ?? "",
        pageSize: PAGE,
        pageToken,
      };
      const page = await this.#caller.call(FlowServiceService.list, request, options);
      yield* page.flows.map(flowStatus);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }
}

/** One flow. Making a handle asks the broker nothing; each method does. All throw FlowNotFoundError. */
export class FlowHandle {
  readonly key: string;
  readonly #caller: Caller;

  constructor(key: string, caller: Caller) {
    this.key = key;
    this.#caller = caller;
  }

  async status(options: CallOptions = {}): Promise<FlowStatus> {
    const { flow } = await this.#get({ includeMembers: false }, 0, options);
    return flowStatus(flow as Flow);
  }

  /** The graph, member by member, with what those that have ended came to. */
  async *members(options: CallOptions = {}): AsyncGenerator<FlowMemberStatus, void> {
    yield* this.#members(false, options);
  }

  /** The flow now and after changes, until it has ended. */
  async *watch(options: WatchOptions = {}): AsyncGenerator<FlowStatus, void> {
    const request = { key: this.key };
    const told = follow(this.#caller.brokers, FlowServiceService.watch, request, rules, options);
    for await (const flow of told) yield flowStatus(flow);
  }

  /** The flow once it has ended. Without a timeout this waits for as long as it takes, also for a broker to come back.
   *  @throws FlowTimeoutError: it goes on */
  async wait({ timeout }: { readonly timeout?: number } = {}): Promise<FlowStatus> {
    const { brokers } = this.#caller;
    const asked = brokers.current;
    const late = timeout === undefined ? undefined : AbortSignal.timeout(timeout);
    let last: FlowStatus | undefined;
    try {
      const patient = { timeout: Number.POSITIVE_INFINITY, ...(late !== undefined && { signal: late }) };
      for await (const now of this.watch(patient)) last = now;
    } catch (error) {
      if (late?.aborted !== true) throw error;
      // A broker says at once how a flow stands: one that did not is not asked again by who waits again.
      if (last === undefined) brokers.failed(asked);
      throw new FlowTimeoutError(this.key, timeout ?? 0);
    }
    if (last === undefined) throw new Error("a flow ended without having been seen");
    return last;
  }

  /** What the members came to that no other one depends on, in their order: the results of a group, the one result of a
   *  chain or a chord. Once the flow has ended; nothing is thrown for those that failed.
   *  @throws FlowTimeoutError */
  async outcomes(options: { readonly timeout?: number } = {}): Promise<FlowMemberStatus[]> {
    await this.wait(options);
    const found: FlowMemberStatus[] = [];
    for await (const member of this.#members(true, {})) found.push(member);
    return found;
  }

  /** The results of the last members, in their order. @throws FlowFailedError, which has each one's outcome;
   *  FlowTimeoutError */
  async results(options: { readonly timeout?: number } = {}): Promise<unknown[]> {
    const outcomes = await this.outcomes(options);
    const status = await this.status();
    if (status.state !== "SUCCEEDED") throw new FlowFailedError(status, outcomes);
    return outcomes.map(({ result }) => result);
  }

  /** The result of a flow that ends in one member, as a chain and a chord do. @throws as results() */
  async result(options: { readonly timeout?: number } = {}): Promise<unknown> {
    const [first] = await this.results(options);
    return first;
  }

  /** Cancels what waits and asks for the end of what runs. */
  async cancel(reason = "", options: CallOptions = {}) {
    return this.#caller.call(FlowServiceService.cancel, { key: this.key, reason }, options);
  }

  /** Runs the failed and cancelled members again, and what was left out for their sake. Tried once.
   *  @throws NotFailedError */
  async redrive(options: CallOptions = {}): Promise<{ readonly redriven: number }> {
    const { redriven } = await this.#caller.once(FlowServiceService.redrive, { key: this.key }, options);
    return { redriven };
  }

  async *#members(lastMembersOnly: boolean, options: CallOptions): AsyncGenerator<FlowMemberStatus, void> {
    let from = 0;
    do {
      const asked = { includeMembers: true, includeResults: true, lastMembersOnly };
      const page = await this.#get(asked, from, options);
      yield* page.members.map(memberStatus);
      from = page.nextMember;
    } while (from > 0);
  }

  #get(
    asked: { includeMembers: boolean; includeResults?: boolean; lastMembersOnly?: boolean },
    firstMember: number,
    options: CallOptions,
  ) {
    const request = {
      key: this.key,
      includeResults: false,
      lastMembersOnly: false,
      ...asked,
      firstMember,
      memberCount: asked.includeMembers ? 1_000 : 0,
    };
    return this.#caller.call(FlowServiceService.get, request, options);
  }
}

const rules: FollowRules<FlowServiceWatchResponse, Flow> = {
  of: ({ flow }) => flow,
  ended: flowEnded,
  tellsMore: (now, last) => JSON.stringify(now) !== JSON.stringify(last),
};
