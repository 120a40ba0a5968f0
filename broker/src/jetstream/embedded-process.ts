// One run of the embedded nats-server as a child process that cannot outlive the broker.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
import type { Writable } from "node:stream";
import { messageOf } from "./startup-error.js";

/** The broker holds the other end of file 3 and never writes to it while the server runs. When the broker is gone, in
 *  whatever way, the kernel closes it: the watchdog reads the end and stops the server. A line instead says that the
 *  server has ended by itself, and that its process id may be somebody else's by now.
 *
 *  The shell becomes the server (exec), so the watchdog stands before the server does, and `$$`, which in a subshell is
 *  still the shell's own id, is the server's. File 4 is the data directory's lock, kept open by the server alone. */
const watched = `
(
  trap '' HUP INT TERM
  if read -r over <&3; then exit 0; fi
  kill -TERM $$
  for second in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    kill -0 $$ || exit 0
  done
  kill -KILL $$
) 4<&- >/dev/null 2>&1 &
exec "$1" -c "$2" 3<&-`;

/** Of the broker's environment the server gets this much: no secrets. */
const environment = ["PATH", "HOME", "TMPDIR", "TZ", "ZONEINFO", "GOMAXPROCS", "GOMEMLIMIT", "GOGC"];

/** For what the environment leaves open. A stream is written by one thread at a time, and each more that may run wakes the
 *  others for little: with two on two cores a round trip took a fifth longer [test/bench/README.md]. */
const defaults = { GOMAXPROCS: String(Math.max(1, Math.floor(availableParallelism() / 2))) };

export interface ServerProcessOptions {
  binary: string;
  confFile: string;
  logFile: string;
  port: number;
  lockFd: number;
}

export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #options: ServerProcessOptions;
  readonly #logFrom: number;
  #stderr = "";
  #gone = false;
  /** Settles when the process has ended, with how it did. */
  readonly exited: Promise<string>;

  constructor(options: ServerProcessOptions) {
    this.#options = options;
    this.#logFrom = sizeOf(options.logFile);
    const given = environment.filter((name) => process.env[name] !== undefined);
    const env = { ...defaults, ...Object.fromEntries(given.map((name) => [name, process.env[name]])) };
    this.#child = spawn("/bin/sh", ["-c", watched, "nats-server", options.binary, options.confFile], {
      stdio: ["ignore", "ignore", "pipe", "pipe", options.lockFd],
      env,
      // A group of its own: the Ctrl-C that stops the broker must not stop the server before the broker is done with it.
      detached: true,
    });
    const lifeline = this.#child.stdio[3] as Writable | null | undefined;
    lifeline?.on("error", () => undefined);
    this.#child.stderr?.on("data", (data: Buffer) => {
      this.#stderr = (this.#stderr + data.toString()).slice(-2_000);
    });
    this.exited = new Promise((resolve) => {
      const over = (how: string) => {
        this.#gone = true;
        lifeline?.end("over\n");
        resolve(how);
      };
      this.#child.once("error", (error) => over(error.message));
      this.#child.once("exit", (code, signal) =>
        over(signal === null ? `exit code ${code}` : `signal ${signal}`),
      );
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Waits until the server takes connections, which is when its store is restored.
   *  @throws Error when it ends instead, or takes longer than `within` ms */
  async ready(within: number): Promise<void> {
    const deadline = performance.now() + within;
    for (let wait = 10; !this.#gone; wait = Math.min(250, wait * 1.5)) {
      if (await answers(this.#options.port)) return;
      if (performance.now() > deadline) throw new Error(`no answer within ${within} ms${this.lastWords()}`);
      await Promise.race([this.exited, new Promise((resolve) => setTimeout(resolve, wait))]);
    }
    throw new Error(`${await this.exited}${this.lastWords()}`);
  }

  /** Asks the server to stop, and forces it after `patience` ms. */
  async stop(patience: number): Promise<void> {
    if (this.#gone) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), patience);
    await this.exited;
    clearTimeout(timer);
  }

  /** What the server complained of last in this run, for an error line: empty, or beginning with a colon. */
  lastWords(): string {
    const complaints = readFrom(this.#options.logFile, this.#logFrom)
      .split("\n")
      .filter((line) => /\[(ERR|FTL)\]/.test(line))
      .map((line) => line.replace(/^.*?\[(ERR|FTL)\]\s*/, ""));
    const words = complaints.at(-1) ?? this.#stderr.trim().split("\n").at(-1) ?? "";
    return words === "" ? "" : `: ${words}`;
  }
}

/** Whether a nats-server introduces itself on a local port. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", timeout: 2_000 });
    const done = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once("data", (data: Buffer) => done(data.toString("latin1").startsWith("INFO ")));
    socket.once("timeout", () => done(false));
    socket.once("error", () => done(false));
    socket.once("close", () => done(false));
  });
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** The last 16 KiB of a file, but nothing before an offset (unless the file was rotated meanwhile). */
function readFrom(path: string, offset: number): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    return messageOf(error).includes("ENOENT") ? "" : messageOf(error);
  }
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(size < offset ? 0 : offset, size - 16_384);
    const buffer = Buffer.alloc(size - start);
    return buffer.toString("utf8", 0, readSync(fd, buffer, 0, buffer.length, start));
  } finally {
    closeSync(fd);
  }
}
