// Limits of queues and tasks: kept in the store, read by every broker, and turned into gates before the lanes that they
// hold for. A lane without limits has no gate, and a broker without limits does not even count.

import type { Facts } from "../core/explain.js";
import { specOf } from "../core/job.js";
import { nextStart, tokensOf, unused } from "../core/rate.js";
import { type Limited, limitId, type RunLimits, someLimits } from "../core/run-limits.js";
import type { Dispatcher } from "./dispatcher.js";
import { Gate, type Rated } from "./gate.js";
import type { Holding, Holdings, HoldingsWatch } from "./holdings.js";
import { Places } from "./places.js";
import type { Clock, LaneKey, Peers } from "./ports.js";
import type { LimitsView } from "./queue-api.js";
import type { LimitStore, QueueSettings, TaskSettings } from "./queue-ports.js";
import type { Log } from "./telemetry.js";

/** Undefined where there is no such limit. */
export interface LimitUsage {
  limit: Limited;
  /** Starts that would be allowed right now. */
  tokens: number | undefined;
  /** How many may run, on all brokers together. */
  places: number | undefined;
  /** Leases of this broker that it counts. */
  running: number | undefined;
}

type Limits = ReadonlyMap<string, { limit: Limited; limits: RunLimits }>;

export interface LimitControlParts {
  store: LimitStore;
  dispatcher: Pick<Dispatcher, "limit" | "soon">;
  holdings: Holdings;
  peers: Peers;
  clock: Clock;
  log: Log;
}

export class LimitControl implements HoldingsWatch {
  /** By limit. */
  #limits: Limits = new Map();
  #tasks: readonly TaskSettings[] = [];
  #queues: readonly QueueSettings[] = [];
  readonly #rated = new Map<string, Rated>();
  readonly #places = new Map<string, Places>();
  readonly #gates = new Map<string, Gate>();
  /** Which places each lease takes: a job may have changed its queue when it ends. */
  readonly #counted = new Map<Holding, readonly Places[]>();

  constructor(readonly parts: LimitControlParts) {
    parts.peers.answer("tasks-changed", () => this.refresh().then(() => true));
    parts.peers.answer("running-by-task", () => this.#running());
    parts.peers.hear("places-freed", (body) => this.#places.get(limitId(body as Limited))?.look());
  }

  stop(): void {
    for (const gate of this.#gates.values()) gate.close();
    for (const places of this.#places.values()) places.close();
  }

  /** Takes over what the store says of tasks. */
  async refresh(): Promise<void> {
    this.#tasks = await this.parts.store.tasks();
    await this.#apply();
  }

  /** Takes over what it says of queues. */
  async queues(settings: readonly QueueSettings[]): Promise<void> {
    this.#queues = settings;
    await this.#apply();
  }

  async setTask(task: string, limits: RunLimits | undefined): Promise<void> {
    const changedAt = this.parts.clock.now();
    await this.parts.store.updateTask(task, (settings) => ({
      ...settings,
      changedAt,
      runLimits: someLimits(limits),
    }));
    await this.refresh();
    await this.parts.peers.ask("tasks-changed", {});
  }

  /** What is set, and how far it is used up. */
  async viewOf(limit: Limited): Promise<LimitsView | undefined> {
    const limits = this.#limits.get(limitId(limit))?.limits;
    if (limits === undefined) return undefined;
    const { rate } = limits;
    if (rate === undefined) return { ...limits, tokens: undefined, nextTokenAt: undefined };
    const [known] = await this.parts.store.books([limit]);
    const now = this.parts.clock.now();
    const book = known?.book ?? unused;
    return { ...limits, tokens: tokensOf(rate, book, now), nextTokenAt: nextStart(rate, book, now) };
  }

  /** What limits jobs of a task in a queue, as far as it is known at this moment. */
  async holdingFor(task: string, queue: string): Promise<Pick<Facts, "rates" | "concurrency">> {
    const set = limitIds(task, queue).flatMap((id) => this.#limits.get(id) ?? []);
    const rated = set.flatMap(({ limit, limits: { rate } }) => (rate === undefined ? [] : [{ limit, rate }]));
    const bounded = set.flatMap(({ limit, limits: { concurrency } }) =>
      concurrency === undefined ? [] : [{ limit, most: concurrency }],
    );
    const [books, running] = await Promise.all([
      rated.length === 0 ? [] : this.parts.store.books(rated.map(({ limit }) => limit)),
      Promise.all(bounded.map(({ limit }) => this.#runningUnder(limit))),
    ]);
    return {
      rates: rated.map((each, i) => ({ ...each, book: books[i]?.book ?? unused })),
      concurrency: bounded.map((each, i) => ({ ...each, running: running[i] ?? 0 })),
    };
  }

  /** How many jobs of one concurrency key may run, of a task in a queue. */
  perKey(task: string, queue: string): number {
    const of = (limit: Limited) => this.#limits.get(limitId(limit))?.limits.concurrencyPerKey;
    return of({ kind: "task", name: task }) ?? of({ kind: "queue", name: queue }) ?? 1;
  }

  /** How far each limit is used up: a rate by all brokers together, places by this one. @throws Refusal */
  async usage(): Promise<LimitUsage[]> {
    const all = [...this.#limits.values()];
    const rated = all.flatMap(({ limit, limits: { rate } }) => (rate === undefined ? [] : [{ limit, rate }]));
    const books = rated.length === 0 ? [] : await this.parts.store.books(rated.map(({ limit }) => limit));
    const now = this.parts.clock.now();
    const tokens = new Map(
      rated.map(({ limit, rate }, i) => [limitId(limit), tokensOf(rate, books[i]?.book ?? unused, now)]),
    );
    return all.map(({ limit, limits: { concurrency } }) => ({
      limit,
      tokens: tokens.get(limitId(limit)),
      places: concurrency,
      running: this.#places.get(limitId(limit))?.running,
    }));
  }

  /** Jobs of a task that run, at all brokers that can be heard. */
  runningOf(task: string): Promise<number> {
    return this.#runningUnder({ kind: "task", name: task });
  }

  async #runningUnder({ kind, name }: Limited): Promise<number> {
    const { answers } = await this.parts.peers.ask(`running-by-${kind}`, {});
    return answers.reduce((sum, { body }) => sum + ((body as Record<string, number>)[name] ?? 0), 0);
  }

  added(holding: Holding): void {
    const places = this.#placesOf(specOf(holding.stored.job));
    if (places.length === 0) return;
    this.#counted.set(holding, places);
    for (const each of places) {
      each.running++;
      each.occupied();
    }
  }

  removed(holding: Holding): void {
    const places = this.#counted.get(holding);
    if (places === undefined) return;
    this.#counted.delete(holding);
    for (const each of places) each.running--;
    this.parts.dispatcher.soon();
  }

  /** Builds the gates anew where a limit has changed. */
  async #apply(): Promise<void> {
    const limits = limitsOf(this.#queues, this.#tasks);
    if (isSame(limits, this.#limits)) return;
    this.#limits = limits;
    for (const gate of this.#gates.values()) gate.close();
    this.#gates.clear();
    this.#rated.clear();
    for (const [id, { limit, limits: set }] of limits) {
      if (set.rate !== undefined) this.#rated.set(id, { limit, rate: set.rate, known: undefined });
    }
    const bound = this.#rebuildPlaces();
    this.parts.dispatcher.limit(limits.size === 0 ? undefined : (lane) => this.#gateOf(lane));
    await bound;
  }

  async #rebuildPlaces(): Promise<void> {
    const gone: Places[] = [];
    for (const [id, places] of this.#places) {
      if (this.#limits.get(id)?.limits.concurrency !== undefined) continue;
      this.#places.delete(id);
      gone.push(places);
    }
    for (const [id, { limit, limits }] of this.#limits) {
      if (limits.concurrency === undefined || this.#places.has(id)) continue;
      this.#places.set(id, this.#newPlaces(limit, limits.concurrency));
    }
    // Counted anew: what runs already takes its places, even above a limit that came later.
    this.#counted.clear();
    for (const places of this.#places.values()) places.running = 0;
    this.parts.holdings.watch = this.#places.size === 0 ? undefined : this;
    if (this.#places.size > 0) for (const holding of this.parts.holdings.all()) this.added(holding);
    const kept = [...this.#places].map(([id, places]) =>
      places.bound(this.#limits.get(id)?.limits.concurrency ?? 0),
    );
    await Promise.all([...kept, ...gone.map((places) => places.end())]);
  }

  #newPlaces(limit: Limited, most: number): Places {
    return new Places(limit, most, {
      store: this.parts.store,
      broker: this.parts.peers.self,
      log: this.parts.log,
      changed: () => this.parts.dispatcher.soon(),
      freed: (freed) => this.parts.peers.tell("places-freed", freed),
    });
  }

  #gateOf({ task, queue }: LaneKey): Gate | undefined {
    const ids = limitIds(task, queue).filter((id) => this.#limits.has(id));
    const rates = ids.map((id) => this.#rated.get(id)).filter((rated) => rated !== undefined);
    const places = ids.map((id) => this.#places.get(id)).filter((each) => each !== undefined);
    if (rates.length === 0 && places.length === 0) return undefined;
    const id = ids.join("\n");
    let gate = this.#gates.get(id);
    if (gate === undefined) {
      gate = new Gate(rates, places, {
        store: this.parts.store,
        clock: this.parts.clock,
        log: this.parts.log,
        changed: () => this.parts.dispatcher.soon(),
      });
      this.#gates.set(id, gate);
    }
    return gate;
  }

  #placesOf({ task, queue }: { task: string; queue: string }): readonly Places[] {
    return limitIds(task, queue)
      .map((id) => this.#places.get(id))
      .filter((places) => places !== undefined);
  }

  #running(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const holding of this.parts.holdings.all()) {
      const { task } = holding.ref;
      counts[task] = (counts[task] ?? 0) + 1;
    }
    return counts;
  }
}

function limitIds(task: string, queue: string): readonly string[] {
  return [limitId({ kind: "queue", name: queue }), limitId({ kind: "task", name: task })];
}

function limitsOf(queues: readonly QueueSettings[], tasks: readonly TaskSettings[]): Limits {
  const limits = new Map<string, { limit: Limited; limits: RunLimits }>();
  const add = (kind: Limited["kind"], name: string, set: RunLimits | undefined) => {
    const some = someLimits(set);
    if (some !== undefined) limits.set(limitId({ kind, name }), { limit: { kind, name }, limits: some });
  };
  for (const { name, runLimits } of queues) add("queue", name, runLimits);
  for (const { name, runLimits } of tasks) add("task", name, runLimits);
  return limits;
}

function isSame(one: Limits, other: Limits): boolean {
  if (one.size !== other.size) return false;
  for (const [id, { limits }] of one) {
    const { rate, concurrency, concurrencyPerKey } = other.get(id)?.limits ?? {};
    if (limits.concurrency !== concurrency || limits.concurrencyPerKey !== concurrencyPerKey) return false;
    if (limits.rate?.count !== rate?.count || limits.rate?.period !== rate?.period) return false;
    if (limits.rate?.burst !== rate?.burst) return false;
  }
  return true;
}
