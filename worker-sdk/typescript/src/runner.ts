// Runs handlers. A slot is taken from a handler's start until it has really ended, also when its lease was lost or its
// time limit passed meanwhile: a worker never runs more handlers than its concurrency, whatever the broker believes.

import { decode, encode } from "@drover/proto/sdk/payload";
import { toMillis } from "@drover/proto/sdk/time";
import { CancelReason, type Lease } from "@drover/proto/v1/worker_service";
import { TaskContext } from "./context.js";
import {
  HardTimeLimitExceeded,
  type Interrupted,
  JobCancelled,
  LeaseLost,
  SoftTimeLimitExceeded,
} from "./errors.js";
import type { Holdings, Run } from "./holdings.js";
import type { FlowInput } from "./inputs.js";
import { type Around, invoke, isPromise } from "./invoke.js";
import type { IsolatedRun, RunEvents } from "./isolated-runs.js";
import type { Logger } from "./log.js";
import { CANCELLED, RELEASED, type Report, reportOfError, succeeded, threw, timedOut } from "./outcomes.js";
import { RunLog } from "./run-log.js";
import type { AnyTask } from "./task.js";
import { after } from "./timer.js";
import type { Tracing } from "./tracing.js";

/** From a cancel until an isolated run that goes on all the same is ended for real, in ms: the broker waits for 10 s. */
const CANCEL_GRACE = 5_000;

export interface RunnerOptions {
  readonly tasks: ReadonlyMap<string, AnyTask>;
  readonly concurrency: number;
  /** Leases held beyond the concurrency, so that the next job is there when one ends. */
  readonly prefetch: number;
  readonly around: Around | undefined;
  readonly logger: Logger;
  readonly inputs: (lease: Lease) => Promise<readonly FlowInput[]>;
  /** Runs a task's handler in a thread or process of its own. */
  readonly isolated: (task: AnyTask, lease: Lease, events: RunEvents) => IsolatedRun;
  /** There is something to send: outcomes, progress or another credit. */
  readonly changed: () => void;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #holdings: Holdings;
  readonly #log: RunLog;
  readonly #runningByTask = new Map<string, number>();
  #waiting: Run[] = [];
  #running = 0;
  // Handlers that still run though their attempt is over.
  #abandoned = 0;
  #tracing: Tracing | undefined;
  #draining = false;
  #startingWaiting = false;

  constructor(holdings: Holdings, options: RunnerOptions) {
    this.#holdings = holdings;
    this.#options = options;
    this.#log = new RunLog(options.logger);
  }

  /** How many jobs the broker may have leased to this worker at a time. */
  get credit(): number {
    if (this.#draining) return 0;
    return Math.max(0, this.#options.concurrency + this.#options.prefetch - this.#abandoned);
  }

  /** Handlers whose outcome is still to be reported. */
  get busy(): number {
    return this.#running - this.#abandoned;
  }

  /** Handlers that nobody waits for any more. */
  get abandoned(): number {
    return this.#abandoned;
  }

  /** From here on each run has a span. */
  trace(tracing: Tracing | undefined): void {
    this.#tracing = tracing;
  }

  accept(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const run = this.#holdings.add(lease);
      const task = this.#options.tasks.get(lease.task);
      if (this.#draining) this.#holdings.report(run, RELEASED);
      else if (task === undefined) this.#holdings.report(run, unknownTask(lease.task));
      else if (this.#hasSlot(task)) this.#start(run, task);
      else this.#waiting.push(run);
    }
    this.#options.changed();
  }

  /** What the broker's `cancel` for this lease means here. */
  cancel(run: Run, reason: CancelReason): void {
    if (reason === CancelReason.CANCEL_REASON_TIME_LIMIT) this.lose(run, new HardTimeLimitExceeded());
    else if (reason === CancelReason.CANCEL_REASON_LEASE_LOST) this.lose(run, new LeaseLost());
    // Also for a reason from the future: the report stands, whatever it says.
    else this.requestCancel(run);
  }

  /** Somebody asked for the job's end: the handler is told, and decides. */
  requestCancel(run: Run): void {
    if (run.report !== undefined || run.closed) return;
    if (run.context !== undefined) {
      this.#interrupt(run, new JobCancelled());
      if (run.terminate !== undefined) setTimeout(run.terminate, CANCEL_GRACE).unref();
      return;
    }
    this.#waiting = this.#waiting.filter((waiting) => waiting !== run);
    this.#holdings.report(run, CANCELLED);
    this.#options.changed();
  }

  /** The attempt is over: nothing the handler does is reported any more. */
  lose(run: Run, why: Interrupted): void {
    const finished = run.report !== undefined;
    this.#holdings.drop(run);
    if (run.context === undefined) this.#waiting = this.#waiting.filter((waiting) => waiting !== run);
    else if (!finished && !run.closed) {
      this.#log.lost(run, why);
      this.#abandon(run, why);
    }
  }

  /** No further handler starts, and what waits for a slot is given back. */
  drain(): void {
    this.#draining = true;
    for (const run of this.#waiting) this.#holdings.report(run, RELEASED);
    this.#waiting = [];
    this.#options.changed();
  }

  interruptAll(why: () => Interrupted): void {
    for (const run of this.#unfinished()) this.#interrupt(run, why());
  }

  /** Gives back every job whose handler has not ended; their handlers are left to themselves. */
  releaseAll(why: () => Interrupted): void {
    for (const run of this.#unfinished()) {
      this.#holdings.report(run, RELEASED);
      this.#log.released(run);
      this.#abandon(run, why());
    }
  }

  #unfinished(): Run[] {
    return [...this.#holdings.runs()].filter((run) => run.context !== undefined && run.report === undefined);
  }

  #hasSlot(task: AnyTask): boolean {
    if (this.#running >= this.#options.concurrency) return false;
    const { concurrency } = task.options;
    return concurrency === undefined || (this.#runningByTask.get(task.name) ?? 0) < concurrency;
  }

  #start(run: Run, task: AnyTask): void {
    const { lease } = run;
    this.#running++;
    if (task.options.concurrency !== undefined) this.#count(task, 1);
    run.startedAt = performance.now();
    const context = new TaskContext(lease, {
      logger: this.#options.logger,
      onProgress: (progress) => {
        this.#holdings.progress(run, progress);
        this.#options.changed();
      },
      inputs: this.#options.inputs,
    });
    run.context = context;
    if (lease.softTimeLimit !== undefined || lease.hardTimeLimit !== undefined) this.#arm(run);
    this.#log.started(run);
    let result: unknown;
    try {
      if (task.options.isolation !== undefined) return this.#startIsolated(run, task, context);
      const invocation = () => invoke(task, decode(lease.payload), context, this.#options.around);
      result = this.#tracing === undefined ? invocation() : this.#tracing(lease, invocation);
    } catch (error) {
      this.#ended(run, task, () => reportOfError(error, task.options, run.interrupted));
      return;
    }
    if (!isPromise(result)) {
      this.#ended(run, task, () => reportOfResult(result, run, task));
      return;
    }
    result.then(
      (value) => this.#ended(run, task, () => reportOfResult(value, run, task)),
      (error) => this.#ended(run, task, () => reportOfError(error, task.options, run.interrupted)),
    );
  }

  /** @throws Error where nobody can say which module defines the task */
  #startIsolated(run: Run, task: AnyTask, context: TaskContext): void {
    const isolated = this.#options.isolated(task, run.lease, {
      logger: context.logger,
      onProgress: (report) => {
        this.#holdings.progress(run, report);
        this.#options.changed();
      },
      inputs: () => context.inputs(),
    });
    run.terminate = isolated.terminate;
    this.#tracing?.(run.lease, () => isolated.report.then(throwFailure));
    context.signal.addEventListener("abort", () => isolated.interrupt(context.signal.reason as Interrupted));
    isolated.report.then(
      (report) => this.#ended(run, task, () => report),
      (error) => this.#ended(run, task, () => reportOfError(error, task.options, run.interrupted)),
    );
  }

  #ended(run: Run, task: AnyTask, reported: () => Report): void {
    this.#running--;
    if (task.options.concurrency !== undefined) this.#count(task, -1);
    run.disarm?.();
    if (run.closed) this.#abandoned--;
    else {
      const report = isOver(run) ? timedOut() : reported();
      this.#holdings.report(run, report);
      this.#log.ended(run, report);
    }
    if (this.#waiting.length > 0) this.#startWaiting();
    this.#options.changed();
  }

  /** In the order they came, past those whose task has no slot. A handler that returns at once ends inside of this
   *  loop and comes here again: the loop then only goes on. */
  #startWaiting(): void {
    if (this.#startingWaiting) return;
    this.#startingWaiting = true;
    const blocked: Run[] = [];
    const queue = this.#waiting;
    this.#waiting = [];
    let next = 0;
    while (next < queue.length && this.#running < this.#options.concurrency && !this.#draining) {
      const run = queue[next++] as Run;
      const task = this.#options.tasks.get(run.lease.task) as AnyTask;
      if (this.#hasSlot(task)) this.#start(run, task);
      else blocked.push(run);
    }
    this.#waiting = [...blocked, ...queue.slice(next), ...this.#waiting];
    this.#startingWaiting = false;
    // One of the handlers stopped the worker.
    if (this.#draining) this.drain();
  }

  #arm(run: Run): void {
    const soft = toMillis(run.lease.softTimeLimit);
    const hard = toMillis(run.lease.hardTimeLimit);
    const armHard = (spent: number) => {
      run.disarm =
        hard === undefined ? undefined : after(Math.max(0, hard - spent), () => this.#timeOut(run));
    };
    if (soft === undefined) return armHard(0);
    run.disarm = after(soft, () => {
      armHard(soft);
      this.#interrupt(run, new SoftTimeLimitExceeded());
    });
  }

  #timeOut(run: Run): void {
    // Reported or lost in the same turn of the event loop.
    if (run.closed || run.report !== undefined) return;
    const report = timedOut();
    this.#holdings.report(run, report);
    this.#log.ended(run, report);
    this.#abandon(run, new HardTimeLimitExceeded());
  }

  #interrupt(run: Run, why: Interrupted): void {
    run.interrupted = why;
    run.context?.interrupt(why);
  }

  #abandon(run: Run, why: Interrupted): void {
    run.closed = true;
    run.disarm?.();
    this.#abandoned++;
    this.#interrupt(run, why);
    run.terminate?.();
    this.#options.changed();
  }

  #count(task: AnyTask, by: number): void {
    this.#runningByTask.set(task.name, (this.#runningByTask.get(task.name) ?? 0) + by);
  }
}

/** A handler that kept the event loop busy has held up the timer of its hard time limit, too. */
function isOver(run: Run): boolean {
  const hard = toMillis(run.lease.hardTimeLimit);
  return hard !== undefined && performance.now() - run.startedAt >= hard;
}

function reportOfResult(result: unknown, run: Run, task: AnyTask): Report {
  try {
    return succeeded(encode(result));
  } catch (error) {
    return reportOfError(error, task.options, run.interrupted);
  }
}

/** So that the span of an isolated run ends as the run did. */
function throwFailure(report: Report): void {
  if (report.$case === "failure") throw new Error(`${report.value.type}: ${report.value.message}`);
}

function unknownTask(task: string): Report {
  return threw(new Error(`this worker does not serve task ${task}`), {}, undefined);
}
