// One bootstrap at a time in one checkout: two `npm ci` side by side break each other.
import { mkdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cache } from "./paths.mjs";

// A symbolic link to the holder's process id: made and filled in one step, so there is no lock without a holder.
const lock = join(cache, "bootstrap.lock");

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Takes the lock, or tells who has it. */
function acquire() {
  mkdirSync(cache, { recursive: true });
  try {
    symlinkSync(String(process.pid), lock);
    return undefined;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  try {
    const holder = Number(readlinkSync(lock));
    // Whoever died with the lock has left it to the next.
    if (!alive(holder)) rmSync(lock, { force: true });
    return holder;
  } catch {
    return "unknown"; // Given back in the meantime.
  }
}

export async function withLock(work) {
  for (let waits = 0, holder = acquire(); holder !== undefined; waits++, holder = acquire()) {
    if (waits === 10) console.log(`· waiting for process ${holder}, which has .drover/bootstrap.lock ...`);
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}
