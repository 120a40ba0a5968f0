// What the store keeps of keys besides a job's own: which job has a unique key, and who shares a concurrency key.

import type { KeyUse } from "../core/key-use.js";

/** A job that has a unique key. */
export interface Claim {
  /** Its own key. */
  key: string;
  /** ms since 1970; 0 = until it has ended. */
  until: number;
}

export interface Claims {
  /** Who has a unique key of a task, with the value for the compare-and-set. @throws Refusal STORE_UNAVAILABLE */
  read(task: string, key: string): Promise<{ holder: Claim | undefined; last: number }>;
}

/** Jobs of a task that share a concurrency key. */
export interface ConcurrencyKey {
  task: string;
  key: string;
}

/** A job that waits for a place of its key. */
export interface ParkedJob {
  /** Its own key. */
  key: string;
  queue: string;
}

/** Concurrency keys as all brokers see them. All of it throws Refusal STORE_UNAVAILABLE. */
export interface KeyStore {
  read(key: ConcurrencyKey): Promise<KeyUse>;
  /** Changes who has its places, whoever else does at the same time; the same value writes nothing. `change` may be
   *  called several times, and what the last call made of it holds. */
  update(key: ConcurrencyKey, change: (use: KeyUse) => KeyUse): Promise<KeyUse>;
  hasWaiting(key: ConcurrencyKey): Promise<boolean>;
  /** Those that wait, in the order of their turn. */
  waiting(key: ConcurrencyKey, most: number): Promise<ParkedJob[]>;
  /** How many come before a parked job of this sequence; undefined: before one that would be parked now. */
  waitingBefore(key: ConcurrencyKey, priority: number, seq: number | undefined): Promise<number>;
  /** Keys that jobs wait for, or have lately. */
  waitedFor(): Promise<ConcurrencyKey[]>;
}
