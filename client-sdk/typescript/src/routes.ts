// Routes: rules kept by the broker that say where jobs of a task go. What a submit says itself wins over them.

import { toDate } from "@drover/proto/sdk/time";
import { QueueServiceService, type Route as WireRoute } from "@drover/proto/v1/queue_service";
import type { Caller, CallOptions } from "./call.js";
import { type JobOptions, jobSpec } from "./spec.js";

export interface Route {
  /** Unique over all owners. */
  readonly name: string;
  /** Glob on the task's name: `*` = any characters, `?` = one. */
  readonly task: string;
  /** Labels that the job must bear, values as globs. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What it sets: at least one of the two. */
  readonly queue?: string;
  readonly priority?: number;
}

export interface OwnedRoute extends Route {
  readonly owner: string;
}

export interface RoutesPut {
  /** The owner's, as they are now, or would be. */
  readonly routes: readonly OwnedRoute[];
  /** By name. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  /** No longer declared. */
  readonly removed: readonly string[];
}

export interface RouteTest {
  /** The one that matches first; undefined = none. */
  readonly route: OwnedRoute | undefined;
  /** What the job would get in the end. */
  readonly queue: string;
  readonly priority: number;
}

export class Routes {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** In the order in which they are tried. */
  async list(options: CallOptions = {}): Promise<{ routes: OwnedRoute[]; changedAt: Date | undefined }> {
    const answer = await this.#caller.call(QueueServiceService.listRoutes, {}, options);
    return { routes: answer.routes.map(ownedRoute), changedAt: toDate(answer.changedAt) };
  }

  /** Replaces an owner's routes as a whole, tried in this order; owners in the order of their names. Holds for every
   *  broker once this has answered. @throws OwnedByAnotherError for a name that another owner has */
  async put(
    owner: string,
    routes: readonly Route[],
    options: CallOptions & { readonly dryRun?: boolean } = {},
  ): Promise<RoutesPut> {
    const request = { owner, routes: routes.map(wireRoute), dryRun: options.dryRun ?? false };
    const answer = await this.#caller.call(QueueServiceService.putRoutes, request, options);
    return { ...answer, routes: answer.routes.map(ownedRoute) };
  }

  /** Which route a job would take, without submitting it. */
  async test(task: string, job: JobOptions = {}, options: CallOptions = {}): Promise<RouteTest> {
    const request = { job: jobSpec(task, null, job, () => "") };
    const answer = await this.#caller.call(QueueServiceService.testRoute, request, options);
    const { route, queue, priority } = answer;
    return { route: route && ownedRoute(route), queue, priority };
  }
}

function wireRoute({ name, task, labels = {}, queue, priority }: Route): WireRoute {
  return { name, task, labels: { ...labels }, queue, priority, owner: "" };
}

function ownedRoute({ name, task, labels, queue, priority, owner }: WireRoute): OwnedRoute {
  return {
    name,
    task,
    labels,
    ...(queue !== undefined && { queue }),
    ...(priority !== undefined && { priority }),
    owner,
  };
}
