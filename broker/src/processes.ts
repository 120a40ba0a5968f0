// A broker of several processes behind one port: one process keeps no more than one core busy. The first of them runs no
// broker but supervises the others: each is an ordinary broker with a name of its own, on the same nats-server, and what is
// true of several brokers is true of them. Connections are dealt out in turn, so each client and each worker is with one
// of them. The supervisor has the embedded nats-server, the HTTP port, and starts again what dies.

import cluster, { type Worker } from "node:cluster";
import type { Log } from "./app/telemetry.js";
import type { Config } from "./config.js";
import type { EmbeddedServer } from "./jetstream/embedded.js";
import { startEmbedded } from "./jetstream/store.js";
import { contentTypes, type Format, formatFor } from "./ops/exposition.js";
import { startHttp } from "./ops/http.js";
import { mergeMetrics } from "./ops/merged-metrics.js";
import { SharedRestarts } from "./shared-restarts.js";
import { storeOptions } from "./store-options.js";
import type { News, Order, Ports, Share } from "./supervised.js";

const processRules = {
  /** The wait before one that died is started again, ms. */
  pause: 500,
  /** More deaths than this within a minute, and all are stopped. */
  deaths: 10,
  deathsWithin: 60_000,
  /** What a process has to answer what the HTTP port is asked, ms. */
  answer: 5_000,
  /** What a process has to stop beyond DROVER_STOP_TIMEOUT, ms. */
  stop: 15_000,
} as const;

interface BrokerProcess {
  name: string;
  worker: Worker;
  ready: Ports | undefined;
}

export interface RunningProcesses {
  readonly name: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Settles when they cannot be kept up. */
  readonly broken: Promise<string>;
  stop(): Promise<void>;
  /** At once. */
  kill(): void;
}

/** A process could not be started, and has said why. */
export class ProcessError extends Error {
  constructor(readonly code: number) {
    super(`a broker process ended with ${code} before it was ready`);
  }
}

/** @throws StartupError, ProcessError */
export async function startProcesses(config: Config, log: Log): Promise<RunningProcesses> {
  const embedded =
    config.natsUrl.length === 0 ? await startEmbedded(storeOptions(config).embedded, log) : undefined;
  const supervisor = new Supervisor(config, log, embedded);
  try {
    return await supervisor.start();
  } catch (error) {
    supervisor.kill();
    await embedded?.close();
    throw error;
  }
}

class Supervisor {
  readonly #processes = new Map<number, BrokerProcess>();
  readonly #deaths: number[] = [];
  readonly #restarts = new SharedRestarts(async (why) => this.embedded?.restart(why));
  #stopping = false;
  #http: Awaited<ReturnType<typeof startHttp>> | undefined;
  #broken: (why: string) => void = () => undefined;

  constructor(
    readonly config: Config,
    readonly log: Log,
    readonly embedded: EmbeddedServer | undefined,
  ) {}

  async start(): Promise<RunningProcesses> {
    const { config, log, embedded } = this;
    const share: Share | undefined = embedded && {
      storeDir: embedded.storeDir,
      maxFileStore: embedded.maxFileStore,
    };
    cluster.setupPrimary({ args: share === undefined ? [] : ["--share", JSON.stringify(share)] });
    // One first: it makes the streams, and what does not fit is said once.
    const { grpcPort } = await this.#run(1);
    await Promise.all(Array.from({ length: config.processes - 1 }, (_, i) => this.#run(i + 2)));
    this.#http = await startHttp(
      {
        metrics: { scrape: (accept) => this.#metrics(formatFor(accept)) },
        readiness: () => this.#readiness(),
        log,
      },
      { host: config.httpHost, port: config.httpPort },
    );
    const broken = new Promise<string>((resolve) => {
      this.#broken = resolve;
    });
    return {
      name: config.brokerName,
      grpcPort,
      httpPort: this.#http.port,
      broken,
      stop: () => this.#stop(),
      kill: () => this.kill(),
    };
  }

  kill(): void {
    this.#stopping = true;
    for (const { worker } of this.#processes.values()) worker.process.kill("SIGKILL");
  }

  /** Starts a process, and again whenever it ends. Settles when it is ready. @throws ProcessError when it never is */
  async #run(n: number): Promise<Ports> {
    const name = `${this.config.brokerName}-${n}`;
    const worker = cluster.fork(this.#settings(name));
    const started: BrokerProcess = { name, worker, ready: undefined };
    this.#processes.set(n, started);
    return await new Promise((resolve, reject) => {
      worker.on("message", (told: News) => {
        if ("restartNats" in told) return void this.#restartNats(told.restartNats);
        started.ready = told.ready;
        // What it was started with is from before them.
        if (this.#restarts.times > 0) worker.send(this.#restarted());
        resolve(told.ready);
      });
      worker.once("exit", (code, signal) => {
        const wasReady = started.ready !== undefined;
        started.ready = undefined;
        if (this.#stopping) return reject(new ProcessError(code ?? 1));
        if (!wasReady) reject(new ProcessError(code ?? 1));
        else this.#ended(n, name, signal ?? `exit code ${code}`);
      });
    });
  }

  #settings(name: string): Record<string, string> {
    const own = this.embedded?.target;
    return {
      DROVER_PROCESSES: "1",
      DROVER_BROKER_NAME: name,
      DROVER_HTTP_HOST: "127.0.0.1",
      DROVER_HTTP_PORT: "0",
      ...(own === undefined
        ? {}
        : {
            DROVER_NATS_URL: own.url,
            DROVER_NATS_USER: own.user ?? "",
            DROVER_NATS_PASSWORD: own.password ?? "",
          }),
    };
  }

  #ended(n: number, name: string, how: string): void {
    const now = performance.now();
    this.#deaths.push(now);
    while ((this.#deaths[0] ?? now) < now - processRules.deathsWithin) this.#deaths.shift();
    if (this.#deaths.length > processRules.deaths) {
      this.#broken(
        `broker processes ended ${this.#deaths.length} times within a minute, the last with ${how}`,
      );
      return;
    }
    this.log.error({ process: name, how }, "a broker process ended, and is started again");
    setTimeout(() => {
      if (this.#stopping) return;
      this.#run(n).then(
        () => this.log.info({ process: name }, "a broker process is ready again"),
        // It has said why. Without a pause the next would end as quickly.
        () => this.#stopping || this.#ended(n, name, "an error at its start"),
      );
    }, processRules.pause);
  }

  async #restartNats({ why, known }: { why: string; known: number }): Promise<void> {
    await this.#restarts.ask(why, known);
    for (const { worker } of this.#processes.values())
      if (worker.isConnected()) worker.send(this.#restarted());
  }

  #restarted(): Order {
    const { times } = this.#restarts;
    return { natsRestarted: { maxFileStore: this.embedded?.maxFileStore ?? 0, times } };
  }

  async #metrics(format: Format): Promise<{ type: string; body: string }> {
    const type = contentTypes[format];
    const texts = await Promise.all(
      [...this.#processes.values()].map(async (each) => {
        return { process: each.name, text: (await this.#ask(each, "/metrics", type))?.body };
      }),
    );
    return { type, body: mergeMetrics(format, texts) };
  }

  /** One that is being started again keeps nobody from the others. */
  async #readiness(): Promise<{ ready: boolean; problems: string[] }> {
    if (this.#stopping) return { ready: false, problems: ["stopping"] };
    const processes = [...this.#processes.values()];
    const answers = await Promise.all(processes.map((each) => this.#ask(each, "/readyz")));
    if (answers.some((answer) => answer?.ok === true)) return { ready: true, problems: [] };
    const said = answers.map(
      (answer, i) => `${processes[i]?.name}: ${answer?.body.trim() ?? "does not answer"}`,
    );
    return { ready: false, problems: said };
  }

  async #ask(
    { ready }: BrokerProcess,
    path: string,
    accept = "text/plain",
  ): Promise<{ ok: boolean; body: string } | undefined> {
    if (ready === undefined) return undefined;
    try {
      const signal = AbortSignal.timeout(processRules.answer);
      const url = `http://127.0.0.1:${ready.httpPort}${path}`;
      const answer = await fetch(url, { signal, headers: { accept } });
      return { ok: answer.ok, body: await answer.text() };
    } catch {
      return undefined;
    }
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    const told: Order = { stop: true };
    await Promise.all(
      [...this.#processes.values()].map(async ({ worker, name }) => {
        if (worker.isDead()) return;
        const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
        if (worker.isConnected()) worker.send(told);
        const timer = setTimeout(() => {
          this.log.error({ process: name }, "a broker process did not stop in time, and is killed");
          worker.process.kill("SIGKILL");
        }, this.config.stopTimeout + processRules.stop);
        await ended;
        clearTimeout(timer);
      }),
    );
    await this.#http?.stop();
    await this.embedded?.close();
  }
}
