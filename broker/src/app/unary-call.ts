// A single Lease call, as a worker that takes jobs for as long as it may wait.

import { jobId } from "../core/names.js";
import type { Dispatcher, Taker } from "./dispatcher.js";
import { type Granting, payloadBytes } from "./granting.js";
import type { Holder, Holdings } from "./holdings.js";
import type { Ticket } from "./ports.js";
import type { Settling } from "./settling.js";
import type { Grant, LeaseCall } from "./worker-api.js";

/** Payload bytes from which on an answer takes no further job: with one more of 512 KiB it stays below the 4 MiB that
 *  gRPC clients take by default. */
const mostBytes = 3 * 1024 * 1024;

export interface UnaryCallParts {
  granting: Granting;
  settling: Settling;
  holdings: Holdings;
  dispatcher: Dispatcher;
}

/** One Lease call: takes until it has something and the round is over, or the time is. */
export class UnaryCall implements Taker, Holder {
  readonly unary = true;
  readonly instance = "";
  readonly queues: ReadonlyMap<string, number>;
  readonly #tasks: ReadonlySet<string>;
  readonly #grants: Grant[] = [];
  #taken = 0;
  #bytes = 0;
  #preparing = 0;
  #over = false;
  #finish: () => void = () => undefined;

  constructor(
    readonly request: LeaseCall,
    readonly parts: UnaryCallParts,
  ) {
    this.queues = new Map(request.queues.map((queue) => [queue, 1]));
    this.#tasks = new Set(request.tasks);
  }

  get worker(): string {
    return this.request.worker;
  }

  get active(): boolean {
    return !this.#over;
  }

  async grants(): Promise<Grant[]> {
    const { wait, gone } = this.request;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#finish = () => {
        // At once, not when the promise is taken up: no request may be left open on its lanes for a call that is over.
        this.#over = true;
        clearTimeout(timer);
        gone.removeEventListener("abort", this.#finish);
        resolve();
      };
      gone.addEventListener("abort", this.#finish);
      if (gone.aborted) this.#finish();
      this.parts.dispatcher.add(this);
    });
    this.#over = true;
    this.parts.dispatcher.remove(this);
    while (this.#preparing > 0) await new Promise((resolve) => setImmediate(resolve));
    if (gone.aborted) {
      // Nobody reads the answer any more.
      for (const grant of this.#grants.splice(0)) this.#giveUp(grant);
    }
    return this.#grants;
  }

  finish(): void {
    this.#finish();
  }

  serves(task: string): boolean {
    return this.#tasks.has(task);
  }

  free(): number {
    return this.#over || this.#bytes >= mostBytes ? 0 : this.request.maxJobs - this.#taken;
  }

  freeFor(): number {
    return this.free();
  }

  take(ticket: Ticket): void {
    this.#taken++;
    this.#bytes += payloadBytes(ticket);
    const granted = this.parts.granting.grant(ticket, this, 0, this.request.leaseDuration);
    if (!(granted instanceof Promise)) {
      this.#grants.push(granted.grant);
      return;
    }
    this.#preparing++;
    void granted.then((later) => {
      this.#preparing--;
      if (later === undefined) this.#taken--;
      else this.#grants.push(later.grant);
      if (this.#grants.length > 0) this.#finish();
    });
  }

  flush(): void {
    if (this.#grants.length > 0) this.#finish();
  }

  cancelled(): void {
    // There is nobody to push to: the next Extend tells.
  }

  released(): void {
    // A single call has no credit to give back.
  }

  vouched(): void {
    // Its leases end when they say.
  }

  #giveUp(grant: Grant): void {
    const holding = this.parts.holdings.get(jobId(grant.ref));
    if (holding !== undefined) this.parts.settling.giveBack(holding);
  }
}
