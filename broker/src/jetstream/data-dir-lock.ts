// Keeps two brokers out of one data directory. Two nats-servers on the same files destroy them, so the lock has to be
// held for as long as the server lives, which after a SIGKILL of the broker is a moment longer than the broker: it is a
// kernel lock (flock) on an open file that the broker shares with its nats-server, and the kernel gives it back when the
// last of the two is gone. Nothing stale can stay behind, and containers that share a volume keep each other out.
//
// Node has no flock, but the lock belongs to the open file, not to the process that takes it: so a helper that inherits
// the file takes it, and ends.

import { spawn } from "node:child_process";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import type { Log } from "../app/telemetry.js";
import { messageOf, StartupError } from "./startup-error.js";

/** Exit code 0 = locked, 1 = somebody else has it, 69 = no tool for it here. File 3 is the one to lock. */
const takeLock = `
if command -v flock >/dev/null 2>&1; then exec flock -n -x 3; fi
if command -v perl >/dev/null 2>&1; then
  exec perl -e 'use Fcntl ":flock"; open(my $f, "+<&=", 3) or exit 69; exit(flock($f, LOCK_EX | LOCK_NB) ? 0 : 1)'
fi
if command -v python3 >/dev/null 2>&1; then
  exec python3 -c 'import fcntl, sys
try: fcntl.flock(3, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: sys.exit(1)
except OSError: sys.exit(69)'
fi
exit 69`;

const retryEvery = 100;

export class DataDirLock {
  private constructor(
    /** The open file that holds the lock, to be inherited by the nats-server. */
    readonly fd: number,
  ) {}

  /** Waits up to `patience` ms for a predecessor to be gone.
   *  @throws StartupError when another broker has it */
  static async take(path: string, log: Log, patience = 10_000): Promise<DataDirLock> {
    let fd: number;
    try {
      fd = openSync(path, "a+", 0o600);
    } catch (error) {
      throw new StartupError(`the data directory cannot be used: ${messageOf(error)}`);
    }
    try {
      await lock(fd, path, log, patience);
      ftruncateSync(fd);
      writeSync(fd, `process ${process.pid} on ${hostname()}\n`);
      return new DataDirLock(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  release(): void {
    closeSync(this.fd);
  }
}

async function lock(fd: number, path: string, log: Log, patience: number): Promise<void> {
  const deadline = performance.now() + patience;
  for (let first = true; ; first = false) {
    const code = await helper(fd);
    if (code === 0) return;
    if (code !== 1) {
      log.warn(
        { path },
        "the data directory cannot be locked here (no flock, perl or python3): start one broker only",
      );
      return;
    }
    const holder = readFileSync(path, "utf8").trim() || "another broker";
    if (performance.now() >= deadline) {
      throw new StartupError(
        `the data directory of ${path} is in use by ${holder}: stop it, or give this broker another DROVER_DATA_DIR ` +
          "(brokers that are to work together need one nats-server, see DROVER_NATS_URL)",
      );
    }
    if (first) log.info({ path, holder }, "waiting for another broker to leave the data directory");
    await new Promise((resolve) => setTimeout(resolve, retryEvery));
  }
}

function helper(fd: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", takeLock], { stdio: ["ignore", "ignore", "ignore", fd] });
    child.once("error", (error) => reject(new StartupError(`/bin/sh cannot be run: ${error.message}`)));
    child.once("exit", resolve);
  });
}
