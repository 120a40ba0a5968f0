// The client's side: every job is submitted until it is acknowledged, cancelled when that is planned, and followed until
// it is seen to have ended, whatever is killed meanwhile.

import { type Client, JobNotFoundError } from "@drover/client";
import type { PlannedJob } from "./job-mix.js";
import type { RunJournal } from "./run-journal.js";
import { pause, until } from "./waiting.js";

const looksAtOnce = 2_000;
const lookEvery = 250;

export class Submissions {
  readonly all: PlannedJob[] = [];
  /** What is acknowledged and not seen to have ended. */
  readonly #open = new Map<string, PlannedJob>();
  readonly #states = new Map<string, string>();
  /** Acknowledged jobs that a broker did not know when asked. */
  readonly lost: string[] = [];
  #unacknowledged = 0;
  #uncancelled = 0;
  #stopped = false;

  constructor(
    readonly client: Client,
    readonly journal: RunJournal,
  ) {
    void this.#follow();
  }

  stop(): void {
    this.#stopped = true;
  }

  add(jobs: readonly PlannedJob[]): void {
    for (const job of jobs) {
      this.all.push(job);
      void this.#submit(job);
      if (job.twice) void this.#acknowledged(job);
    }
  }

  /** The state that the job was first seen to have ended in. */
  stateOf(id: string): string | undefined {
    return this.#states.get(id);
  }

  /** What is still to come. */
  get left() {
    return {
      unacknowledged: this.#unacknowledged,
      uncancelled: this.#uncancelled,
      open: [...this.#open.keys()],
    };
  }

  /** Settles once nothing is left, or after `within` ms. */
  async ended(within: number): Promise<void> {
    await until("all jobs end", () => this.#unacknowledged + this.#uncancelled + this.#open.size === 0, {
      within,
      every: 200,
    }).catch(() => undefined);
  }

  /** What a broker does not know, or not as it was first seen, when it is asked for every job now. */
  async unknown(): Promise<{ id: string; now: string }[]> {
    const wrong: { id: string; now: string }[] = [];
    for (let from = 0; from < this.all.length; from += looksAtOnce) {
      await Promise.all(
        this.all.slice(from, from + looksAtOnce).map(async ({ id }) => {
          const now = await this.client
            .job(id)
            .status({ timeout: 60_000 })
            .then(({ state }) => state, String);
          if (now !== this.stateOf(id)) wrong.push({ id, now });
        }),
      );
    }
    return wrong;
  }

  async #submit(job: PlannedJob): Promise<void> {
    this.#unacknowledged++;
    await this.#acknowledged(job);
    this.#unacknowledged--;
    this.#open.set(job.id, job);
    if (job.cancelAfter === undefined) return;
    this.#uncancelled++;
    await pause(job.cancelAfter);
    await this.#insist(() => this.client.job(job.id).cancel("chaos"));
    this.#uncancelled--;
  }

  #acknowledged({ task, payload, options }: PlannedJob): Promise<unknown> {
    return this.#insist(() => this.client.submit(task, payload, options));
  }

  /** Calls until there is an answer: that is what keys are for. */
  async #insist(call: () => Promise<unknown>): Promise<void> {
    while (!this.#stopped) {
      try {
        await call();
        return;
      } catch (error) {
        // What follows it will say so.
        if (error instanceof JobNotFoundError) return;
        await pause(100);
      }
    }
  }

  async #follow(): Promise<void> {
    while (!this.#stopped) {
      await pause(lookEvery);
      const some = [...this.#open.values()].slice(0, looksAtOnce);
      await Promise.all(some.map((job) => this.#look(job)));
    }
  }

  async #look(job: PlannedJob): Promise<void> {
    try {
      const { finished, state } = await this.client.job(job.id).status();
      if (finished) this.#saw(job, state);
      else this.#turn(job);
    } catch (error) {
      if (!(error instanceof JobNotFoundError)) return;
      this.#open.delete(job.id);
      this.lost.push(job.id);
    }
  }

  /** To the end of the line of those that are looked at. */
  #turn(job: PlannedJob): void {
    this.#open.delete(job.id);
    this.#open.set(job.id, job);
  }

  #saw({ id, cancelAfter }: PlannedJob, state: string): void {
    this.#open.delete(id);
    this.#states.set(id, state);
    // A lease that was on its way to a worker when its job was cancelled may arrive yet: that run began before.
    if (cancelAfter === undefined) this.journal.saw(id, state);
    else setTimeout(() => this.#stopped || this.journal.saw(id, state), 1_000);
  }
}
