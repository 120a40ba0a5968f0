// A worker of a test's own: journaling-worker.mjs as a process that can be killed and frozen.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { within } from "./waiting.js";

const program = fileURLToPath(new URL("journaling-worker.mjs", import.meta.url));
const attachWithin = 60_000;
const stopWithin = 60_000;

export interface WorkerOptions {
  addresses: readonly string[];
  /** Where it writes down what it does. */
  journal: string;
  concurrency?: number;
  prefetch?: number;
  /** Its handlers never end. */
  stall?: boolean;
  /** ms. */
  drainTimeout?: number;
}

export class WorkerProcess {
  /** Address of the broker it attached to last, and how many leases it took along. */
  attachedTo: { address: string; held: number } | undefined;
  /** How often it attached. */
  attachments = 0;
  readonly #complaints: string[] = [];
  #heard: () => void = () => undefined;

  private constructor(
    readonly process: ChildProcess,
    readonly options: WorkerOptions,
  ) {
    const { stdout, stderr } = process;
    if (stdout === null || stderr === null) throw new Error("a worker without output");
    createInterface({ input: stdout }).on("line", (line) => {
      const [word, address = "", held = "0"] = line.split(" ");
      if (word !== "attached") return;
      this.attachedTo = { address, held: Number(held) };
      this.attachments++;
      this.#heard();
    });
    createInterface({ input: stderr }).on("line", (line) => this.#complaints.push(line));
  }

  /** Settles at once; `attached` tells when it can work. */
  static spawn(options: WorkerOptions): WorkerProcess {
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new WorkerProcess(child, options);
  }

  static async start(options: WorkerOptions): Promise<WorkerProcess> {
    const worker = WorkerProcess.spawn(options);
    await worker.attached(1);
    return worker;
  }

  get pid(): number {
    const { pid } = this.process;
    if (pid === undefined) throw new Error("the worker did not start");
    return pid;
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Once it has attached `times` times in all. */
  async attached(times: number): Promise<void> {
    const attached = new Promise<void>((resolve) => {
      const look = () => {
        if (this.attachments >= times) resolve();
      };
      this.#heard = look;
      look();
    });
    const ended = once(this.process, "exit").then(() => {
      throw new Error(`the worker ended (${this.process.exitCode}):\n${this.#complaints.join("\n")}`);
    });
    await within(attachWithin, "the worker attaches", Promise.race([attached, ended]));
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Ends it and waits until it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (!this.running) return;
    const gone = once(this.process, "exit");
    this.signal(signal);
    await within(stopWithin, `the worker ends at ${signal}`, gone);
  }

  /** Stops it in good order. Its exit code. */
  async stop(): Promise<number | null> {
    await this.kill("SIGTERM");
    return this.process.exitCode;
  }
}
