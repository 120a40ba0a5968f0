// How full the store is, and whether it can be written at all. Refusing submits in time is the broker's part: when the
// nats-server itself has to refuse, it refuses outcomes and retries as well, and when the disk refuses, the stream is
// frozen: from the first failed write on it answers no publish any more, also not when there is space again, until the
// server restarts. An embedded server is restarted here, once that will help; for any other the broker says it is not
// ready, and why.

import type { StorageGauge } from "../app/ports.js";
import type { Log } from "../app/telemetry.js";
import { type AccountInfo, errCodes, type JsApi, JsApiError, type StreamInfo } from "./api.js";
import { diskSpace } from "./embedded-conf.js";
import { messageOf } from "./startup-error.js";

/** The parts of an embedded server that matter here. */
export interface OwnServer {
  readonly storeDir: string;
  /** Bytes. */
  readonly maxFileStore: number;
  restart(why: string): Promise<void>;
}

export interface StorageOptions {
  api: JsApi;
  log: Log;
  /** The shards' streams, and `drover.<ns>.<shard>` of each. */
  shards: readonly { stream: string; prefix: string }[];
  replicas: number;
  /** The embedded server, if that is what is used. */
  own?: OwnServer | undefined;
  /** Share of the store from which on submits are refused. */
  highWater?: number;
  /** ms. */
  every?: number;
}

const storageRules = {
  every: 5_000,
  highWater: 0.9,
  /** How far the share must sink below the mark before submits are taken again. */
  hysteresis: 0.02,
  /** Of the disk an embedded server's store is on, this much stays free for outcomes and retries: a share, at most so
   *  many bytes. */
  diskReserve: { share: 0.05, bytes: 512 * 1024 * 1024 },
  /** A refusal for want of space by the server counts this long, ms: it has limits that no API shows. */
  refusalLasts: 15_000,
  /** Polls that must fail before the broker is not ready. */
  failures: 2,
  /** Between restarts of an embedded server, ms: doubled each time, up to the longest, and forgotten after as long. */
  firstPause: 10_000,
  longestPause: 300_000,
} as const;

/** What the store looked like at the last poll. Bytes. */
export interface StorageView {
  used: number;
  /** Undefined: no limit that the API shows. */
  limit: number | undefined;
  disk: { total: number; available: number } | undefined;
  streams: { stream: string; messages: number; bytes: number; lastSeq: number; consumers: number }[];
}

export class StorageMonitor implements StorageGauge {
  readonly #options: StorageOptions;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #closed = false;
  #above = false;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #unreachable: string | undefined;
  /** JetStream was switched off, by the server itself: it does that when it may not write its files. */
  #off = false;
  #frozen: string | undefined;
  #restartedAt = Number.NEGATIVE_INFINITY;
  #pause: number = storageRules.firstPause;
  #view: StorageView | undefined;

  constructor(options: StorageOptions) {
    this.#options = options;
  }

  /** Polls once, and then every 5 s. */
  async start(): Promise<void> {
    await this.poll();
    if (this.#closed) return;
    this.#timer = setInterval(() => void this.poll(), this.#options.every ?? storageRules.every);
  }

  /** Does not wait for a look that is under way: while NATS is away that would take seconds, and it has no effect any
   *  more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  get full(): boolean {
    return this.#above || performance.now() - this.#refusedAt < storageRules.refusalLasts;
  }

  /** Why nothing can be stored at all, for readiness; undefined when all is well. */
  get problem(): string | undefined {
    return this.#frozen ?? this.#unreachable;
  }

  /** For metrics. Undefined before the first poll. */
  get view(): StorageView | undefined {
    return this.#view;
  }

  /** The journal heard this JetStream error for a write. Those that mean "no space" close the door to submits. */
  refused(errCode: number): void {
    const noSpace: readonly number[] = [
      errCodes.storageExceeded,
      errCodes.insufficientResources,
      errCodes.accountResourcesExceeded,
    ];
    if (noSpace.includes(errCode)) this.#refusedAt = performance.now();
  }

  /** A write went unanswered while the connection was there: look now whether a stream is frozen. */
  suspect(): void {
    if (!this.#closed) void this.poll();
  }

  /** Looks once. Never fails; calls that overlap share one look. */
  poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  async #poll(): Promise<void> {
    const { api, shards, log } = this.#options;
    try {
      const [account, disk, ...streams] = await Promise.all([
        api.account(),
        this.#disk(),
        ...shards.map(({ stream }) => api.stream(stream)),
      ]);
      if (this.#closed) return;
      this.#look(account, disk, streams);
      this.#failures = 0;
      this.#unreachable = undefined;
      this.#off = false;
    } catch (error) {
      if (this.#closed) return;
      this.#failures += 1;
      this.#off = isOff(error);
      if (this.#failures >= storageRules.failures && this.#unreachable === undefined) {
        this.#unreachable = `JetStream does not answer: ${messageOf(error)}`;
        log.error({ error: messageOf(error) }, "JetStream does not answer");
      }
    }
    const wasFrozen = this.#frozen;
    this.#frozen = await this.#freeze();
    if (this.#closed) return;
    if (this.#frozen !== undefined && wasFrozen === undefined) log.error({}, this.#frozen);
    if (this.#frozen === undefined && wasFrozen !== undefined) log.info({}, "the store can be written again");
    await this.#mend();
  }

  #look(account: AccountInfo, disk: StorageView["disk"], streams: StreamInfo[]): void {
    const { own, replicas, highWater = storageRules.highWater, log } = this.#options;
    const { used, limit } = usage(account, replicas, own?.maxFileStore);
    this.#view = {
      used,
      limit,
      disk,
      streams: streams.map(({ config, state }) => ({
        stream: config.name,
        messages: state.messages,
        bytes: state.bytes,
        lastSeq: state.last_seq,
        consumers: state.consumer_count,
      })),
    };
    const mark = this.#above ? highWater - storageRules.hysteresis : highWater;
    const above =
      (limit !== undefined && used >= limit * mark) || (disk !== undefined && this.#diskLow(disk));
    if (above && !this.#above)
      log.error({ used, limit, disk }, "the store is nearly full: submits are refused");
    if (!above && this.#above) log.info({ used, limit, disk }, "the store has room again: submits are taken");
    this.#above = above;
  }

  #diskLow({ total, available }: { total: number; available: number }): boolean {
    const reserve = reserveOf(total);
    return available < (this.#above ? reserve * 1.1 : reserve);
  }

  async #disk(): Promise<StorageView["disk"]> {
    const { own } = this.#options;
    return own === undefined ? undefined : await diskSpace(own.storeDir);
  }

  /** Which stream refuses every write since one failed. Asked by a purge of nothing: it writes nothing, and a frozen
   *  stream answers it with the error that froze it. With several replicas a frozen leader steps down by itself. */
  async #freeze(): Promise<string | undefined> {
    const { api, shards, replicas } = this.#options;
    if (replicas > 1) return undefined;
    for (const { stream, prefix } of shards) {
      try {
        await api.request(`STREAM.PURGE.${stream}`, { filter: `${prefix}.frozen`, seq: 2 });
      } catch (error) {
        // A server that does not answer at all is another matter, told above, and no news about this one.
        if (!(error instanceof JsApiError) || error.unanswered) return this.#frozen;
        if (error.errCode === errCodes.streamGeneral) {
          return `stream ${stream} takes no more writes (${error.description}): restart nats-server when its disk is in order`;
        }
      }
    }
    return undefined;
  }

  /** Restarts an embedded server whose store is frozen, or off, when that will help. */
  async #mend(): Promise<void> {
    const { own, log } = this.#options;
    if (own === undefined) return;
    const sinceLast = performance.now() - this.#restartedAt;
    if (this.problem === undefined) {
      if (sinceLast > storageRules.longestPause) this.#pause = storageRules.firstPause;
      return;
    }
    // A server that does not answer at all was stopped or died, and its keeper starts it again.
    if (this.#frozen === undefined && !this.#off) return;
    if (sinceLast < this.#pause) return;
    try {
      const disk = await diskSpace(own.storeDir);
      // Without space it would freeze again at once, and may not even start.
      if (disk.available < reserveOf(disk.total) / 2) return;
      if (this.#restartedAt > 0) this.#pause = Math.min(this.#pause * 2, storageRules.longestPause);
      this.#restartedAt = performance.now();
      await own.restart(this.problem);
    } catch (error) {
      log.error({ error: messageOf(error) }, "the embedded nats-server was not restarted");
    }
  }
}

/** Bytes stored and the lowest limit that is known. */
function usage(account: AccountInfo, replicas: number, ownLimit: number | undefined) {
  const tier = account.tiers?.[`R${replicas}`];
  // A tier's limit is for one copy, what it holds is counted with all copies.
  const [used, limit] =
    tier === undefined
      ? [account.storage, account.tiers === undefined ? account.limits.max_storage : -1]
      : [tier.storage, tier.limits.max_storage * replicas];
  const limits = [limit > 0 ? limit : undefined, ownLimit].filter((bytes) => bytes !== undefined);
  return { used, limit: limits.length === 0 ? undefined : Math.min(...limits) };
}

function reserveOf(total: number): number {
  return Math.min(total * storageRules.diskReserve.share, storageRules.diskReserve.bytes);
}

function isOff(error: unknown): boolean {
  if (!(error instanceof JsApiError)) return false;
  const { errCode, code } = error;
  return (
    errCode === errCodes.notEnabled ||
    errCode === errCodes.notEnabledForAccount ||
    (errCode === 0 && code === 503)
  );
}
