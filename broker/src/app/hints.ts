// Who wants to know when a job may have changed. A hint carries no state: whoever gets one reads the job. Changes that
// this broker wrote are known at once, and what it stored comes with them: an end need not be read again. Those of other
// brokers are seen on the job's own subjects; starts and progress, which are written nowhere, are told by the holder to
// those who said that they are watching.

import { hasEnded, type JobRef, type Stored, stateOf } from "../core/job.js";
import { Latest } from "../core/latest.js";
import { jobId } from "../core/names.js";
import type { Jobs, Peers } from "./ports.js";

const renewEvery = 10_000;
const forgetAfter = 25_000;
const mostRemote = 50_000;
/** Jobs under way that this broker remembers to have stored; up to twice as many. */
const mostOwn = 10_000;

/** `stored`: what this broker has just stored of the job. */
export type Hint = (stored?: Stored) => void;

export class Hints {
  /** Watched here. */
  readonly #local = new Map<string, Set<Hint>>();
  /** Watched at other brokers: until when, ms of this machine's clock. */
  readonly #remote = new Map<string, number>();
  /** Jobs that this broker stored last, of those that have not ended; the latest. */
  readonly #own = new Latest<string>(mostOwn);
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
    const unlisten = this.listen(ref, hint);
    const unfollow = this.follow(ref, hint);
    return () => {
      unlisten();
      unfollow();
    };
  }

  /** The same for changes that this broker stores; costs the store nothing. */
  listen(ref: JobRef, hint: Hint): () => void {
    const id = jobId(ref);
    let set = this.#local.get(id);
    if (set === undefined) {
      set = new Set();
      this.#local.set(id, set);
    }
    set.add(hint);
    return () => {
      set.delete(hint);
      if (set.size === 0 && this.#local.get(id) === set) this.#local.delete(id);
    };
  }

  /** The same for changes that anybody stores; beside `listen`, by which the other brokers are kept told. */
  follow(ref: JobRef, hint: Hint): () => void {
    if (this.peers.all().length > 1) this.peers.tell("watching", [jobId(ref)]);
    return this.jobs.watch(ref, () => hint());
  }

  /** Whether nobody but this broker can change the job in the next moment: it stored it last, as one that has not ended,
   *  and hears of no other broker. */
  isOwn(ref: JobRef): boolean {
    return this.peers.all().length === 1 && this.#own.has(jobId(ref));
  }

  /** This broker stored a new job. */
  created(id: string): void {
    this.#own.add(id);
    this.changed(id);
  }

  /** This broker stored a change of the job. */
  changed(id: string, stored?: Stored): void {
    if (stored !== undefined && hasEnded(stateOf(stored))) this.#own.delete(id);
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
