// A command on a terminal of its own, with a size, and somebody who types. The pseudo-terminal is Python's, which is there;
// Node has none.

import { type ChildProcess, spawn } from "node:child_process";
import { until } from "./until.js";

const pty = "import pty,sys,os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
const sized = 'stty cols "$1" rows "$2"; shift 2; exec "$@"';

export interface TerminalOptions {
  columns?: number;
  rows?: number;
  env?: Readonly<Record<string, string>>;
  cwd?: string;
}

export class Terminal {
  readonly #process: ChildProcess;
  #shown = "";
  /** The command's exit code. */
  readonly ended: Promise<number | null>;

  constructor(command: readonly string[], { columns = 80, rows = 24, env = {}, cwd }: TerminalOptions = {}) {
    const size = [String(columns), String(rows)];
    this.#process = spawn("python3", ["-c", pty, "sh", "-c", sized, "sh", ...size, ...command], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PATH: process.env.PATH, HOME: process.env.HOME, TERM: "xterm", ...env },
      ...(cwd !== undefined && { cwd }),
    });
    this.#process.stdout?.on("data", (data: Buffer) => {
      this.#shown += data.toString();
    });
    this.ended = new Promise((resolve) => this.#process.once("close", resolve));
  }

  /** All that was ever written to it, what moves the cursor included. */
  get shown(): string {
    return this.#shown;
  }

  /** The same as lines of text. */
  get lines(): string[] {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is taken out
    return this.#shown.replace(/\u001b\[[?\d;]*[a-zA-Z]/g, "").split(/\r*\n/);
  }

  async shows(what: string | RegExp): Promise<void> {
    const there = () => (typeof what === "string" ? this.#shown.includes(what) : what.test(this.#shown));
    await until(`${what} on the terminal`, there).catch((error: Error) => {
      throw new Error(`${error.message}, which shows ${JSON.stringify(this.#shown)}`);
    });
  }

  type(text: string): void {
    this.#process.stdin?.write(text);
  }

  /** Closes it over whatever still runs on it. */
  close(): void {
    this.#process.kill();
  }
}
