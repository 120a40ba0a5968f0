// A broker of a test's own, as the process that people run: ports of its own, its data in a temporary folder. With
// `natsUrl` it uses a nats-server from outside, so that several brokers can share one.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "./nats.js";

const main = fileURLToPath(new URL("../../broker/dist/main.js", import.meta.url));
const startWithin = 30_000;
const stopWithin = 30_000;
const keptLines = 500;

export interface BrokerOptions {
  /** Unset = an embedded nats-server. */
  natsUrl?: string;
  /** More settings, or others: `DROVER_…`. */
  env?: Readonly<Record<string, string>>;
  /** Where an embedded nats-server stores; by default a temporary folder, removed by `stop`. */
  dataDir?: string;
}

export class Broker {
  #process: ChildProcess | undefined;
  /** What it said last, a line each. */
  readonly log: string[] = [];

  private constructor(
    readonly grpcPort: number,
    readonly httpPort: number,
    readonly dataDir: string,
    private readonly env: Readonly<Record<string, string>>,
    private readonly ownsData: boolean,
  ) {}

  /** Settles when the broker is ready. */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const { natsUrl = "", env = {}, dataDir } = options;
    const dir = dataDir ?? mkdtempSync(join(tmpdir(), "drover-broker-"));
    const [grpcPort, httpPort] = [await freePort(), await freePort()];
    const settings = {
      DROVER_GRPC_PORT: String(grpcPort),
      DROVER_HTTP_PORT: String(httpPort),
      DROVER_DATA_DIR: dir,
      DROVER_NATS_URL: natsUrl,
      DROVER_LOG_FORMAT: "json",
      ...env,
    };
    const broker = new Broker(grpcPort, httpPort, dir, settings, dataDir === undefined);
    await broker.restart();
    return broker;
  }

  /** For a gRPC channel. */
  get address(): string {
    return `127.0.0.1:${this.grpcPort}`;
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.httpPort}`;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error("the broker does not run");
    return pid;
  }

  /** Of a process that has ended. */
  get exitCode(): number | undefined {
    return this.#process?.exitCode ?? undefined;
  }

  get running(): boolean {
    const process = this.#process;
    return process !== undefined && process.exitCode === null && process.signalCode === null;
  }

  /** Starts it again after a kill, on the same ports and data. Settles when it is ready. */
  async restart(): Promise<void> {
    const started = spawn(process.execPath, [main], {
      env: { ...withoutSettings(process.env), ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = started;
    const ready = new Promise<void>((resolve) => {
      const hear = (line: string) => {
        this.log.push(line);
        if (this.log.length > keptLines) this.log.shift();
        if (line.includes('"msg":"ready"')) resolve();
      };
      createInterface({ input: started.stdout }).on("line", hear);
      createInterface({ input: started.stderr }).on("line", hear);
    });
    const outcome = await Promise.race([
      ready.then(() => "ready"),
      once(started, "exit").then(() => "ended"),
      timeout(startWithin).then(() => "is not ready in time"),
    ]);
    if (outcome === "ready") return;
    await this.kill();
    throw new Error(`the broker ${outcome}:\n${this.log.join("\n")}`);
  }

  /** Ends the process and waits until it is gone. The data stays. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const running = this.#process;
    if (running === undefined || !this.running) return;
    const gone = once(running, "exit");
    running.kill(signal);
    await gone;
  }

  /** Stops it in good order and removes its data. @throws Error when it did not stop in time or not with 0 */
  async stop(): Promise<void> {
    const running = this.#process;
    try {
      if (!this.running) return;
      const inTime = await Promise.race([
        this.kill("SIGTERM").then(() => true),
        timeout(stopWithin).then(() => false),
      ]);
      if (!inTime) await this.kill();
      if (!inTime || running?.exitCode !== 0) {
        throw new Error(`the broker did not stop well (${running?.exitCode}):\n${this.log.join("\n")}`);
      }
    } finally {
      if (this.ownsData) rmSync(this.dataDir, { recursive: true, force: true });
    }
  }
}

/** The environment without what is set for somebody's own broker; only the nats-server to use is taken over. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith("DROVER_") || name === "DROVER_NATS_SERVER"),
  );
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
