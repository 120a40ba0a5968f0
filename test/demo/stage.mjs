// The processes of the show: a broker with its data in a temporary folder, workers, and the end of all of them, whatever
// happens. Each is a process group of its own, so that Ctrl-C reaches the show alone, which then ends them in order.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../support/paths.mjs";
import { dim } from "../support/progress.mjs";

/** For a process to get ready, or to finish what it is at and end, ms. */
const patience = 25_000;
/** The same for workers when somebody pressed Ctrl-C. */
const hurried = 1_500;
const keptLines = 40;

export class Stage {
  /** By name: the broker and the workers. */
  #players = new Map();
  #data = mkdtempSync(join(tmpdir(), "drover-demo-"));
  #address = "";
  #closing;

  constructor() {
    // The last resort: whoever still runs when this process ends.
    process.on("exit", () => {
      for (const player of this.#players.values()) if (!player.ended) player.kill("SIGKILL");
      rmSync(this.#data, { recursive: true, force: true });
    });
  }

  /** `host:port` of the broker. */
  get address() {
    return this.#address;
  }

  async startBroker() {
    const broker = this.#start("broker", [process.execPath, join(root, "broker/dist/main.js")], {
      DROVER_GRPC_PORT: "0",
      DROVER_HTTP_PORT: "0",
      DROVER_DATA_DIR: this.#data,
      DROVER_LOG_FORMAT: "json",
    });
    const ready = await broker.says((line) => line.includes('"msg":"ready"'));
    this.#address = `127.0.0.1:${JSON.parse(ready).grpcPort}`;
  }

  /** `command`: a program and its arguments. */
  startWorker(name, command) {
    this.#start(name, command, { DROVER_ADDRESS: this.#address, WORKER_NAME: name });
  }

  /** `{ name, pid }` of each. */
  get workers() {
    const [, ...workers] = this.#players.values();
    return workers.map(({ name, process }) => ({ name, pid: process.pid }));
  }

  signal(name, signal) {
    this.#players.get(name).kill(signal);
  }

  /** @throws Error when somebody has ended who was not told to */
  checkAlive() {
    const fallen = [...this.#players.values()].filter(({ ended, dismissed }) => ended && !dismissed);
    if (fallen.length > 0) throw new Error(fallen.map(obituary).join("; "));
  }

  tellLastWords() {
    for (const { name, lines } of this.#players.values())
      console.log(dim(`${name}:\n  ${lines.join("\n  ")}`));
  }

  /** Ends everybody in good order, the broker last. Tells what did not go as it should. */
  close({ hurry = false } = {}) {
    this.#closing ??= this.#close(hurry ? hurried : patience);
    return this.#closing;
  }

  async #close(within) {
    const [broker, ...workers] = this.#players.values();
    const complaints = await Promise.all(workers.map((worker) => dismiss(worker, within)));
    if (broker !== undefined) complaints.push(await dismiss(broker, patience));
    return complaints.filter((complaint) => complaint !== undefined);
  }

  #start(name, command, env) {
    if (this.#closing !== undefined) throw new Error(`${name} comes too late: all is being ended`);
    const player = new Player(name, command, env);
    this.#players.set(name, player);
    return player;
  }
}

class Player {
  lines = [];
  dismissed = false;
  #listeners = new Set();

  constructor(name, [program, ...args], env) {
    this.name = name;
    this.process = spawn(program, args, {
      env: { ...withoutSettings(process.env), ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.process.on("error", (error) => this.#hear(error.message));
    for (const stream of [this.process.stdout, this.process.stderr])
      createInterface({ input: stream }).on("line", (line) => this.#hear(line));
  }

  get ended() {
    return (
      this.process.pid === undefined || this.process.exitCode !== null || this.process.signalCode !== null
    );
  }

  kill(signal) {
    if (signal === "SIGKILL") this.dismissed = true;
    if (!this.ended) this.process.kill(signal);
  }

  /** The first line that fits. @throws Error when the process ends before, or takes too long */
  says(fits) {
    return new Promise((resolve, reject) => {
      const give = (settle, value) => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        settle(value);
      };
      const fail = (what) => give(reject, new Error(`${this.name} ${what}:\n${this.lines.join("\n")}`));
      const listener = (line) => fits(line) && give(resolve, line);
      const timer = setTimeout(() => fail("does not get ready"), patience);
      this.#listeners.add(listener);
      this.process.once("close", () => fail("ended at once"));
    });
  }

  #hear(line) {
    this.lines.push(line);
    if (this.lines.length > keptLines) this.lines.shift();
    for (const listener of this.#listeners) listener(line);
  }
}

async function dismiss(player, within) {
  if (player.ended) return player.dismissed ? undefined : obituary(player);
  player.dismissed = true;
  const gone = once(player.process, "exit").then(() => true);
  player.kill("SIGTERM");
  const late = new AbortController();
  const inTime = await Promise.race([gone, sleep(within, false, { signal: late.signal })]);
  late.abort();
  if (inTime) return player.process.exitCode === 0 ? undefined : obituary(player);
  player.kill("SIGKILL");
  await gone;
  return `${player.name} did not stop within ${within / 1000} s`;
}

const obituary = ({ name, process: { exitCode, signalCode } }) =>
  `${name} ended with ${signalCode ?? `exit code ${exitCode}`}`;

/** The environment without what is set for somebody's own broker. */
function withoutSettings(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith("DROVER_") || name === "DROVER_NATS_SERVER"),
  );
}
