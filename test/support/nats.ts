// A nats-server of a test's own: one JetStream node on loopback, its data in a temporary folder.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer } from "../../broker/src/jetstream/nats-binary.js";

export interface NatsServerOptions {
  /** `always` (default) or an interval. */
  sync?: string;
  /** More lines for the configuration file. */
  conf?: string;
  /** More lines for its jetstream block; `off` = no JetStream. */
  jetstream?: string;
  /** Where the data lies; by default in the temporary folder. */
  storeDir?: string;
  port?: number;
}

export class NatsServer {
  #process: ChildProcess | undefined;

  private constructor(
    readonly binary: string,
    /** Of the configuration, the log and, normally, the data. */
    readonly dir: string,
    readonly port: number,
  ) {}

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const { path } = await findNatsServer({ named: process.env.DROVER_NATS_SERVER });
    const dir = mkdtempSync(join(tmpdir(), "drover-nats-"));
    const server = new NatsServer(path, dir, options.port ?? (await freePort()));
    const { sync = "always", conf = "", jetstream = "", storeDir = join(dir, "data") } = options;
    const block = `jetstream { store_dir: "${storeDir}", sync_interval: "${sync}"\n${jetstream}\n}`;
    writeFileSync(
      server.confFile,
      `listen: "127.0.0.1:${server.port}"\nlog_file: "${server.logFile}"\n${jetstream === "off" ? "" : block}\n${conf}\n`,
    );
    await server.restart();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get confFile(): string {
    return join(this.dir, "nats.conf");
  }

  get logFile(): string {
    return join(this.dir, "nats.log");
  }

  /** Ends the process (if there is one) and waits until it is gone. The data stays. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, "exit");
    running.kill(signal);
    await gone;
  }

  /** Starts it again, on the same port and data, after a kill or in good order. Settles when it takes connections. */
  async restart(): Promise<void> {
    await this.kill("SIGTERM");
    const started = spawn(this.binary, ["-c", this.confFile], { stdio: "ignore" });
    this.#process = started;
    while (!(await answers(this.port))) {
      if (started.exitCode !== null) throw new Error(`nats-server does not start, see ${this.logFile}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it and removes its data. */
  async stop(): Promise<void> {
    await this.kill("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Given out already: whoever has one may not listen on it yet, or not at the moment. */
const given = new Set<number>();
/** Test files that run side by side are processes of their own: each has its share. */
const ports = { from: 15_000, each: 2_000, shares: 8 } as const;
const from = ports.from + (Number(process.env.VITEST_POOL_ID ?? 0) % ports.shares) * ports.each;

/** A port nobody listens on. Below those that systems give to clients, so that it is still free at a restart. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = from + Math.floor(Math.random() * ports.each);
    if (given.has(port)) continue;
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve((probe.address() as AddressInfo).port === port));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    given.add(port);
    return port;
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const done = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once("data", (data) => done(data.toString().startsWith("INFO ")));
    socket.once("error", () => done(false));
    socket.once("close", () => done(false));
  });
}
