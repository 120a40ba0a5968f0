// Gathers single requests into batches. An idle client sends a request at once; while calls are under way, what comes
// meanwhile waits for one of them to return and then goes as one batch. So the batches grow with the load by
// themselves, and a caller alone pays nothing for it.

import { status } from "@grpc/grpc-js";
import { ClientBusyError, ClientClosedError, DeadlineExceededError } from "./errors.js";

export interface GatherRules {
  /** Of one batch. */
  readonly items: number;
  /** Of one batch. */
  readonly bytes: number;
  /** Calls under way at a time. */
  readonly calls: number;
  /** How long an item waits behind slow calls before one more is opened, in ms. */
  readonly patience: number;
  /** Items that may wait. */
  readonly waiting: number;
}

export interface Gathered {
  readonly bytes: number;
  /** Of performance.now(). */
  readonly giveUpAt: number;
  /** Of performance.now(); set when it begins to wait. */
  queuedAt: number;
  /** Why a try failed that it was sent in before. */
  readonly trouble?: Error | undefined;
  reject(error: Error): void;
}

export interface Pressure {
  readonly waiting: number;
  readonly bytes: number;
  readonly calls: number;
  /** How long the first one has waited, in ms. */
  readonly waited: number;
}

/** Whether the next batch goes now. */
export function mayGo({ waiting, bytes, calls, waited }: Pressure, rules: GatherRules): boolean {
  if (waiting === 0 || calls >= rules.calls) return false;
  return calls === 0 || waiting >= rules.items || bytes >= rules.bytes || waited >= rules.patience;
}

/** How many of the first items fit into one batch; at least one. */
export function batchSize(items: readonly { readonly bytes: number }[], rules: GatherRules): number {
  let bytes = 0;
  let size = 0;
  for (const item of items) {
    bytes += item.bytes;
    if (size === rules.items || (size > 0 && bytes > rules.bytes)) break;
    size++;
  }
  return size;
}

export class Gatherer<Item extends Gathered> {
  readonly #rules: GatherRules;
  readonly #send: (items: Item[]) => Promise<void>;
  #queue: Item[] = [];
  #bytes = 0;
  #calls = 0;
  // Items between two tries count as waiting too.
  #resting = 0;
  #scheduled = false;
  // The earliest giveUpAt in the queue.
  #giveUpAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `send` answers to the items itself and never rejects. */
  constructor(rules: GatherRules, send: (items: Item[]) => Promise<void>) {
    this.#rules = rules;
    this.#send = send;
  }

  /** @throws ClientBusyError when too many wait, ClientClosedError */
  push(item: Item): void {
    if (this.#closed) throw new ClientClosedError();
    if (this.#queue.length + this.#resting >= this.#rules.waiting) {
      const message = `${this.#rules.waiting} requests wait in this client already: slow down, or submit in batches`;
      throw new ClientBusyError(message, { code: status.RESOURCE_EXHAUSTED, reason: "CLIENT_BUSY" });
    }
    item.queuedAt = performance.now();
    this.#queue.push(item);
    this.#count(item);
    this.#schedule();
  }

  /** Sends these once more, before all others, after `wait` ms. */
  again(items: readonly Item[], wait: number): void {
    this.#resting += items.length;
    setTimeout(() => {
      this.#resting -= items.length;
      if (this.#closed) return reject(items, new ClientClosedError());
      this.#queue = [...items, ...this.#queue];
      for (const item of items) this.#count(item);
      this.#flush();
    }, wait);
  }

  #count(item: Item): void {
    this.#bytes += item.bytes;
    this.#giveUpAt = Math.min(this.#giveUpAt, item.giveUpAt);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    reject(this.#queue, new ClientClosedError());
    this.#queue = [];
  }

  /** Requests made in one go come together: the batch is put together once their caller has finished. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const now = performance.now();
    if (this.#giveUpAt <= now) this.#giveUp(now);
    while (mayGo(this.#pressure(now), this.#rules)) this.#sendNext();
    const first = this.#queue[0];
    if (first === undefined) return;
    // With all calls under way, one that returns is what sends the next batch.
    const patient = this.#calls < this.#rules.calls ? first.queuedAt + this.#rules.patience : this.#giveUpAt;
    this.#timer = setTimeout(() => this.#flush(), Math.max(1, Math.min(patient, this.#giveUpAt) - now));
  }

  #pressure(now: number): Pressure {
    const first = this.#queue[0];
    const waited = first === undefined ? 0 : now - first.queuedAt;
    return { waiting: this.#queue.length, bytes: this.#bytes, calls: this.#calls, waited };
  }

  #sendNext(): void {
    const size = batchSize(this.#queue, this.#rules);
    const batch = this.#queue.slice(0, size);
    this.#queue = this.#queue.slice(size);
    for (const item of batch) this.#bytes -= item.bytes;
    this.#calls++;
    void this.#send(batch).finally(() => {
      this.#calls--;
      this.#flush();
    });
  }

  #giveUp(now: number): void {
    const late = this.#queue.filter((item) => item.giveUpAt <= now);
    this.#queue = this.#queue.filter((item) => item.giveUpAt > now);
    for (const item of late) this.#bytes -= item.bytes;
    this.#giveUpAt = this.#queue.reduce((at, item) => Math.min(at, item.giveUpAt), Number.POSITIVE_INFINITY);
    const details = { code: status.DEADLINE_EXCEEDED, reason: "DEADLINE_EXCEEDED" };
    const error = new DeadlineExceededError("the timeout passed before the request could be sent", details);
    for (const item of late) item.reject(item.trouble ?? error);
  }
}

function reject(items: readonly Gathered[], error: Error): void {
  for (const item of items) item.reject(error);
}
