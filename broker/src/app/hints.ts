// Who wants to know when a job may have changed. A hint carries no state: whoever gets one reads the job. Changes that
// this broker wrote are known at once, and what it stored comes with them: an end need not be read again. Those of other
// brokers are seen on the job's own subjects; starts and progress, which are written nowhere, are told by the holder to
// those who said that they are watching.

import type { JobRef, Stored } from "../core/job.js";
import { jobId } from "../core/names.js";
import type { Jobs, Peers } from "./ports.js";

const renewEvery = 10_000;
const forgetAfter = 25_000;
const mostRemote = 50_000;

/** `stored`: what this broker has just stored of the job. */
export type Hint = (stored?: Stored) => void;

export class Hints {
  /** Watched here. */
  readonly #local = new Map<string, Set<Hint>>();
  /** Watched at other brokers: until when, ms of this machine's clock. */
  readonly #remote = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(
    readonly jobs: Pick<Jobs, "watch">,
    readonly peers: Peers,
  ) {
    peers.hear("watching", (body, broker) => {
      if (broker === peers.self) return;
      for (const id of body as string[]) {
        if (this.#remote.size < mostRemote) this.#remote.set(id, Date.now() + forgetAfter);
      }
    });
    peers.hear("stirred", (body, broker) => {
      if (broker !== peers.self) this.#wake(body as string);
    });
    this.#timer = setInterval(() => this.#renew(), renewEvery);
    this.#timer.unref();
  }

  /** Calls back when the job may have changed, until the returned function is called. */
  watch(ref: JobRef, hint: Hint): () => void {
    const id = jobId(ref);
    let set = this.#local.get(id);
    if (set === undefined) {
      set = new Set();
      this.#local.set(id, set);
      if (this.peers.all().length > 1) this.peers.tell("watching", [id]);
    }
    set.add(hint);
    const unwatch = this.jobs.watch(ref, () => hint());
    return () => {
      unwatch();
      set.delete(hint);
      if (set.size === 0) this.#local.delete(id);
    };
  }

  /** This broker stored a change of the job. */
  changed(id: string, stored?: Stored): void {
    if (this.#local.size > 0) this.#wake(id, stored);
  }

  /** The job started or reported progress here: nothing was stored, so it has to be told. */
  stirred(id: string): void {
    this.changed(id);
    if (this.#remote.has(id)) this.peers.tell("stirred", id);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #wake(id: string, stored?: Stored): void {
    const set = this.#local.get(id);
    if (set === undefined) return;
    for (const hint of set) hint(stored);
  }

  #renew(): void {
    const now = Date.now();
    for (const [id, until] of this.#remote) if (until < now) this.#remote.delete(id);
    if (this.#local.size > 0 && this.peers.all().length > 1) {
      const ids = [...this.#local.keys()];
      for (let i = 0; i < ids.length; i += 1_000) this.peers.tell("watching", ids.slice(i, i + 1_000));
    }
  }
}
