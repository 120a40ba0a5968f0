import { parseJson } from "@drover/proto/sdk/json-text";
import { encodeJson, PayloadError } from "@drover/proto/sdk/payload";
import { toDate, toMillis } from "@drover/proto/sdk/time";
import type { Lease } from "@drover/proto/v1";
import type { Interrupted } from "./errors.js";
import type { FlowInput } from "./inputs.js";
import { type Logger, withFields } from "./log.js";

export interface ProgressReport {
  readonly value: number | undefined;
  /** JSON; empty = none. */
  readonly detail: Uint8Array;
}

/** What a context needs from whoever runs the handler. */
export interface ContextHost {
  readonly logger: Logger;
  readonly onProgress: (report: ProgressReport) => void;
  readonly inputs: (lease: Lease) => Promise<readonly FlowInput[]>;
}

const DETAIL_BYTES = 4 * 1024;
const NOTHING = new Uint8Array(0);

/** What a handler knows of the run it is in. Signal and logger are made when first asked for: most handlers use
 *  neither, and a worker starts tens of thousands of runs a second. */
export class TaskContext {
  readonly #lease: Lease;
  readonly #host: ContextHost;
  readonly #startedAt = Date.now();
  #controller: AbortController | undefined;
  #interrupted: Interrupted | undefined;
  #logger: Logger | undefined;
  #inputs: Promise<readonly FlowInput[]> | undefined;

  constructor(lease: Lease, host: ContextHost) {
    this.#lease = lease;
    this.#host = host;
  }

  /** `<task>~<key>`. */
  get jobId(): string {
    return this.#lease.jobId;
  }
  get task(): string {
    return this.#lease.task;
  }
  get queue(): string {
    return this.#lease.queue;
  }
  /** 0 to 9, 9 is the most urgent. */
  get priority(): number {
    return this.#lease.priority;
  }
  /** Number of this run, from 1. */
  get attempt(): number {
    return this.#lease.attempt;
  }
  /** Failures before this run. */
  get failures(): number {
    return this.#lease.failures;
  }
  /** How many failures end the job. */
  get maxAttempts(): number {
    return this.#lease.maxAttempts;
  }
  get labels(): Readonly<Record<string, string>> {
    return this.#lease.labels;
  }
  get headers(): Readonly<Record<string, string>> {
    return this.#lease.headers;
  }
  /** Media type of the payload; empty is JSON. */
  get contentType(): string {
    return this.#lease.payload?.contentType ?? "";
  }
  /** Key of the flow that the job is a member of; undefined for a job alone. */
  get flow(): string | undefined {
    return this.#lease.flow || undefined;
  }

  /** In a flow: what the members that this one depends on came to, in their order (the one before it in a chain, all of
   *  a chord's header). Up to 256 KiB in all they came with the job; more is read from the broker when first asked for. */
  inputs(): Promise<readonly FlowInput[]> {
    this.#inputs ??= this.#host.inputs(this.#lease);
    return this.#inputs;
  }

  get submittedAt(): Date | undefined {
    return toDate(this.#lease.submittedAt);
  }
  get startedAt(): Date {
    return new Date(this.#startedAt);
  }

  /** When the run has to be over: at its hard time limit, else at its soft one; undefined without either. */
  get deadline(): Date | undefined {
    const limit = toMillis(this.#lease.hardTimeLimit) ?? toMillis(this.#lease.softTimeLimit);
    return limit === undefined ? undefined : new Date(this.#startedAt + limit);
  }

  /** Aborted when the run is to end. `signal.reason` says why: JobCancelled, SoftTimeLimitExceeded,
   *  HardTimeLimitExceeded, LeaseLost or WorkerDraining. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#interrupted !== undefined) this.#controller.abort(this.#interrupted);
    }
    return this.#controller.signal;
  }

  /** The worker's logger, with job_id, task and attempt on each line. */
  get logger(): Logger {
    this.#logger ??= withFields(this.#host.logger, {
      job_id: this.jobId,
      task: this.task,
      attempt: this.attempt,
    });
    return this.#logger;
  }

  /** Tells how far the run has come: a finite number (by convention a share of 1) and/or a JSON value of at most
   *  4 KiB. Reports in quick succession are told as one, the last. @throws RangeError, PayloadError */
  progress(value?: number, detail?: unknown): void {
    if (value !== undefined && !Number.isFinite(value))
      throw new RangeError(`progress: ${value} is not a finite number`);
    const bytes = detail === undefined ? NOTHING : encodeJson(detail);
    if (bytes.length > DETAIL_BYTES) {
      throw new PayloadError(
        `progress: the detail has ${bytes.length} bytes of JSON; at most ${DETAIL_BYTES} are kept`,
      );
    }
    this.#host.onProgress({ value, detail: bytes });
  }

  /** @internal Aborts the signal, the first time only. */
  interrupt(why: Interrupted): void {
    if (this.#interrupted !== undefined) return;
    this.#interrupted = why;
    this.#controller?.abort(why);
  }
}

/** What a context made for a direct call may say of itself. */
export interface DetachedRun {
  readonly jobId?: string;
  readonly attempt?: number;
  /** Default: every attempt before this one. */
  readonly failures?: number;
  /** Default: 4. */
  readonly maxAttempts?: number;
  readonly labels?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly logger?: Logger;
  readonly onProgress?: (value: number | undefined, detail: unknown) => void;
  readonly inputs?: readonly FlowInput[];
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A context for calling a task without a worker, in a test or from other code. */
export function detachedContext(task: string, run: DetachedRun = {}): TaskContext {
  const lease: Lease = {
    leaseId: 0,
    token: "",
    jobId: run.jobId ?? `${task}~detached`,
    task,
    queue: "default",
    priority: 5,
    attempt: run.attempt ?? 1,
    failures: run.failures ?? (run.attempt ?? 1) - 1,
    maxAttempts: run.maxAttempts ?? 4,
    payload: undefined,
    labels: run.labels ?? {},
    headers: run.headers ?? {},
    submittedAt: undefined,
    softTimeLimit: undefined,
    hardTimeLimit: undefined,
    expiresAt: undefined,
    inputs: [],
    inputCount: 0,
    flow: "",
    flowMember: 0,
  };
  return new TaskContext(lease, {
    logger: run.logger ?? silent,
    onProgress: ({ value, detail }) =>
      run.onProgress?.(value, detail.length === 0 ? undefined : parseJson(Buffer.from(detail).toString())),
    inputs: () => Promise.resolve(run.inputs ?? []),
  });
}
