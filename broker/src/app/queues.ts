// Queues as people handle them: look, pause, resume, purge.

import { Refusal } from "../core/errors.js";
import { specOf } from "../core/job.js";
import { type RunTimes, times } from "../core/limits.js";
import { type RunLimits, someLimits } from "../core/run-limits.js";
import type { Dispatcher } from "./dispatcher.js";
import type { Holdings } from "./holdings.js";
import type { LimitControl } from "./limits.js";
import type { Clock, Peers } from "./ports.js";
import type { QueuesApi, QueueView, RetentionView } from "./queue-api.js";
import type { QueueSettings, Queues } from "./queue-ports.js";
import type { Log } from "./telemetry.js";
import type { Rates, Traffic } from "./traffic.js";

const refreshEvery = 5_000;
const look = 100;

/** The part of the lanes that pausing needs. */
export interface Pausable {
  setPaused(queues: ReadonlySet<string>): Promise<void>;
}

/** For how long the oldest ready job of each lane has been waiting, as last looked. */
export interface OldestJobs {
  ages(): Iterable<{ key: { queue: string }; seconds: number }>;
}

export interface QueueControlParts {
  queues: Queues;
  lanes: Pausable;
  dispatcher: Dispatcher;
  holdings: Holdings;
  peers: Peers;
  clock: Clock;
  log: Log;
  limits: Pick<LimitControl, "queues" | "refresh" | "viewOf">;
  traffic: Pick<Traffic, "rates">;
  oldest: OldestJobs;
}

export class QueueControl implements QueuesApi {
  #settings = new Map<string, QueueSettings>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly parts: QueueControlParts,
    readonly run: Pick<RunTimes, "purgePatience"> = times,
  ) {
    parts.peers.answer("queues-changed", () => this.refresh().then(() => true));
    parts.peers.answer("running-by-queue", () => this.#running());
    parts.peers.answer("traffic-by-queue", () => this.parts.traffic.rates());
  }

  async start(): Promise<void> {
    await this.refresh();
    await this.parts.limits.refresh();
    this.#timer = setInterval(() => {
      Promise.all([this.refresh(), this.parts.limits.refresh()]).catch((error: unknown) => {
        this.parts.log.warn({ error: String(error) }, "queue settings could not be read");
      });
    }, refreshEvery);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  settingsOf(queue: string): QueueSettings | undefined {
    return this.#settings.get(queue);
  }

  /** Takes over what the store says, and lets the queues that rest rest. */
  async refresh(): Promise<void> {
    const all = await this.parts.queues.settings();
    this.#settings = new Map(all.map((settings) => [settings.name, settings]));
    const resting = new Set(all.filter((s) => this.#rests(s)).map((s) => s.name));
    this.parts.dispatcher.pause(resting);
    await this.parts.lanes.setPaused(resting);
    await this.parts.limits.queues(all);
  }

  async list(): Promise<QueueView[]> {
    const views = new Map<string, QueueView>();
    for (const settings of this.#settings.values()) views.set(settings.name, this.#empty(settings.name));
    for (const { key, ready } of await this.parts.queues.lanes()) {
      const view = views.get(key.queue) ?? this.#empty(key.queue);
      views.set(key.queue, view);
      view.ready += ready;
      view.lanes.push({ task: key.task, priority: key.priority, ready });
    }
    const [running, rates] = await Promise.all([this.#allRunning(), this.#allRates()]);
    for (const { key, seconds } of this.parts.oldest.ages()) {
      const view = views.get(key.queue);
      if (view === undefined || seconds === 0) continue;
      view.oldestReadyAge = Math.max(view.oldestReadyAge ?? 0, seconds * 1_000);
    }
    await Promise.all(
      [...views.values()].map(async (view) => {
        const scope = { queue: view.name, task: undefined };
        view.running = running.get(view.name) ?? 0;
        view.rates = rates.get(view.name) ?? view.rates;
        view.scheduled = await this.parts.queues.count("later", scope);
        view.blocked = await this.parts.queues.count("blocked", scope);
        view.lanes.sort((a, b) => b.priority - a.priority || a.task.localeCompare(b.task));
      }),
    );
    return [...views.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  async get(queue: string): Promise<QueueView> {
    const view = (await this.list()).find(({ name }) => name === queue);
    if (view === undefined) {
      throw new Refusal("QUEUE_NOT_FOUND", `no queue ${queue}: nothing was ever submitted to it`, {
        metadata: { queue },
      });
    }
    const scope = { queue, task: undefined };
    const [succeeded, failed, cancelled] = await Promise.all([
      this.parts.queues.count("succeeded", scope),
      this.parts.queues.count("failed", scope),
      this.parts.queues.count("cancelled", scope),
    ]);
    const limits = await this.parts.limits.viewOf({ kind: "queue", name: queue });
    return { ...view, succeeded, failed, cancelled, limits };
  }

  async update(
    queue: string,
    change: { limits: RunLimits | undefined; retention: RetentionView | undefined },
  ): Promise<QueueView> {
    const { limits, retention } = change;
    await this.#change(queue, (settings) => ({
      ...settings,
      ...(limits === undefined ? {} : { runLimits: someLimits(limits) }),
      ...(retention === undefined
        ? {}
        : {
            keepSucceeded: retention.succeeded,
            keepFailed: retention.failed,
            keepCancelled: retention.cancelled,
            keepSucceededCount: retention.succeededCount,
          }),
    }));
    return this.get(queue);
  }

  pause(queue: string): Promise<void> {
    return this.#change(queue, (settings) => ({ ...settings, paused: true }));
  }

  resume(queue: string): Promise<void> {
    return this.#change(queue, (settings) => ({ ...settings, paused: false }));
  }

  async purge(request: {
    queue: string;
    task: string | undefined;
    includeScheduled: boolean;
    dryRun: boolean;
  }): Promise<{ ready: number; scheduled: number }> {
    const { queue, task, includeScheduled, dryRun } = request;
    await this.get(queue);
    const scope = { queue, task };
    if (dryRun) {
      const lanes = (await this.parts.queues.lanes()).filter(({ key }) => isIn(key, scope));
      return {
        ready: lanes.reduce((sum, lane) => sum + lane.ready, 0),
        scheduled: includeScheduled ? await this.parts.queues.count("later", scope) : 0,
      };
    }
    const restUntil = this.parts.clock.now() + this.run.purgePatience;
    await this.#change(queue, (settings) => ({ ...settings, restUntil }));
    try {
      await this.#untilNothingIsDelivered(scope, restUntil);
      return {
        ready: await this.parts.queues.purgeReady(scope),
        scheduled: includeScheduled ? await this.parts.queues.purgeScheduled(scope) : 0,
      };
    } finally {
      // Another purge of the queue may have begun meanwhile: its rest is not ours to end.
      await this.#change(queue, (settings) =>
        settings.restUntil === restUntil ? { ...settings, restUntil: 0 } : settings,
      );
    }
  }

  /** Stored, and known to every broker that can be heard, when this settles. */
  async #change(queue: string, change: (settings: QueueSettings) => QueueSettings): Promise<void> {
    await this.parts.queues.update(queue, (settings) => ({
      ...change(settings),
      changedAt: this.parts.clock.now(),
    }));
    await this.refresh();
    await this.parts.peers.ask("queues-changed", {});
  }

  /** A job that has just been handed out has its ticket in the lane for up to 10 s: it must not be purged away. */
  async #untilNothingIsDelivered(
    scope: { queue: string; task: string | undefined },
    until: number,
  ): Promise<void> {
    for (;;) {
      const lanes = (await this.parts.queues.lanes()).filter(({ key }) => isIn(key, scope));
      const delivered = lanes.reduce((sum, lane) => sum + lane.delivered, 0);
      if (delivered === 0) return;
      if (this.parts.clock.now() >= until - 1_000) {
        throw new Refusal(
          "QUEUE_BUSY",
          `${delivered} jobs of ${scope.queue} are being handed out: try again`,
          {
            retryAfter: 10_000,
          },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, look));
    }
  }

  async #allRunning(): Promise<Map<string, number>> {
    const { answers } = await this.parts.peers.ask("running-by-queue", {});
    const sum = new Map<string, number>();
    for (const { body } of answers) {
      for (const [queue, count] of Object.entries(body as Record<string, number>)) {
        sum.set(queue, (sum.get(queue) ?? 0) + count);
      }
    }
    return sum;
  }

  async #allRates(): Promise<Map<string, Rates>> {
    const { answers } = await this.parts.peers.ask("traffic-by-queue", {});
    const sum = new Map<string, Rates>();
    for (const { body } of answers) {
      for (const [queue, { submitted, finished }] of Object.entries(body as Record<string, Rates>)) {
        const before = sum.get(queue) ?? { submitted: 0, finished: 0 };
        sum.set(queue, {
          submitted: before.submitted + submitted,
          finished: before.finished + finished,
        });
      }
    }
    return sum;
  }

  #running(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const holding of this.parts.holdings.all()) {
      const { queue } = specOf(holding.stored.job);
      counts[queue] = (counts[queue] ?? 0) + 1;
    }
    return counts;
  }

  #rests(settings: QueueSettings): boolean {
    return settings.paused || settings.restUntil > this.parts.clock.now();
  }

  #empty(name: string): QueueView {
    const settings = this.#settings.get(name);
    return {
      name,
      paused: settings?.paused ?? false,
      ready: 0,
      running: 0,
      scheduled: 0,
      blocked: 0,
      succeeded: 0,
      failed: 0,
      cancelled: 0,
      lanes: [],
      oldestReadyAge: undefined,
      rates: { submitted: 0, finished: 0 },
      limits: settings?.runLimits && { ...settings.runLimits, tokens: undefined, nextTokenAt: undefined },
      retention: settings && retentionOf(settings),
    };
  }
}

function isIn(
  key: { task: string; queue: string },
  scope: { queue: string; task: string | undefined },
): boolean {
  return key.queue === scope.queue && (scope.task === undefined || key.task === scope.task);
}

/** Undefined when nothing of it is set. */
function retentionOf(settings: QueueSettings): RetentionView | undefined {
  const { keepSucceeded, keepFailed, keepCancelled, keepSucceededCount } = settings;
  if (keepSucceeded + keepFailed + keepCancelled + keepSucceededCount === 0) return undefined;
  return {
    succeeded: keepSucceeded,
    failed: keepFailed,
    cancelled: keepCancelled,
    succeededCount: keepSucceededCount,
  };
}
