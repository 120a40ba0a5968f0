// The broker's one connection to NATS. Getting it for the first time is bounded and ends in one clear line; once it was
// there, it is sought for ever, since a broker without NATS has nothing better to do. Whoever relies on having seen
// everything (trust lines, unanswered writes, peers) is told of each loss and each return.

import { type ConnectionOptions, connect as dial, errors, type NatsConnection, type Status } from "nats";
import type { Log } from "../app/telemetry.js";
import { addressOptions, type NatsTarget } from "./nats-target.js";
import { atLeast, oldestServer } from "./server-version.js";
import { messageOf, StartupError } from "./startup-error.js";

export interface ConnectOptions {
  target: NatsTarget;
  /** How the broker is called in the server's lists. */
  name: string;
  log: Log;
  /** How long the first connection may take, ms. */
  within?: number;
}

const connectRules = {
  within: 30_000,
  /** One attempt, ms. */
  dial: 5_000,
  /** Between attempts, ms, and up to as much again at random. */
  wait: 200,
  jitter: 100,
  jitterTls: 300,
  /** A server that answers nothing for two of these is given up, ms. */
  ping: 5_000,
  maxPingOut: 2,
  /** How long closing may take, ms. */
  drain: 5_000,
  /** Jobs are sized for this, bytes; the server's default. */
  maxPayload: 1024 * 1024,
} as const;

const steady: ConnectionOptions = {
  timeout: connectRules.dial,
  pingInterval: connectRules.ping,
  maxPingOut: connectRules.maxPingOut,
  maxReconnectAttempts: -1,
  reconnectTimeWait: connectRules.wait,
  reconnectJitter: connectRules.jitter,
  reconnectJitterTLS: connectRules.jitterTls,
  // Rights may be mended while the broker runs; a broker that gave up would have to be restarted by hand.
  ignoreAuthErrorAbort: true,
  // A stack for each request costs more than the request.
  noAsyncTraces: true,
};

type Denied = (operation: "publish" | "subscription", subject: string) => void;

export class Connection {
  readonly #connected = new Set<(epoch: number) => void>();
  readonly #disconnected = new Set<() => void>();
  readonly #denied = new Set<Denied>();
  readonly #saidDenied = new Set<string>();
  #up = true;
  #epoch = 1;
  #closing: Promise<void> | undefined;

  private constructor(
    readonly nc: NatsConnection,
    readonly log: Log,
  ) {
    void this.#follow();
  }

  /** @throws StartupError when there is no connection in time, the server refuses us or will not do */
  static async open(options: ConnectOptions): Promise<Connection> {
    const { url, address } = await addressOptions(options.target);
    const nc = await firstConnection(url, { ...address, ...steady, name: options.name }, options);
    const unfit = unfitness(nc);
    if (unfit !== undefined) {
      await nc.close();
      throw new StartupError(`${url}: ${unfit}`);
    }
    return new Connection(nc, options.log);
  }

  /** Whether the connection is there now. */
  get connected(): boolean {
    return this.#up;
  }

  /** Counts connections, from 1. */
  get epoch(): number {
    return this.#epoch;
  }

  get serverVersion(): string {
    return this.nc.info?.version ?? "unknown";
  }

  /** Calls back after each further connection, before anything that came over it is handed out. Not for the first one.
   *  Returns how to stop it. */
  onConnected(heard: (epoch: number) => void): () => void {
    this.#connected.add(heard);
    return () => this.#connected.delete(heard);
  }

  /** Calls back when the connection is lost (not when it is closed by us). */
  onDisconnected(heard: () => void): () => void {
    this.#disconnected.add(heard);
    return () => this.#disconnected.delete(heard);
  }

  /** Calls back for each publish or subscription that the server refuses for want of a right. While anybody listens,
   *  nothing is logged of it. */
  onDenied(heard: Denied): () => void {
    this.#denied.add(heard);
    return () => this.#denied.delete(heard);
  }

  /** Sends what waits, takes in what has come, closes. Never fails, and ends within 5 s. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#up ? connectRules.drain : 0);
    });
    // A drain waits for the server's answer, which never comes while there is no connection.
    await Promise.race([this.nc.drain(), late]).catch(() => undefined);
    clearTimeout(timer);
    await this.nc.close().catch(() => undefined);
    this.#up = false;
    this.#connected.clear();
    this.#disconnected.clear();
  }

  async #follow(): Promise<void> {
    for await (const status of this.nc.status()) this.#heard(status);
    this.#up = false;
    if (this.#closing !== undefined) return;
    const why = await this.nc.closed();
    this.log.error({ error: why ? why.message : undefined }, "the NATS client gave up its connection");
    this.#lost();
  }

  #heard(status: Status): void {
    switch (status.type) {
      case "disconnect":
        if (this.#closing !== undefined) return;
        this.log.warn({ server: status.server }, "connection to NATS lost");
        this.#lost();
        return;
      case "reconnect":
        this.#up = true;
        this.#epoch += 1;
        this.log.info(
          { server: status.server, version: this.serverVersion, epoch: this.#epoch },
          "connected to NATS",
        );
        this.#checkAgain();
        for (const heard of this.#connected) this.#call(() => heard(this.#epoch));
        return;
      case "staleConnection":
        this.log.warn({}, "NATS does not answer pings");
        return;
      case "ldm":
        this.log.info({ server: status.server }, "the nats-server is about to stop");
        return;
      case "error":
        this.#refused(status.error);
        return;
      default:
    }
  }

  #lost(): void {
    this.#up = false;
    for (const heard of this.#disconnected) this.#call(heard);
  }

  #refused(error: Error): void {
    if (!(error instanceof errors.PermissionViolationError)) {
      this.log.error({ error: error.message }, "NATS reports an error");
      return;
    }
    const { operation, subject } = error;
    for (const heard of this.#denied) this.#call(() => heard(operation, subject));
    const what = `${operation} ${subject}`;
    // Subjects carry job ids: without a bound this would log, and remember, every job.
    if (this.#denied.size > 0 || this.#saidDenied.has(what) || this.#saidDenied.size >= 100) return;
    this.#saidDenied.add(what);
    this.log.error({ operation, subject }, "the NATS user of the broker lacks a right");
  }

  /** A server that took over may be another one than the first. */
  #checkAgain(): void {
    const unfit = unfitness(this.nc);
    if (unfit !== undefined) this.log.error({ version: this.serverVersion }, unfit);
  }

  #call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.log.error({ error: messageOf(error) }, "a listener to the NATS connection failed");
    }
  }
}

/** Why a server will not do. */
function unfitness(nc: NatsConnection): string | undefined {
  const { info } = nc;
  if (info === undefined) return "the server did not introduce itself";
  if (!atLeast(info.version, oldestServer)) {
    return `nats-server ${info.version} is too old, Drover needs ${oldestServer} or later`;
  }
  if (info.headers !== true)
    return "the server has headers switched off (no_header_support), Drover needs them";
  if (info.max_payload < connectRules.maxPayload) {
    return `the server takes messages of ${info.max_payload} bytes, Drover needs 1048576: set max_payload`;
  }
  return undefined;
}

async function firstConnection(
  url: string,
  settings: ConnectionOptions,
  { log, within = connectRules.within }: ConnectOptions,
): Promise<NatsConnection> {
  const start = performance.now();
  let said = false;
  for (;;) {
    try {
      return await dial(settings);
    } catch (error) {
      const left = within - (performance.now() - start);
      if (isFinal(error)) throw new StartupError(`NATS at ${url} refuses the broker: ${messageOf(error)}`);
      if (left <= connectRules.wait) {
        const waited = `${Math.round(within / 1000)} s`;
        throw new StartupError(`no connection to NATS at ${url} within ${waited}: ${messageOf(error)}`);
      }
      if (!said) log.info({ url, error: messageOf(error) }, "waiting for NATS");
      said = true;
      await new Promise((resolve) => setTimeout(resolve, connectRules.wait));
    }
  }
}

/** Whether trying again would be for nothing. */
function isFinal(error: unknown): boolean {
  return (
    error instanceof errors.AuthorizationError ||
    error instanceof errors.UserAuthenticationExpiredError ||
    error instanceof errors.InvalidArgumentError
  );
}
