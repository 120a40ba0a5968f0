// A job that ran where it was submitted, and what can be asked of it: all that a handle of @drover/client can be asked, with
// answers of the same shape, without needing that package.

export interface EagerAttempt {
  readonly outcome: "SUCCEEDED" | "FAILED" | "SNOOZED" | "RELEASED";
  /** What a broker would have let pass before the next attempt, in ms, without its jitter; undefined for the last. */
  readonly nextAfter: number | undefined;
}

export type EagerState = "SUCCEEDED" | "FAILED";

export interface EagerJobFailure {
  readonly reason: "ERROR" | "PERMANENT";
  /** The error's type as its language names it. */
  readonly type: string;
  readonly message: string;
  readonly stack: string;
}

/** As JobStatus of @drover/client. */
export interface EagerStatus<R = unknown> {
  readonly id: string;
  readonly task: string;
  readonly key: string;
  readonly queue: string;
  readonly priority: number;
  readonly state: EagerState;
  readonly finished: true;
  readonly attempt: number;
  readonly failures: number;
  readonly crashes: number;
  readonly submittedAt: Date;
  readonly dueAt: undefined;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly startBy: undefined;
  readonly worker: string;
  readonly progress:
    | { readonly value: number | undefined; readonly detail: unknown; readonly reportedAt: Date }
    | undefined;
  /** Where it was asked for. */
  readonly payload: unknown;
  readonly result: R | undefined;
  readonly failure: EagerJobFailure | undefined;
  /** The last 20 attempts. */
  readonly history: readonly {
    readonly number: number;
    readonly worker: string;
    readonly startedAt: Date;
    readonly endedAt: Date;
    readonly outcome: EagerAttempt["outcome"];
    readonly failure: EagerJobFailure | undefined;
  }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly retry: {
    readonly retries: number;
    readonly initialDelay: number;
    readonly factor: number;
    readonly maxDelay: number;
    readonly jitter: number;
    readonly maxCrashes: number;
  };
  /** In ms. */
  readonly softTimeLimit: number | undefined;
  /** In ms. */
  readonly hardTimeLimit: number | undefined;
  readonly cancelRequested: boolean;
  readonly concurrencyKey: string;
  readonly revision: number;
}

/** What result() throws of a job that failed: as JobFailedError of @drover/client has it. */
export class EagerFailure extends Error {
  override readonly name = "JobFailedError";
  readonly reason: "ERROR" | "PERMANENT";
  constructor(
    readonly jobId: string,
    readonly failure: EagerJobFailure,
  ) {
    super(`job ${jobId} failed: ${failure.type}: ${failure.message}`);
    this.reason = failure.reason;
  }
}

/** What a broker would refuse, for the same reason. */
export class EagerRefusal extends Error {
  override readonly name: "NotFailedError" | "NotWaitingError";
  constructor(
    readonly reason: "NOT_FAILED" | "NOT_WAITING",
    message: string,
  ) {
    super(message);
    this.name = reason === "NOT_FAILED" ? "NotFailedError" : "NotWaitingError";
  }
}

export interface EagerEnd<R> {
  readonly status: EagerStatus<R>;
  readonly attempts: readonly EagerAttempt[];
}

/** What all handles of a job share. */
export interface EagerRecord<R> {
  end: EagerEnd<R>;
  readonly runAgain: (before: EagerStatus<R>) => Promise<EagerEnd<R>>;
}

/** A job that has ended. */
export class EagerJob<R = unknown> {
  readonly #record: EagerRecord<R>;
  constructor(
    record: EagerRecord<R>,
    /** A job of this key was there already, and this is that one. */
    readonly deduplicated: boolean,
  ) {
    this.#record = record;
  }

  get id(): string {
    return this.#status.id;
  }

  get task(): string {
    return this.#status.task;
  }

  get key(): string {
    return this.#status.key;
  }

  get submittedAs(): "READY" | EagerState {
    return this.deduplicated ? this.state : "READY";
  }

  get state(): EagerState {
    return this.#status.state;
  }

  /** Since its submit, or its last redrive. */
  get attempts(): readonly EagerAttempt[] {
    return this.#record.end.attempts;
  }

  async status({ includePayload = false } = {}): Promise<EagerStatus<R>> {
    return includePayload ? this.#status : { ...this.#status, payload: undefined };
  }

  wait(): Promise<EagerStatus<R>> {
    return this.status();
  }

  /** @throws EagerFailure */
  async result(): Promise<R> {
    const { failure, result } = this.#status;
    if (failure !== undefined) throw new EagerFailure(this.id, failure);
    return result as R;
  }

  /** The end: there is nothing else to be seen. */
  async *watch(): AsyncGenerator<EagerStatus<R>, void> {
    yield await this.status();
  }

  async cancel(_reason?: string) {
    return { outcome: "ALREADY_FINISHED", previousState: this.state } as const;
  }

  /** Runs a failed job again, its failures at zero, and tells how it ended then. @throws EagerRefusal for one that has not
   *  failed */
  async redrive(): Promise<EagerStatus<R>> {
    if (this.state !== "FAILED") throw this.#refusal("NOT_FAILED", "only a FAILED job can be redriven");
    this.#record.end = await this.#record.runAgain(this.#status);
    return this.status();
  }

  async explain() {
    const { id, state } = this;
    return { state, obstacles: [], earliestStart: undefined, summary: `${id} has ended: ${state}` } as const;
  }

  /** @throws EagerRefusal: it does not wait */
  async move(_to: { readonly queue?: string; readonly priority?: number }): Promise<EagerStatus<R>> {
    throw this.#refusal("NOT_WAITING", "only a job that waits can be moved");
  }

  get #status(): EagerStatus<R> {
    return this.#record.end.status;
  }

  #refusal(reason: EagerRefusal["reason"], why: string): EagerRefusal {
    return new EagerRefusal(reason, `${this.id} is ${this.state}: ${why}`);
  }
}
