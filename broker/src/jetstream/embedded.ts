// The nats-server of a broker that was given none: a child process on this machine's loopback, its data in a directory
// that outlives both. It is restarted when it dies, on the same port, so that the broker's own connection comes back by
// itself; it is stopped with the broker, and cannot outlive it.

import { randomBytes, randomInt } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import type { Log } from "../app/telemetry.js";
import { DataDirLock } from "./data-dir-lock.js";
import { type EmbeddedConf, embeddedConf, fileStoreLimit } from "./embedded-conf.js";
import { ServerProcess } from "./embedded-process.js";
import { type BinarySearch, findNatsServer, type NatsBinary } from "./nats-binary.js";
import type { NatsTarget } from "./nats-target.js";
import { messageOf, StartupError } from "./startup-error.js";

export interface EmbeddedOptions {
  /** Where everything is kept. Made if it is not there. */
  dataDir: string;
  /** When writes reach the disk: `always`, or an interval in Go's spelling such as `1s`. */
  sync: string;
  log: Log;
  binary?: BinarySearch;
  /** Bytes; by default what the disk has room for. */
  maxFileStore?: number;
  /** How long a predecessor may take to leave the data directory, ms. */
  lockPatience?: number;
}

const embeddedRules = {
  /** How long the server may take to restore its store, ms: some seconds for millions of jobs. */
  ready: 120_000,
  /** How long it may take to stop before it is killed, ms. */
  stop: 10_000,
  /** The wait before it is started again, ms: doubled each time, forgotten after a minute of running. */
  firstWait: 100,
  longestWait: 10_000,
  steadyAfter: 60_000,
  /** Below the range that systems take ports for outgoing connections from: while the server is down, the port must not
   *  go to a client by chance. */
  ports: [15_000, 32_000],
} as const;

export class EmbeddedServer {
  readonly #options: EmbeddedOptions;
  readonly #binary: NatsBinary;
  readonly #lock: DataDirLock;
  readonly #conf: EmbeddedConf;
  readonly #confFile: string;
  /** The latest run, over or not. */
  #process: ServerProcess | undefined;
  #ready = false;
  #confWritten = false;
  #closing = false;
  /** Ends the wait before a restart. */
  #wake: () => void = () => undefined;
  /** A restart that was asked for, and who waits for its end. */
  #wanted: { why: string; done: () => void } | undefined;
  #supervised: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  private constructor(options: EmbeddedOptions, binary: NatsBinary, lock: DataDirLock, conf: EmbeddedConf) {
    this.#options = options;
    this.#binary = binary;
    this.#lock = lock;
    this.#conf = conf;
    this.#confFile = join(options.dataDir, "nats-server.conf");
  }

  /** Starts a server on the data directory, or says in one line why there can be none.
   *  @throws StartupError */
  static async start(options: EmbeddedOptions): Promise<EmbeddedServer> {
    if (!/^(always|(\d+(\.\d+)?(ms|s|m|h))+)$/.test(options.sync)) {
      throw new StartupError(
        `DROVER_SYNC=${options.sync} is neither "always" nor an interval such as 1s or 500ms`,
      );
    }
    const dataDir = resolve(options.dataDir);
    const binary = await findNatsServer(options.binary);
    const storeDir = join(dataDir, "jetstream");
    try {
      await mkdir(storeDir, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new StartupError(`the data directory ${dataDir} cannot be made: ${messageOf(error)}`);
    }
    const lock = await DataDirLock.take(join(dataDir, "lock"), options.log, options.lockPatience);
    const server = new EmbeddedServer({ ...options, dataDir }, binary, lock, {
      port: 0,
      user: "drover",
      password: randomBytes(24).toString("base64url"),
      storeDir,
      logFile: join(dataDir, "nats-server.log"),
      sync: options.sync,
      maxFileStore: 0,
    });
    try {
      await server.#firstStart();
    } catch (error) {
      lock.release();
      throw error;
    }
    return server;
  }

  /** How to connect to it. Stays the same for as long as this broker runs. */
  get target(): NatsTarget {
    const { port, user, password } = this.#conf;
    return { url: `nats://127.0.0.1:${port}`, user, password };
  }

  get version(): string {
    return this.#binary.version;
  }

  /** Where the messages are. */
  get storeDir(): string {
    return this.#conf.storeDir;
  }

  /** What the server may store, bytes. Counted anew at each of its starts. */
  get maxFileStore(): number {
    return this.#conf.maxFileStore;
  }

  /** The server's process, while it takes connections. */
  get pid(): number | undefined {
    return this.#ready ? this.#process?.pid : undefined;
  }

  /** Stops the server and starts it again; settles when it takes connections, or when this is closed. */
  restart(why: string): Promise<void> {
    if (this.#closing) return Promise.resolve();
    return new Promise((done) => {
      const also = this.#wanted?.done;
      this.#wanted = {
        why,
        done: () => {
          also?.();
          done();
        },
      };
      this.#wake();
      void this.#process?.stop(embeddedRules.stop);
    });
  }

  /** Stops the server for good. Settles when its process is gone. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing = true;
    this.#wake();
    await this.#process?.stop(embeddedRules.stop);
    await this.#supervised;
    this.#lock.release();
  }

  async #firstStart(): Promise<void> {
    for (let left = 5; ; left -= 1) {
      this.#conf.port = await freePort();
      try {
        await this.#launch();
        break;
      } catch (error) {
        const why = messageOf(error);
        if (left > 0 && why.includes("address already in use")) continue;
        throw new StartupError(`the embedded nats-server does not start: ${why} (see ${this.#conf.logFile})`);
      }
    }
    const { pid } = this;
    const { port, storeDir, maxFileStore, sync } = this.#conf;
    const { version, path } = this.#binary;
    this.#options.log.info(
      { pid, port, version, path, storeDir, maxFileStore, sync },
      "embedded nats-server started",
    );
    this.#supervised = this.#supervise();
  }

  /** @throws Error when the server does not come to take connections; then its process is gone */
  async #launch(): Promise<void> {
    await this.#writeConf();
    // A close that came meanwhile has nothing to stop yet.
    if (this.#closing) throw new Error("closing");
    const run = new ServerProcess({
      binary: this.#binary.path,
      confFile: this.#confFile,
      logFile: this.#conf.logFile,
      port: this.#conf.port,
      lockFd: this.#lock.fd,
    });
    this.#process = run;
    try {
      await run.ready(embeddedRules.ready);
      this.#ready = true;
    } catch (error) {
      await run.stop(embeddedRules.stop);
      throw error;
    }
  }

  async #writeConf(): Promise<void> {
    const half = `${this.#confFile}.new`;
    try {
      this.#conf.maxFileStore = this.#options.maxFileStore ?? (await fileStoreLimit(this.#conf.storeDir));
      await writeFile(half, embeddedConf(this.#conf), { mode: 0o600 });
      await rename(half, this.#confFile);
      this.#confWritten = true;
    } catch (error) {
      // On a full disk the server can still be restarted with what it was told before.
      if (!this.#confWritten) throw error;
      this.#options.log.warn(
        { error: messageOf(error) },
        "the embedded nats-server keeps its old configuration",
      );
    }
  }

  async #supervise(): Promise<void> {
    let wait: number = embeddedRules.firstWait;
    let started = performance.now();
    let failed = false;
    for (let run = this.#process; run !== undefined; run = this.#process) {
      const how = await run.exited;
      this.#ready = false;
      if (this.#closing) break;
      const asked = this.#wanted !== undefined;
      if (!asked && !failed) {
        this.#options.log.error({ how: how + run.lastWords() }, "the embedded nats-server ended by itself");
      }
      if (performance.now() - started > embeddedRules.steadyAfter) wait = embeddedRules.firstWait;
      // A restart that was asked for is tried at once, but only once.
      if (!asked || failed) {
        await this.#pause(wait);
        wait = Math.min(wait * 2, embeddedRules.longestWait);
      }
      if (this.#closing) break;
      started = performance.now();
      failed = !(await this.#comeBack());
    }
    this.#wanted?.done();
    this.#wanted = undefined;
  }

  /** One attempt to start the server again; whether it succeeded. */
  async #comeBack(): Promise<boolean> {
    const wanted = this.#wanted;
    const start = performance.now();
    try {
      await this.#launch();
    } catch (error) {
      if (!this.#closing)
        this.#options.log.error({ error: messageOf(error) }, "the embedded nats-server does not start");
      return false;
    }
    const fields = { pid: this.pid, ms: Math.round(performance.now() - start), why: wanted?.why };
    this.#options.log.info(fields, "embedded nats-server started again");
    // Another restart may have been asked for while this one was under way.
    if (this.#wanted === wanted) this.#wanted = undefined;
    wanted?.done();
    return true;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** A port of the loopback interface that nobody listens on. */
async function freePort(): Promise<number> {
  const [from, to] = embeddedRules.ports;
  for (let left = 50; left > 0; left -= 1) {
    const port = randomInt(from, to);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(false));
      probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new StartupError(`no free port between ${from} and ${to} on 127.0.0.1`);
}
