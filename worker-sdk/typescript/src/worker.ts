import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { channelOf, metadataOf } from "@drover/proto/sdk/access";
import { addressesOf } from "@drover/proto/sdk/addresses";
import { toMillis } from "@drover/proto/sdk/time";
import type { Attach, Attached, CancelLeases, Settled } from "@drover/proto/v1";
import { LeaseLost, WorkerDraining } from "./errors.js";
import { Holdings } from "./holdings.js";
import { Inputs } from "./inputs.js";
import type { IsolatedRuns } from "./isolated-runs.js";
import { isolated } from "./isolation.js";
import { Link } from "./link.js";
import { jsonLogger, type Logger } from "./log.js";
import { capacityOf, queuesOf, type WorkerOptions } from "./options.js";
import { Roster } from "./roster.js";
import { Runner } from "./runner.js";
import { DEFAULT_SILENCE } from "./session.js";
import {
  type AnyTask,
  defineTask,
  type Handler,
  implement,
  type RunOptions,
  type Task,
  type TaskContract,
  type TaskOptions,
} from "./task.js";
import { tracing } from "./tracing.js";
import { Uplink } from "./uplink.js";
import { VERSION } from "./version.js";
import { Vigil } from "./vigil.js";

const DRAIN_TIMEOUT = 20_000;
const ATTACH_TIMEOUT = 5_000;
/** From telling the handlers to end, until their jobs are given back. */
const LAST_WORDS = 1_000;
/** For the broker to settle the last outcomes, and then to end the stream. */
const SETTLE_TIMEOUT = 5_000;
const CLOSE_TIMEOUT = 2_000;
/** What the program has for its own end after a signal, while a handler or what it left open keeps it alive. */
const EXIT_TIMEOUT = 5_000;

/** Leases jobs from a broker and runs their handlers. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #logger: Logger;
  readonly #tasks = new Map<string, AnyTask>();
  readonly #holdings: Holdings;
  readonly #runner: Runner;
  readonly #inputs: Inputs;
  readonly #vigil: Vigil;
  readonly #link: Link;
  readonly #uplink: Uplink;
  readonly #attachOnce: Omit<Attach, "tasks" | "credit" | "held">;
  /** There once the worker has started, if any of its tasks is isolated. */
  #isolated: IsolatedRuns | undefined;
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #onAttached: () => void = () => {};
  #onStopped: () => void = () => {};
  #awaited: (() => void) | undefined;

  /** @throws RangeError for an option out of its range. */
  constructor(options: WorkerOptions = {}) {
    this.#options = options;
    this.#logger = options.logger ?? jsonLogger();
    for (const task of options.tasks ?? []) this.register(task);
    const capacity = capacityOf(options);
    const { around } = options;
    const addresses = addressesOf(options);
    const channel = channelOf(options);
    const metadata = () => metadataOf(options);
    // As many again may be reported and not settled yet.
    const roster = Roster.for(2 * (capacity.concurrency + capacity.prefetch));
    this.#holdings = new Holdings(roster);
    this.#vigil = new Vigil(roster, { ...options, addresses, logger: this.#logger });
    this.#inputs = new Inputs(addresses, channel, metadata);
    this.#runner = new Runner(this.#holdings, {
      ...capacity,
      inputs: (lease) => this.#inputs.of(lease),
      isolated: (task, lease, events) => (this.#isolated as IsolatedRuns).start(task, lease, events),
      tasks: this.#tasks,
      around,
      logger: this.#logger,
      changed: () => this.#uplink.changed(),
    });
    this.#link = new Link(
      {
        addresses,
        credentials: channel,
        metadata,
        attachTimeout: ATTACH_TIMEOUT,
        logger: this.#logger,
      },
      {
        attach: () => this.#attach(),
        attached: (attached, address) => this.#attached(attached, address),
        stayed: () => this.#uplink.changed(),
        leases: (leases) => this.#runner.accept(leases),
        settled: (settled, moving) => this.#settled(settled, moving),
        cancel: (cancel) => this.#cancel(cancel),
        isIdle: () => this.#holdings.size === 0,
      },
    );
    this.#uplink = new Uplink(
      this.#link,
      this.#holdings,
      () => this.#runner.credit,
      () => this.#awaited?.(),
    );
    this.#attachOnce = {
      worker: (options.name ?? `${hostname()}:${process.pid}`).slice(-128),
      instance: randomUUID(),
      queues: queuesOf(options),
      sdk: `typescript ${VERSION}`,
    };
  }

  /** Serves a task that is known by a contract, with its schemas, types and defaults. @throws RangeError for a second use
   *  of a name. */
  task<P, R, H = P>(
    contract: TaskContract<P, R, H>,
    handler: Handler<H, R>,
    options?: RunOptions,
  ): Task<P, R, H>;
  /** Defines a task and serves it. @throws RangeError for a bad or second use of a name. */
  task<P = unknown, R = unknown>(name: string, handler: Handler<P, R>, options?: TaskOptions): Task<P, R>;
  task<P, R>(of: string | TaskContract<P, R>, handler: Handler<P, R>, options: TaskOptions = {}): Task<P, R> {
    const task =
      typeof of === "string"
        ? defineTask<P, R>({ ...options, name: of, handler })
        : implement(of, handler, options);
    this.register(task);
    return task;
  }

  /** Serves tasks that were defined elsewhere. Only before start(). */
  register(...tasks: readonly AnyTask[]): void {
    if (this.#started !== undefined)
      throw new Error("the worker has started: register its tasks before that");
    for (const task of tasks) {
      if (this.#tasks.has(task.name)) throw new RangeError(`task ${task.name} has a handler already`);
      this.#tasks.set(task.name, task);
    }
  }

  /** Handlers that run right now. */
  get running(): number {
    return this.#runner.busy + this.#runner.abandoned;
  }

  /** Attaches to a broker, waiting for one as long as it takes. @throws SessionError when the broker refuses what this
   *  worker asks for, for example a task name. */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async #start(): Promise<void> {
    if (this.#stopped !== undefined) throw new Error("the worker was stopped: make another one");
    const host = isolated();
    if (host !== undefined) {
      // This module was imported for a run of one of its tasks, in a thread or process of a worker: it is no worker here.
      host.workerStarted(this.#options);
      return new Promise(() => {});
    }
    if (this.#tasks.size === 0)
      throw new Error("the worker has no tasks: add one with worker.task(name, handler)");
    this.#runner.trace(await tracing());
    await this.#prepareIsolation();
    await this.#options.onStart?.();
    const attached = new Promise<void>((resolve) => {
      this.#onAttached = resolve;
    });
    try {
      // Stopped before it was attached: the link ends, and so does this.
      await Promise.race([attached, this.#link.keep()]);
    } catch (error) {
      await this.#options.onStop?.();
      throw error;
    }
  }

  async #prepareIsolation(): Promise<void> {
    if (![...this.#tasks.values()].some(({ options }) => options.isolation !== undefined)) return;
    const { IsolatedRuns } = await import("./isolated-runs.js");
    this.#isolated = new IsolatedRuns();
  }

  /** Takes no more jobs, lets running handlers finish for up to the drain timeout, tells the rest to end, gives their
   *  jobs back, and leaves. */
  stop(): Promise<void> {
    this.#stopped ??=
      this.#started === undefined ? Promise.resolve() : this.#stop().finally(() => this.#onStopped());
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { drainTimeout = DRAIN_TIMEOUT } = this.#options;
    this.#logger.info(
      { event: "worker_draining", running: this.#runner.busy, timeout_ms: drainTimeout },
      "worker_draining",
    );
    this.#runner.drain();
    this.#uplink.drain();
    await this.#until(() => this.#runner.busy === 0, drainTimeout);
    if (this.#runner.busy > 0) {
      this.#runner.interruptAll(() => new WorkerDraining());
      await this.#until(() => this.#runner.busy === 0, LAST_WORDS);
      this.#runner.releaseAll(() => new WorkerDraining());
    }
    const settled = await this.#until(() => this.#holdings.size === 0, SETTLE_TIMEOUT);
    this.#link.stop();
    await this.#link.end(CLOSE_TIMEOUT);
    this.#uplink.close();
    this.#vigil.close();
    this.#inputs.close();
    this.#isolated?.close();
    await this.#options.onStop?.();
    const left = { unsettled: settled ? 0 : this.#holdings.size, abandoned: this.#runner.abandoned };
    this.#logger.info({ event: "worker_stopped", ...left }, "worker_stopped");
  }

  /** start(), then works until SIGTERM or SIGINT (or stop()), and drains. After a signal the process has 5 s more for
   *  what comes after run(), then it is ended with its exit code. A second signal ends it at once, with 1. */
  async run(): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#onStopped = resolve;
    });
    let signalled = false;
    const onSignal = (signal: NodeJS.Signals) => {
      signalled = true;
      if (this.#stopped !== undefined) process.exit(1);
      this.#logger.info({ event: "signal_received", signal }, "signal_received");
      void this.stop();
    };
    process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
    try {
      await this.start();
      await stopped;
    } finally {
      process.off("SIGTERM", onSignal).off("SIGINT", onSignal);
    }
    if (signalled) setTimeout(() => process.exit(), EXIT_TIMEOUT).unref();
  }

  #attach(): Attach {
    return {
      ...this.#attachOnce,
      tasks: Array.from(this.#tasks.values(), ({ name, options }) => ({
        task: name,
        concurrency: options.concurrency ?? 0,
      })),
      credit: this.#uplink.creditToAttach(),
      held: this.#holdings.tokens(),
    };
  }

  #attached({ held, sessionTimeout }: Attached, address: string): void {
    this.#vigil.attached(address, toMillis(sessionTimeout) || DEFAULT_SILENCE);
    const { lost, cancelRequested } = this.#holdings.reattach(held);
    for (const run of lost) this.#runner.lose(run, new LeaseLost());
    for (const run of cancelRequested) this.#runner.requestCancel(run);
    if (this.#stopped !== undefined) this.#uplink.drain();
    this.#uplink.changed();
    this.#onAttached();
  }

  #settled(settled: Settled, moving: boolean): void {
    // While another broker takes over, this one may only be saying that it was fenced off: the other one will tell.
    const refused = this.#holdings.settle(settled, (error) => moving && error?.reason === "LEASE_LOST");
    for (const { run, error } of refused) {
      const { jobId, task, attempt } = run.lease;
      const why = { reason: error?.reason, error: error?.message };
      // Sent again after a broken connection, and recorded the first time.
      const level = error?.reason === "ALREADY_REPORTED" ? "debug" : "warn";
      this.#logger[level](
        { event: "outcome_refused", job_id: jobId, task, attempt, ...why },
        "outcome_refused",
      );
    }
    this.#awaited?.();
  }

  #cancel({ leases }: CancelLeases): void {
    for (const { leaseId, reason } of leases) {
      const run = this.#holdings.get(leaseId);
      if (run !== undefined) this.#runner.cancel(run, reason);
    }
  }

  /** Whether the condition came to hold within `ms`. Asked after each change; one at a time. */
  #until(condition: () => boolean, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (held: boolean) => {
        clearTimeout(timer);
        this.#awaited = undefined;
        resolve(held);
      };
      const timer = setTimeout(() => end(condition()), ms);
      this.#awaited = () => {
        if (condition()) end(true);
      };
      this.#awaited();
    });
  }
}
