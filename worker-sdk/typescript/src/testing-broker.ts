// A real broker for a test: on ports of its own, with data of its own, and a worker in the test's process. Nothing is
// mocked, so what passes here passes in production.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { jsonLogger } from "./log.js";
import type { WorkerOptions } from "./options.js";
import { Worker } from "./worker.js";

export interface TestOptions
  extends Omit<WorkerOptions, "address" | "addresses" | "tls" | "credentials" | "namespace"> {
  /** Settings of the broker, `DROVER_...`. With DROVER_NATS_URL it uses that nats-server; else it has one of its own. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface TestDrover {
  /** For `new Client({ address })`. */
  readonly address: string;
  /** Undefined where no tasks were given. */
  readonly worker: Worker | undefined;
  /** Stops the worker and the broker, and removes their data. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The first start may have to fetch a nats-server. */
const START_TIMEOUT = 120_000;
const STOP_TIMEOUT = 10_000;
const KEPT_LINES = 50;

/** Starts a broker, and a worker for `tasks` if there are any (it logs warnings and errors unless told otherwise). Needs
 *  the package @drover/broker. @throws Error with what the broker said when it does not start */
export async function startDrover(options: TestOptions = {}): Promise<TestDrover> {
  const { env = {}, ...workerOptions } = options;
  const folder = mkdtempSync(join(tmpdir(), "drover-test-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const broker = launch({ DROVER_DATA_DIR: folder, ...env });
  const endWithTest = () => broker.kill("SIGKILL");
  process.once("exit", endWithTest);
  const stopBroker = async () => {
    await ended(broker);
    process.off("exit", endWithTest);
    remove();
  };
  try {
    const address = `127.0.0.1:${await portOf(broker)}`;
    const worker = await startWorker(address, workerOptions);
    const stop = async () => {
      await worker?.stop();
      await stopBroker();
    };
    return { address, worker, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stopBroker();
    throw error;
  }
}

/** For vitest's `test.extend({ drover: [droverFixture({ tasks }), { scope: "file" }] })`: one broker and worker for each
 *  file whose tests ask for `drover`. */
export function droverFixture(options: TestOptions = {}) {
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which other fixtures this one needs
  return async ({}: object, use: (drover: TestDrover) => Promise<void>): Promise<void> => {
    const drover = await startDrover(options);
    try {
      await use(drover);
    } finally {
      await drover.stop();
    }
  };
}

async function startWorker(address: string, options: Omit<TestOptions, "env">): Promise<Worker | undefined> {
  if ((options.tasks ?? []).length === 0) return undefined;
  const worker = new Worker({ logger: jsonLogger("warn"), drainTimeout: 1_000, ...options, address });
  await worker.start();
  return worker;
}

function launch(env: Readonly<Record<string, string>>): ChildProcess {
  const inherited = Object.entries(process.env).filter(
    // What is set for somebody's own broker is not for this one, but for which nats-server to run.
    ([name]) => !name.startsWith("DROVER_") || name === "DROVER_NATS_SERVER",
  );
  const settings = { DROVER_GRPC_PORT: "0", DROVER_HTTP_PORT: "0", DROVER_LOG_FORMAT: "json", ...env };
  return spawn(process.execPath, [brokerFile()], {
    env: { ...Object.fromEntries(inherited), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function brokerFile(): string {
  const require = createRequire(import.meta.url);
  try {
    return join(dirname(require.resolve("@drover/broker/package.json")), "dist/main.js");
  } catch {
    throw new Error(
      "a broker for tests needs the package @drover/broker: npm install --save-dev @drover/broker",
    );
  }
}

/** The port of a broker once it is ready. */
function portOf(broker: ChildProcess): Promise<number> {
  const lines: string[] = [];
  return new Promise((resolve, reject) => {
    const fail = (how: string) => {
      clearTimeout(timer);
      reject(new Error(`the broker ${how}:\n${lines.join("\n")}`));
    };
    const timer = setTimeout(() => fail("is not ready in time"), START_TIMEOUT);
    const hear = (line: string) => {
      if (lines.push(line) > KEPT_LINES) lines.shift();
      if (!line.includes('"msg":"ready"')) return;
      clearTimeout(timer);
      resolve((JSON.parse(line) as { grpcPort: number }).grpcPort);
    };
    for (const stream of [broker.stdout, broker.stderr])
      if (stream !== null) createInterface({ input: stream }).on("line", hear);
    broker.once("error", (error) => fail(`could not be run: ${error.message}`));
    broker.once("exit", (code, signal) => fail(`ended with ${code ?? signal}`));
  });
}

async function ended(broker: ChildProcess): Promise<void> {
  if (broker.exitCode !== null || broker.signalCode !== null || broker.pid === undefined) return;
  const gone = once(broker, "exit");
  broker.kill("SIGTERM");
  const timer = setTimeout(() => broker.kill("SIGKILL"), STOP_TIMEOUT);
  await gone;
  clearTimeout(timer);
}
