// The command `drover` in this process, against a broker of its own that has a worker: for the tests of a file.

import { Readable } from "node:stream";
import { Client } from "@drover/client";
import { Permanent, Worker } from "@drover/worker";
import { afterAll, beforeAll } from "vitest";
import { run } from "../../client-sdk/typescript/src/cli/run.js";
import { Broker } from "./broker.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

export class Command {
  broker!: Broker;
  client!: Client;
  #worker: Worker | undefined;
  readonly #held = new Set<() => void>();
  #mayEnd = 0;

  async open(): Promise<void> {
    this.broker = await Broker.start();
    this.client = new Client({ address: this.broker.address });
    const worker = new Worker({ address: this.broker.address, logger: silent, name: "cli-worker" });
    this.#worker = worker;
    worker.task("cli.add", ({ a, b }: { a: number; b: number }) => a + b);
    worker.task("cli.fail", () => {
      throw new Permanent("no \u001b[31mcolours\u001b[0m here");
    });
    worker.task("cli.hold", async (_: unknown, context) => {
      context.progress(0.25, { step: "one" });
      await this.#hold(context.signal);
      context.signal.throwIfAborted();
    });
    await worker.start();
  }

  async close(): Promise<void> {
    await this.#worker?.stop();
    this.client?.close();
    await this.broker?.stop();
  }

  /** One call of the command. */
  async drover(args: string[], input = "") {
    const said = { out: "", err: "" };
    const code = await run(["--address", this.broker.address, ...args], {
      out: { write: (text) => (said.out += text) },
      err: { write: (text) => (said.err += text) },
      in: Readable.from([input]),
      env: {},
      interrupted: new AbortController().signal,
    });
    return { code, ...said };
  }

  /** What it prints for programs. */
  async json(args: string[]) {
    return JSON.parse((await this.drover(["-o", "json", ...args])).out);
  }

  /** Lets one run of cli.hold end, be it there already or not. */
  letOneEnd(): void {
    const [first] = this.#held;
    if (first === undefined) this.#mayEnd++;
    else first();
  }

  async #hold(signal: AbortSignal): Promise<void> {
    if (this.#mayEnd > 0) {
      this.#mayEnd--;
      return;
    }
    await new Promise<void>((resolve) => {
      const end = () => {
        this.#held.delete(end);
        resolve();
      };
      this.#held.add(end);
      signal.addEventListener("abort", end);
    });
  }
}

/** For the top level of a test file. It runs tasks cli.add, cli.fail and cli.hold. */
export function commandOfFile(): Command {
  const command = new Command();
  beforeAll(() => command.open());
  afterAll(() => command.close());
  return command;
}
