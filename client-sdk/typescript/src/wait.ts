// Waiting for the end of jobs. Thousands of waiters share a few long polls, each of which answers as soon as one of its
// jobs has ended. An answer tells of all its jobs, so the more wait, the longer a round rests before it asks again:
// what the broker reads for it stays below some 10,000 jobs a second.

import type { Job } from "@drover/proto/v1";
import { JobServiceService, type StatusResult, WaitMode } from "@drover/proto/v1/job_service";
import type { Brokers } from "./brokers.js";
import { type Attempt, attempt } from "./call.js";
import { fromItemStatus } from "./call-errors.js";
import { type CallError, ClientClosedError, ResultTimeoutError } from "./errors.js";
import { hasEnded } from "./job.js";
import { retryWait } from "./retry.js";

const IDS_PER_ROUND = 1_000;
const ROUNDS = 8;
/** How long the broker holds a round's answer back, and what the answer may take beyond that, in ms. */
const POLL = 30_000;
const SLACK = 5_000;
/** How long a broker may take to say how a job stands, in ms. */
const PROBE = 1_000;

/** How long what has to be asked gathers before it is asked, in ms; `waiting` counts the jobs waited for. */
export function restBeforeAsking(waiting: number): number {
  return waiting <= 16 ? 0 : Math.min(1_000, waiting * 0.1);
}

interface Waiter {
  resolve(job: Job): void;
  reject(error: Error): void;
}

/** One job that is waited for, by whomever. */
interface Entry {
  readonly id: string;
  readonly waiters: Set<Waiter>;
  /** The round that asks for it now. */
  round: Round | undefined;
}

interface Round {
  readonly entries: Set<Entry>;
  poll: Attempt<unknown> | undefined;
}

export interface WaitOptions {
  /** How long to wait, in ms. Default: for ever. */
  readonly timeout?: number;
  /** Ends the waiting, not the job. */
  readonly signal?: AbortSignal;
}

export class Waits {
  readonly #brokers: Brokers;
  readonly #entries = new Map<string, Entry>();
  readonly #rounds = new Set<Round>();
  // What no round asks for at the moment.
  #unasked = new Set<Entry>();
  #asking = false;
  #timer: NodeJS.Timeout | undefined;
  #tries = 0;
  #probing = false;
  #closed = false;

  constructor(brokers: Brokers) {
    this.#brokers = brokers;
  }

  /** The job once it has ended. @throws ResultTimeoutError, CallError, the signal's reason */
  wait(id: string, { timeout = Number.POSITIVE_INFINITY, signal }: WaitOptions = {}): Promise<Job> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new ClientClosedError();
      signal?.throwIfAborted();
      const entry = this.#entry(id);
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        entry.waiters.delete(waiter);
        if (entry.waiters.size === 0) this.#forget(entry);
      };
      const waiter: Waiter = {
        resolve: (job) => {
          end();
          resolve(job);
        },
        reject: (error) => {
          end();
          reject(error);
        },
      };
      const onAbort = () => waiter.reject(signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      const timer = Number.isFinite(timeout)
        ? setTimeout(() => {
            waiter.reject(new ResultTimeoutError(id, timeout));
            this.#probe(id);
          }, timeout)
        : undefined;
      entry.waiters.add(waiter);
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const entry of [...this.#entries.values()]) this.#reject(entry, new ClientClosedError());
  }

  /** While it is asked for ends alone, a broker that hangs looks like one where nothing ends, and who waits again and again
   *  would be kept there. What it is asked here any broker answers at once; one that does not is left. */
  #probe(id: string): void {
    if (this.#probing) return;
    this.#probing = true;
    const asked = attempt(this.#brokers, JobServiceService.status, { id, includePayload: false }, PROBE);
    const over = () => {
      this.#probing = false;
    };
    asked.answer.then(over, over);
  }

  #entry(id: string): Entry {
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      entry = { id, waiters: new Set(), round: undefined };
      this.#entries.set(id, entry);
      this.#askSoon([entry], 0);
    }
    return entry;
  }

  /** Nobody waits for it any more; a round that has nothing else to ask for ends. */
  #forget(entry: Entry): void {
    this.#entries.delete(entry.id);
    this.#unasked.delete(entry);
    entry.round?.entries.delete(entry);
    if (entry.round?.entries.size === 0) this.#end(entry.round);
  }

  #askSoon(entries: Iterable<Entry>, wait: number): void {
    for (const entry of entries) this.#unasked.add(entry);
    if (this.#unasked.size === 0) return;
    if (this.#asking) return;
    this.#asking = true;
    const ask = () => {
      this.#asking = false;
      if (!this.#closed) this.#ask();
    };
    const rest = Math.max(wait, restBeforeAsking(this.#entries.size));
    // A timer of 0 ms takes more than 1, a fifth of an idle round trip: what comes in one turn is asked for at its end.
    if (rest === 0) setImmediate(ask);
    else this.#timer = setTimeout(ask, rest);
  }

  #ask(): void {
    // With all rounds under way, the smallest gives up its place and its jobs.
    const smallest = this.#rounds.size < ROUNDS ? undefined : smallestOf(this.#rounds);
    if (smallest !== undefined && smallest.entries.size + this.#unasked.size <= IDS_PER_ROUND) {
      for (const entry of smallest.entries) this.#unasked.add(entry);
      this.#end(smallest);
    }
    const entries = [...this.#unasked];
    this.#unasked = new Set();
    for (let from = 0; from < entries.length; from += IDS_PER_ROUND) {
      void this.#poll(entries.slice(from, from + IDS_PER_ROUND));
    }
  }

  #end(round: Round): void {
    this.#rounds.delete(round);
    round.poll?.cancel();
    round.poll = undefined;
  }

  async #poll(entries: readonly Entry[]): Promise<void> {
    const round: Round = { entries: new Set(entries), poll: undefined };
    for (const entry of entries) entry.round = round;
    this.#rounds.add(round);
    const request = {
      ids: entries.map((entry) => entry.id),
      mode: WaitMode.WAIT_MODE_ANY,
      timeout: { seconds: POLL / 1000, nanos: 0 },
    };
    const poll = attempt(this.#brokers, JobServiceService.wait, request, POLL + SLACK);
    round.poll = poll;
    try {
      const { results } = await poll.answer;
      if (!this.#rounds.delete(round)) return;
      this.#tries = 0;
      this.#answer(round, entries, results);
    } catch (error) {
      // A round that was ended has handed its jobs on.
      if (this.#rounds.delete(round)) this.#failed([...round.entries], error as CallError);
    }
  }

  #answer(round: Round, entries: readonly Entry[], results: readonly StatusResult[]): void {
    const open: Entry[] = [];
    let wait = 0;
    for (const [index, entry] of entries.entries()) {
      // Given up by its waiters meanwhile.
      if (!round.entries.has(entry)) continue;
      const { job, error } = results[index] ?? {};
      if (error !== undefined) {
        const callError = fromItemStatus(error);
        const itemWait = retryWait(callError, 1, Math.random);
        if (itemWait === undefined) {
          this.#reject(entry, callError);
          continue;
        }
        wait = Math.max(wait, itemWait);
      } else if (job !== undefined && hasEnded(job)) {
        for (const waiter of [...entry.waiters]) waiter.resolve(job);
        continue;
      }
      open.push(entry);
    }
    this.#askSoon(open, wait);
  }

  #failed(entries: readonly Entry[], error: CallError): void {
    const wait = retryWait(error, ++this.#tries, Math.random);
    if (wait !== undefined) this.#askSoon(entries, wait);
    else if (entries.length === 1) for (const entry of entries) this.#reject(entry, error);
    else {
      // One of them is at fault, and only that one is to hear of it.
      const half = Math.ceil(entries.length / 2);
      void this.#poll(entries.slice(0, half));
      void this.#poll(entries.slice(half));
    }
  }

  #reject(entry: Entry, error: Error): void {
    for (const waiter of [...entry.waiters]) waiter.reject(error);
  }
}

function smallestOf(rounds: Iterable<Round>): Round | undefined {
  let smallest: Round | undefined;
  for (const round of rounds) {
    if (smallest === undefined || round.entries.size < smallest.entries.size) smallest = round;
  }
  return smallest;
}
