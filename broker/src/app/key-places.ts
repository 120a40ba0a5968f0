// Concurrency keys: of the jobs of a task that have the same one only so many run at a time, over all brokers. Before a
// ticket is handed out it takes a place of its key; where none is free the job is parked, so that the lane goes on, and
// whoever ends one of those that run admits the next. Every step may be cut short by a crash: a place whose lease is over
// is worth nothing (`stale-places.ts`), a parked job is found through its key, and keys that jobs wait for are looked
// through now and then.

import { Refusal } from "../core/errors.js";
import { hasEnded, type JobRef, type Spec, type Stored, specOf, stateOf } from "../core/job.js";
import { aboutToPark, giveBack, type KeyUse, noneWait, reserve, sifted, take } from "../core/key-use.js";
import { runLimits } from "../core/limits.js";
import { isPassing, unmoved } from "./fences.js";
import type { ConcurrencyKey, KeyStore, ParkedJob } from "./key-ports.js";
import type { Changed, Known, Ledger } from "./ledger.js";
import type { Clock, Jobs, Peers } from "./ports.js";
import { stalePlaces } from "./stale-places.js";
import type { Log } from "./telemetry.js";
import { Turns } from "./turns.js";

/** Jobs that wait and are looked at together: when a place was given back, and in the sweep. */
const atOnce = { usual: 16, thorough: 100 } as const;
/** At a place: each may take two, one to learn that others may wait. */
const attempts = 6;
const keysAtOnce = 8;
/** Keys of which something is kept in mind. */
const mostNoted = 10_000;

export interface KeyPlacesParts {
  store: KeyStore;
  ledger: Pick<Ledger, "change">;
  jobs: Pick<Jobs, "read">;
  /** How many of one key may run: of a task in a queue. */
  most: (task: string, queue: string) => number;
  peers: Pick<Peers, "self" | "all" | "ask">;
  clock: Clock;
  log: Log;
}

export class KeyPlaces {
  /** One thing at a time is under way with a key. */
  readonly #turns = new Turns();
  /** Keys that wait for a look, for the sake of jobs that were parked; and how many may run where those wait. */
  readonly #looks = new Map<string, number>();
  /** Until when a key counts as full without being asked for, ms. */
  readonly #full = new Map<string, number>();
  /** Keys that jobs waited for when this broker looked last. */
  readonly #crowded = new Set<string>();
  /** Jobs that are being admitted. */
  readonly #admitting = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #sweeping = false;
  #stopped = false;

  constructor(readonly parts: KeyPlacesParts) {}

  start(): void {
    this.#timer = setInterval(() => {
      // One broker is enough, and the others see to it that there is one.
      if (this.parts.peers.all().sort()[0] === this.parts.peers.self) void this.sweep();
    }, runLimits.keysSwept);
    this.#timer.unref();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /** Takes a place for a ticket, or parks its job and says so with false. @throws Refusal */
  async enter(ref: JobRef, known: Known, origin: number): Promise<boolean> {
    const spec = specOf(known.stored.job);
    const name: ConcurrencyKey = { task: spec.task, key: spec.concurrencyKey };
    const id = idOf(name);
    // A job that has never been parked has no place promised either.
    const full = known.stored.rev === 1 && (this.#full.get(id) ?? 0) > this.parts.clock.now();
    if (!full && (await this.#turns.take(id, () => this.#take(name, spec, origin)))) return true;
    await this.parts.ledger.change(ref, known, { type: "park" }, unmoved);
    return false;
  }

  /** A job that may have a place, or wait for one, was changed here. */
  changed({ before, stored: now }: Changed): void {
    const { spec } = before.job;
    if (spec === undefined || spec.concurrencyKey === "" || this.#stopped) return;
    const name = { task: spec.task, key: spec.concurrencyKey };
    if (now.job.parked) {
      this.#lookSoon(name, this.parts.most(spec.task, now.queue));
    } else if (before.job.parked) {
      if (hasEnded(stateOf(now))) this.#left(name, spec.key, 0);
    } else if (now.job.hold === undefined) {
      const origin = originOf(before);
      if (origin !== undefined) this.#left(name, spec.key, origin);
    }
  }

  /** Looks through all keys that jobs wait for. Never rejects. */
  async sweep(): Promise<void> {
    if (this.#sweeping || this.#stopped) return;
    this.#sweeping = true;
    try {
      const names = await this.parts.store.waitedFor();
      for (let i = 0; i < names.length && !this.#stopped; i += keysAtOnce) {
        await Promise.all(names.slice(i, i + keysAtOnce).map((name) => this.#lookNow(name, true)));
      }
    } catch (error) {
      this.parts.log.warn({ error: String(error) }, "concurrency keys could not be looked through");
    } finally {
      this.#sweeping = false;
    }
  }

  /** What is known of a job's key, when there is no place for it. */
  async standing({ job, queue, seq, priority }: Stored) {
    const { task, key, concurrencyKey } = specOf(job);
    if (concurrencyKey === "") return undefined;
    const name = { task, key: concurrencyKey };
    const most = this.parts.most(task, queue);
    const { taken } = await this.parts.store.read(name);
    if (taken.some((each) => each.key === key) || (!job.parked && taken.length < most)) return undefined;
    const before = await this.parts.store.waitingBefore(name, priority, job.parked ? seq : undefined);
    return { key: concurrencyKey, most, running: taken.length, before };
  }

  async #take(name: ConcurrencyKey, { key, task, queue }: Spec, origin: number): Promise<boolean> {
    const job = { key, origin, most: this.parts.most(task, queue) };
    /** Asked for only where somebody has ever been parked. */
    let othersWait: boolean | undefined;
    for (let attempt = 0; attempt < attempts; attempt++) {
      let taken = false;
      let unsure = false;
      const use = await this.parts.store.update(name, (before) => {
        const now = this.parts.clock.now();
        const mayWait = before.parkedAt > 0 && othersWait !== false;
        const attempted = take(before, job, mayWait, now);
        ({ taken } = attempted);
        // A job that was promised its place need not ask, nor one that would find none anyway.
        unsure = mayWait && othersWait === undefined && !taken && take(before, job, false, now).taken;
        return taken ? attempted.use : before;
      });
      if (taken) return true;
      if (unsure) {
        othersWait = await this.parts.store.hasWaiting(name);
        continue;
      }
      // A broker that died gave nothing back.
      if (!(await this.#sift(name, use))) break;
      othersWait = undefined;
    }
    const now = this.parts.clock.now();
    // Those that wait come first: for a job that was promised a place and has none now as well.
    await this.parts.store.update(name, (before) => aboutToPark(giveBack(before, key, 0), now));
    if (this.#full.size >= mostNoted) this.#full.clear();
    this.#full.set(idOf(name), now + runLimits.keyFull);
    return false;
  }

  #left(name: ConcurrencyKey, key: string, origin: number): void {
    this.#behind(name, async () => {
      // Where others wait, as a rule the place goes on to the next in the same step.
      if (this.#crowded.has(idOf(name))) return this.#look(name, { key, origin });
      const { parkedAt } = await this.parts.store.update(name, (use) => giveBack(use, key, origin));
      if (parkedAt > 0) await this.#look(name);
    });
  }

  /** A place may have become free between the look that found none and the parking. */
  #lookSoon(name: ConcurrencyKey, most: number): void {
    const id = idOf(name);
    const waits = this.#looks.get(id);
    this.#looks.set(id, Math.max(waits ?? 0, most));
    if (waits !== undefined) return;
    this.#behind(name, async () => {
      const mostOfThem = this.#looks.get(id) ?? 0;
      this.#looks.delete(id);
      const { taken } = await this.parts.store.read(name);
      if (taken.length < mostOfThem || taken.some(({ origin }) => origin === 0)) await this.#look(name);
    });
  }

  async #lookNow(name: ConcurrencyKey, thorough: boolean): Promise<void> {
    await this.#turns
      .take(idOf(name), () => this.#look(name, undefined, thorough))
      .catch((error: unknown) => this.#failed(name, error));
  }

  /** Promises the places that are free, the one that was `left` among them, to those that have waited longest. */
  async #look(name: ConcurrencyKey, left?: { key: string; origin: number }, thorough = false): Promise<void> {
    const id = idOf(name);
    const parked = await this.parts.store.waiting(name, thorough ? atOnce.thorough : atOnce.usual);
    if (thorough && parked.length > 0) await this.#sift(name, await this.parts.store.read(name));
    const waiters = parked.map(({ key, queue }) => ({ key, most: this.parts.most(name.task, queue) }));
    const now = this.parts.clock.now();
    const { taken, parkedAt } = await this.parts.store.update(name, (before) => {
      const use = left === undefined ? before : giveBack(before, left.key, left.origin);
      return waiters.length === 0 ? noneWait(use, now) : aboutToPark(reserve(use, waiters, now), now);
    });
    if (parkedAt === 0) this.#crowded.delete(id);
    else this.#noteCrowded(id);
    if (parked.length === 0) return;
    this.#full.delete(id);
    const promised = new Set(taken.filter(({ origin }) => origin === 0).map(({ key }) => key));
    for (const job of parked) if (promised.has(job.key)) this.#admitSoon(name, job);
  }

  /** The store has the promise, so the next of the key need not wait for this; one that fails the sweep makes good. */
  #admitSoon(name: ConcurrencyKey, job: ParkedJob): void {
    const id = `${idOf(name)} ${job.key}`;
    if (this.#admitting.has(id)) return;
    this.#admitting.add(id);
    this.#admit(name, job)
      .catch((error: unknown) => this.#failed(name, error))
      .finally(() => this.#admitting.delete(id));
  }

  #noteCrowded(id: string): void {
    if (this.#crowded.size >= mostNoted) this.#crowded.clear();
    this.#crowded.add(id);
  }

  async #admit(name: ConcurrencyKey, { key }: ParkedJob): Promise<void> {
    const ref = { task: name.task, key };
    const [snapshot] = await this.parts.jobs.read([ref]);
    const current = snapshot?.current;
    // Somebody else was faster, or it was cancelled: what it was promised is sifted out.
    if (current === undefined || !current.job.parked) return;
    try {
      const known = { stored: current, last: snapshot?.last ?? current.seq };
      await this.parts.ledger.change(ref, known, { type: "admit" }, unmoved);
    } catch (error) {
      if (!(error instanceof Refusal) || isPassing(error) || error.reason === "TOO_MANY_LANES") throw error;
    }
  }

  /** Drops the places that are worth nothing any more. True when there were any. */
  async #sift(name: ConcurrencyKey, { taken }: KeyUse): Promise<boolean> {
    const stale = await stalePlaces(name, taken, this.parts);
    if (stale.length === 0) return false;
    const gone = new Set(stale.map(({ key, origin }) => `${key} ${origin}`));
    await this.parts.store.update(name, (use) =>
      sifted(use, ({ key, origin }) => !gone.has(`${key} ${origin}`)),
    );
    return true;
  }

  /** Under the eyes of nobody: what goes wrong is mended by the sweep. */
  #behind(name: ConcurrencyKey, work: () => Promise<void>): void {
    if (this.#stopped) return;
    this.#turns.take(idOf(name), work).catch((error: unknown) => this.#failed(name, error));
  }

  #failed({ task }: ConcurrencyKey, error: unknown): void {
    if (!this.#stopped)
      this.parts.log.warn({ task, error: String(error) }, "a concurrency key is looked after later");
  }
}

/** The ticket that a job runs from, if it may be running. */
function originOf({ phase, seq, job }: Stored): number | undefined {
  return job.hold?.origin ?? (phase === "ready" ? seq : undefined);
}

function idOf({ task, key }: ConcurrencyKey): string {
  return `${task} ${key}`;
}
