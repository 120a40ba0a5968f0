// The processes that are measured: brokers with a fresh store each, workers, and what the system accounts to them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../support/paths.mjs";

const ticksPerSecond = 100;
const startPatience = 60_000;
const stopPatience = 30_000;

/** CPU seconds that a process has used, user and system. Linux only: 0 elsewhere. */
export function cpuSeconds(pid) {
  const stat = procFile(pid, "stat");
  if (stat === "") return 0;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** What each of these processes uses over so many seconds from now, in percent of a core. */
export async function cpuPercents(pids, seconds) {
  const before = pids.map(cpuSeconds);
  await sleep(seconds * 1_000);
  return pids.map((pid, i) => ((cpuSeconds(pid) - before[i]) / seconds) * 100);
}

/** Resident memory in bytes. Linux only: 0 elsewhere. */
export function residentBytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(procFile(pid, "status"))?.[1] ?? 0) * 1024;
}

function procFile(pid, name) {
  const path = `/proc/${pid}/${name}`;
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

const running = new Set();

/** What a measure that failed left behind. */
export async function killAll() {
  for (const each of running) each.process.kill("SIGKILL");
  await Promise.all([...running].map((each) => each.ended));
}

export class Running {
  #lines = [];
  #heard = [];

  constructor(program, args, env) {
    this.process = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    this.ended = once(this.process, "exit");
    running.add(this);
    this.process.once("exit", () => running.delete(this));
    createInterface({ input: this.process.stdout }).on("line", (line) => {
      this.#lines.push(line);
      if (this.#lines.length > 100) this.#lines.shift();
      for (const heard of this.#heard) heard(line);
    });
  }

  get pid() {
    return this.process.pid;
  }

  /** The first line that holds `text`. */
  async says(text, within = startPatience) {
    const before = this.#lines.find((line) => line.includes(text));
    if (before !== undefined) return before;
    const line = new Promise((resolve) => this.#heard.push((said) => said.includes(text) && resolve(said)));
    const late = sleep(within, undefined, { ref: false }).then(() => {
      throw new Error(`nothing was heard of ${JSON.stringify(text)} within ${within} ms`);
    });
    const ended = this.ended.then(([code]) => {
      throw new Error(`it ended with ${code}: ${this.#lines.at(-1) ?? "no output"}`);
    });
    return Promise.race([line, late, ended]);
  }

  async stop() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), stopPatience);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Bytes that the files below a folder take on disk. Files and folders come and go while it is looked. */
export function diskBytes(folder) {
  let bytes = 0;
  for (const entry of entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += diskBytes(path);
    else bytes += (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return bytes;
}

function entriesOf(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** A broker with its embedded nats-server and an empty store, every acknowledged write fsynced. */
export class BenchBroker extends Running {
  static async start(env = {}) {
    const data = env.DROVER_DATA_DIR ?? mkdtempSync(join(tmpdir(), "drover-bench-"));
    const settings = {
      DROVER_GRPC_PORT: "0",
      DROVER_HTTP_PORT: "0",
      DROVER_DATA_DIR: data,
      DROVER_SYNC: "always",
      DROVER_LOG_FORMAT: "json",
      ...env,
    };
    const args = ["--max-semi-space-size=32", join(root, "broker/dist/main.js")];
    const broker = new BenchBroker(process.execPath, args, settings);
    broker.data = data;
    const ready = JSON.parse(await broker.says('"msg":"ready"'));
    // A nats-server of somebody else's is watched by whoever started it.
    if (!("DROVER_NATS_URL" in env)) {
      broker.natsPid = JSON.parse(await broker.says("embedded nats-server started")).pid;
    }
    broker.address = `127.0.0.1:${ready.grpcPort}`;
    broker.http = `http://127.0.0.1:${ready.httpPort}`;
    return broker;
  }

  /** What /metrics says, as Prometheus asks for it. */
  async scraped() {
    const accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3";
    const response = await fetch(`${this.http}/metrics`, { headers: { accept } });
    return { type: response.headers.get("content-type"), body: await response.arrayBuffer() };
  }

  /** A counter of /metrics, summed over its labels (and only those lines that match). */
  async counter(name, where = () => true) {
    const text = await (await fetch(`${this.http}/metrics`)).text();
    let sum = 0;
    for (const line of text.split("\n")) {
      if (line.startsWith(name) && where(line)) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
    return sum;
  }

  /** Messages that sweeps have removed of one kind. */
  swept(kind) {
    return this.counter("drover_swept_messages_total", (line) => line.includes(`kind="${kind}"`));
  }

  /** SIGKILL: its data stays until `stop`. */
  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  async stop() {
    await super.stop();
    rmSync(this.data, { recursive: true, force: true });
  }
}

/** A worker process: see worker.mjs. */
export class BenchWorker extends Running {
  static async start(broker, env = {}) {
    const worker = new BenchWorker(process.execPath, [join(root, "test/bench/worker.mjs")], {
      DROVER_ADDRESS: broker.address,
      ...env,
    });
    await worker.says("attached");
    return worker;
  }

  /** What its tasks noted since it was asked last. */
  async samples() {
    const answer = once(this.process, "message");
    this.process.send("samples");
    return (await answer)[0];
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}
