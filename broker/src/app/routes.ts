// Routes as people handle them. All of a namespace are one message, changed by compare-and-set; every broker keeps what
// it read last, so that a submit asks its own memory and nobody else.

import { invalid, Refusal, type Violation } from "../core/errors.js";
import { counts, sizes } from "../core/limits.js";
import {
  bytesOf,
  changesOf,
  inOrder,
  type Route,
  type Routed,
  RouteTable,
  type Routing,
  violationsOf,
} from "../core/routes.js";
import type { Clock, Peers } from "./ports.js";
import type { DeclaredRoute, RoutesApi, RoutesPut } from "./queue-api.js";
import type { Routes, StoredRoutes } from "./queue-ports.js";
import type { Log } from "./telemetry.js";

const refreshEvery = 5_000;

export class RouteControl implements RoutesApi, Routing {
  #table = new RouteTable([]);
  #changedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly routes: Routes,
    readonly peers: Peers,
    readonly clock: Clock,
    readonly log: Log,
  ) {
    peers.answer("routes-changed", () => this.refresh().then(() => true));
  }

  async start(): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => {
      this.refresh().catch((error: unknown) => {
        this.log.warn({ error: String(error) }, "routes could not be read");
      });
    }, refreshEvery);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  find(job: Routed): Route | undefined {
    return this.#table.find(job);
  }

  async refresh(): Promise<void> {
    this.#take(await this.routes.read());
  }

  async list(): Promise<{ routes: readonly Route[]; changedAt: number }> {
    await this.refresh();
    return { routes: this.#table.routes, changedAt: this.#changedAt };
  }

  async put(request: {
    owner: string;
    routes: readonly DeclaredRoute[];
    dryRun: boolean;
  }): Promise<RoutesPut> {
    const { owner, dryRun } = request;
    const violations = violationsOf(owner, request.routes);
    if (violations.length > 0) throw invalid(violations);
    const declared = request.routes.map((route) => ({ ...route, owner }));
    const answerTo = (before: readonly Route[]) => ({
      routes: declared,
      ...changesOf(ownedBy(owner, before), declared),
    });
    if (dryRun) {
      const { routes } = await this.routes.read();
      replaced(routes, owner, declared);
      return answerTo(routes);
    }
    let before: readonly Route[] = [];
    const stored = await this.routes.update((current) => {
      before = current.routes;
      // Later than what it replaces, whatever the clocks say: by it brokers tell which is the newer.
      const changedAt = Math.max(this.clock.now(), current.changedAt + 1);
      return { routes: replaced(before, owner, declared), changedAt };
    });
    this.#take(stored);
    // Known to every broker that can be heard, when this settles.
    await this.peers.ask("routes-changed", {});
    return answerTo(before);
  }

  /** What was read later may have been asked for earlier: only what is newer is taken over. */
  #take({ routes, changedAt }: StoredRoutes): void {
    if (changedAt <= this.#changedAt) return;
    this.#changedAt = changedAt;
    this.#table = new RouteTable(routes);
  }
}

/** All routes, with those of one owner replaced. @throws Refusal OWNED_BY_ANOTHER, INVALID_ARGUMENT */
function replaced(before: readonly Route[], owner: string, declared: readonly Route[]): Route[] {
  const others = before.filter((route) => route.owner !== owner);
  const owners = new Map(others.map((route) => [route.name, route.owner]));
  for (const { name } of declared) {
    const other = owners.get(name);
    if (other === undefined) continue;
    throw new Refusal("OWNED_BY_ANOTHER", `route ${name} is declared by ${other}: choose another name`, {
      metadata: { name, owner: other },
    });
  }
  const all = inOrder([...others, ...declared]);
  const violations: Violation[] = [];
  if (all.length > counts.routes) {
    const description = `would be ${all.length} over all owners, the limit is ${counts.routes}: merge some with globs`;
    violations.push({ field: "routes", description });
  }
  const bytes = all.reduce((sum, route) => sum + bytesOf(route), 0);
  if (bytes > sizes.routes) {
    const description = `would have ${bytes} bytes over all owners, the limit is ${sizes.routes}: use fewer labels`;
    violations.push({ field: "routes", description });
  }
  if (violations.length > 0) throw invalid(violations);
  return all;
}

function ownedBy(owner: string, routes: readonly Route[]): Route[] {
  return routes.filter((route) => route.owner === owner);
}
