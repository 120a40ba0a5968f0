// Waiting for jobs to end, and watching them change. What wakes a waiter is only a hint: it then reads. A hint may come
// before the write that it announces is stored (the members of a batch are seen as they are sent), so an unchanged job
// is read again soon; and a job that changed without any hint is found by a slow look now and then.

import { jobNotFound } from "../core/errors.js";
import type { JobRef, Stored } from "../core/job.js";
import { jobId } from "../core/names.js";
import type { JobView } from "./api.js";
import type { Hints } from "./hints.js";
import { ended, endedView, type Reader } from "./reader.js";

/** Waits before reading a hinted job again that had not changed yet, ms. */
const soonAgain = [1, 3, 10, 30, 100, 300, 1_000] as const;
const slowLook = 5_000;
/** Before the store is asked for jobs that only this broker can end, ms: a short job has ended by then. */
const ownHead = 25;

export class Waiting {
  constructor(
    readonly reader: Pick<Reader, "glance" | "status">,
    readonly hints: Hints,
  ) {}

  async wait(
    refs: readonly JobRef[],
    mode: "all" | "any",
    timeout: number,
    gone: AbortSignal,
  ): Promise<{ jobs: (JobView | undefined)[]; done: boolean }> {
    const until = Date.now() + timeout;
    const bell = new Bell(gone);
    const ends = new Ends(refs.length);
    const stops = refs.map((ref, i) =>
      this.hints.listen(ref, (stored) => {
        if (stored !== undefined) ends.note(i, stored);
        bell.ring(i);
      }),
    );
    try {
      if ((mode === "all" || refs.length === 1) && refs.every((ref) => this.hints.isOwn(ref))) {
        const jobs = await inTime(ends.all, Math.min(ownHead, timeout));
        if (jobs !== undefined) return { jobs, done: true };
      }
      for (const [i, ref] of refs.entries()) stops.push(this.hints.follow(ref, () => bell.ring(i)));
      // A job often ends while it is looked at for the first time: whoever stored its end knows more than that look.
      const first = await Promise.race([this.reader.glance(refs), ends.all]);
      const jobs = first.map((view, i) => ends.of(i) ?? view);
      const isDone = () => (mode === "all" ? jobs.every(ended) : jobs.some(ended));
      while (!isDone() && !gone.aborted) {
        const left = until - Date.now();
        if (left <= 0) break;
        const rung = await bell.wait(Math.min(left, slowLook));
        for (const i of rung) jobs[i] = ends.of(i) ?? jobs[i];
        const open = (rung.length > 0 ? rung : [...refs.keys()]).filter((i) => !ended(jobs[i]));
        if (open.length === 0) continue;
        const views = await this.reader.status(
          open.map((i) => refs[i] as JobRef),
          false,
        );
        for (const [n, i] of open.entries()) {
          const unchanged = views[n]?.stored.rev === jobs[i]?.stored.rev;
          jobs[i] = ends.of(i) ?? views[n];
          if (rung.length > 0 && unchanged) bell.ringAgain(i);
          else bell.calm(i);
        }
      }
      return { jobs, done: isDone() };
    } finally {
      for (const stop of stops) stop();
      bell.close();
    }
  }

  async *watch(ref: JobRef, gone: AbortSignal): AsyncIterable<JobView> {
    const bell = new Bell(gone);
    const stop = this.hints.watch(ref, () => bell.ring(0));
    try {
      let told = "";
      while (!gone.aborted) {
        const [view] = await this.reader.status([ref], false);
        if (view === undefined) {
          if (told === "") throw jobNotFound(jobId(ref));
          return;
        }
        const now = fingerprint(view);
        if (now !== told) {
          yield view;
          told = now;
          bell.calm(0);
          if (ended(view)) return;
        } else {
          bell.ringAgain(0);
        }
        await bell.wait(slowLook);
      }
    } finally {
      stop();
      bell.close();
    }
  }
}

/** What of a job is worth telling anew. */
function fingerprint(view: JobView): string {
  const { stored, state, running, cancelRequested } = view;
  return `${stored.rev} ${state} ${running?.startedAt ?? ""} ${running?.progress?.at ?? ""} ${cancelRequested}`;
}

/** What is promised, unless that takes longer than `ms`. */
function inTime<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, undefined);
    void promise.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** Ends that this broker stored itself: they come with the hint, and save the read (0.8 ms of an idle round trip). */
class Ends {
  readonly #views = new Map<number, JobView>();
  /** Resolves once every job has ended, if all of their ends are known here. */
  readonly all: Promise<JobView[]>;
  #resolve: (views: JobView[]) => void = () => undefined;

  constructor(readonly jobs: number) {
    this.all = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  note(i: number, stored: Stored): void {
    const view = endedView(stored);
    // What ends may be redriven: then it has not ended after all.
    if (!ended(view)) this.#views.delete(i);
    else this.#views.set(i, view);
    if (this.#views.size === this.jobs)
      this.#resolve(Array.from({ length: this.jobs }, (_, n) => this.of(n) ?? view));
  }

  of(i: number): JobView | undefined {
    return this.#views.get(i);
  }
}

/** Collects rings until somebody listens. */
class Bell {
  readonly #rung = new Set<number>();
  readonly #tries = new Map<number, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #wake: (() => void) | undefined;
  readonly #onGone = () => this.#wake?.();

  constructor(readonly gone: AbortSignal) {
    gone.addEventListener("abort", this.#onGone);
  }

  ring(i: number): void {
    this.#tries.delete(i);
    this.#strike(i);
  }

  /** The ring was early: once more, a little later each time, until it is clear that it was for nothing. */
  ringAgain(i: number): void {
    const tries = this.#tries.get(i) ?? 0;
    const wait = soonAgain[tries];
    if (wait === undefined) return;
    this.#tries.set(i, tries + 1);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#strike(i);
    }, wait);
    this.#timers.add(timer);
  }

  calm(i: number): void {
    this.#tries.delete(i);
  }

  /** What was rung since the last call; empty when the time is over. */
  async wait(most: number): Promise<number[]> {
    if (this.#rung.size === 0 && !this.gone.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, most);
        this.#wake = () => {
          clearTimeout(timer);
          // After this round of IO: what else is rung in it is heard at once.
          setImmediate(resolve);
        };
      });
      this.#wake = undefined;
    }
    const rung = [...this.#rung];
    this.#rung.clear();
    return rung;
  }

  close(): void {
    this.gone.removeEventListener("abort", this.#onGone);
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #strike(i: number): void {
    this.#rung.add(i);
    this.#wake?.();
  }
}
