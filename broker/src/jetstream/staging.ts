// Where nats-server stages a batch before it commits it. A stream of one replica does that in a folder that is made for
// the batch and removed after it, and syncs what goes in: five waits for the disk, for something thrown away, and then
// the one that the batch is about. So the folder of a batch that may be staged in memory is made here beforehand, as a
// link into a file system that is kept there. [jetstream_batching.go, newBatchStore; tried with strace]
//
// What is given up: a batch that is being committed when the machine loses power may be stored in part, where the server
// would otherwise make it whole from what it staged. Nothing of it was acknowledged, and each message stored of a batch
// whose changes are one message each is a change stored whole. Others stay on the disk. A server that is killed finds
// what it staged where it was, in memory or not.

import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";

export interface Staging {
  /** Has a batch staged in memory, if there is room for it. To be called before its first message is sent. */
  inMemory(stream: string, batch: string, bytes: number): void;
  close(): void;
}

export const stagingRules = {
  /** A file system in memory that every Linux has. */
  folder: "/dev/shm",
  /** Bytes that may be staged there at once, by each broker process: a full journal and what the server is removing. */
  most: 24 * 1024 * 1024,
  /** Free bytes below which it is left alone. A container has 64 MB unless it is told otherwise. */
  least: 48 * 1024 * 1024,
  /** What a message takes there beyond its own bytes. */
  perMessage: 128,
  /** A batch that the server has not begun or ended by then never came to it, ms: it gives up an open one after 10 s. */
  lost: 300_000,
} as const;

const tmpfs = 0x01021994;
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Undefined: there is no such file system, or it is not ours to use. `storeDir` is the embedded server's. */
export function openStaging(
  storeDir: string,
  folder: string = stagingRules.folder,
  now: () => number = () => performance.now(),
): Staging | undefined {
  try {
    const { type, bsize, bavail } = statfsSync(folder);
    if (type !== tmpfs || bsize * bavail < stagingRules.least) return undefined;
    return new MemoryStaging(storeDir, mkdtempSync(join(ownFolder(storeDir, folder), "broker-")), now);
  } catch {
    return undefined;
  }
}

/** Removes what brokers left that were killed. Not while a server has yet to restore from it. */
export function clearStaging(storeDir: string, folder: string = stagingRules.folder): void {
  const path = pathOf(storeDir, folder);
  if (!existsSync(path) || !isOurs(path)) return;
  for (const left of readdirSync(path)) rmSync(join(path, left), { recursive: true, force: true });
}

class MemoryStaging implements Staging {
  /** Link -> what it leads to, until the server has removed the one. */
  readonly #placed = new Map<string, { target: string; bytes: number; at: number }>();
  #bytes = 0;
  #next = 0;
  #clearing = false;

  constructor(
    readonly storeDir: string,
    readonly folder: string,
    readonly now: () => number,
  ) {}

  inMemory(stream: string, batch: string, bytes: number): void {
    if (this.#bytes + bytes > stagingRules.most) this.#clear();
    else this.#clearSoon();
    if (this.#bytes + bytes > stagingRules.most) return;
    const batches = join(this.storeDir, "jetstream/$G/streams", stream, "batches");
    const link = join(batches, folderOf(batch));
    const target = join(this.folder, (this.#next++).toString(36));
    try {
      mkdirSync(target, { mode: 0o700 });
      lead(link, target, batches);
    } catch {
      // It is staged on the disk then.
      rmSync(target, { recursive: true, force: true });
      return;
    }
    this.#placed.set(link, { target, bytes, at: this.now() });
    this.#bytes += bytes;
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
    try {
      rmdirSync(dirname(this.folder));
    } catch {
      // Another process of this store's is still there.
    }
  }

  /** Behind the batch that goes out now: it need not wait for that. */
  #clearSoon(): void {
    if (this.#clearing) return;
    this.#clearing = true;
    setImmediate(() => {
      this.#clearing = false;
      this.#clear();
    });
  }

  /** The server answers a commit before it removes the folder, and removes no more of a link than the link. */
  #clear(): void {
    for (const [link, { target, bytes, at }] of this.#placed) {
      if (this.now() - at > stagingRules.lost) rmSync(link, { force: true });
      if (isThere(link)) continue;
      try {
        remove(target);
      } catch {
        // Somebody else cleared up here, or the server is not done after all.
        rmSync(target, { recursive: true, force: true });
      }
      this.#placed.delete(link);
      this.#bytes -= bytes;
    }
  }
}

/** The server removes the folder that the link lies in whenever it starts. @throws Error */
function lead(link: string, target: string, batches: string): void {
  try {
    symlinkSync(target, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    mkdirSync(batches, { recursive: true, mode: 0o700 });
    symlinkSync(target, link);
  }
}

/** rmSync looks at each file three times before it removes it; here a batch's few are known to be the server's. */
function remove(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) remove(path);
    else unlinkSync(path);
  }
  rmdirSync(folder);
}

function isThere(link: string): boolean {
  return lstatSync(link, { throwIfNoEntry: false }) !== undefined;
}

/** Everybody can write to the folder above: nobody else's is used. @throws Error */
function ownFolder(storeDir: string, folder: string): string {
  const path = pathOf(storeDir, folder);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (!isOurs(path)) throw new Error(`${path} is somebody else's`);
  return path;
}

/** A folder of this user's alone, who need not have a name on this machine. */
function isOurs(path: string): boolean {
  const { uid, mode } = lstatSync(path);
  return uid === process.getuid?.() && (mode & 0o077) === 0;
}

/** The same for every process that uses the store, and for the next one. By what the store's folder is, not by its name:
 *  two containers that share this memory may both call theirs /data. */
function pathOf(storeDir: string, folder: string): string {
  const { dev, ino } = statSync(storeDir);
  return join(folder, `drover-${dev.toString(36)}-${ino.toString(36)}`);
}

/** What the server calls a batch's folder. [events.go, getHash] */
export function folderOf(batch: string): string {
  const hash = createHash("sha256").update(batch).digest().subarray(0, 8);
  return Array.from(hash, (byte) => digits[byte % digits.length]).join("");
}
