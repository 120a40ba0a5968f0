// What the embedded nats-server is told: its configuration file and how much it may store.

import { lstat, readdir, statfs } from "node:fs/promises";
import { join } from "node:path";

export interface EmbeddedConf {
  port: number;
  user: string;
  password: string;
  storeDir: string;
  logFile: string;
  /** `always`, or a duration in Go's spelling such as `1s`. */
  sync: string;
  /** Bytes. */
  maxFileStore: number;
}

/** The text of the configuration file. It holds the password: write it for the owner only. */
export function embeddedConf(conf: EmbeddedConf): string {
  const text = (value: string) => JSON.stringify(value);
  return `# Written anew by the Drover broker at each start of its nats-server.
server_name: "drover-embedded"
# Only this machine can connect, and of its users only those who can read this file.
listen: "127.0.0.1:${conf.port}"
authorization { user: ${text(conf.user)}, password: ${text(conf.password)} }
log_file: ${text(conf.logFile)}
logfile_size_limit: 16MB
logfile_max_num: 3
# A frozen broker's open pulls swallow tickets until they run into ack_wait: it is to be noticed within 15 s.
ping_interval: "5s"
ping_max: 2
jetstream {
  store_dir: ${text(conf.storeDir)}
  sync_interval: ${text(conf.sync)}
  max_file_store: ${conf.maxFileStore}
  # Streams here are file streams; memory is not meant to be used.
  max_memory_store: 67108864
  # The journal keeps two batches open for each shard and broker, and a batch left open by a broker that died counts
  # for 10 s more: the default of 50 a stream is soon used up. A lane is a consumer, and the default of 1,000 a stream
  # counts those that are not lanes, too: how many lanes there may be is for the broker to say.
  limits { batch { max_inflight_per_stream: 1000, max_inflight_total: 10000 }, default_max_consumers: -1 }
}
`;
}

/** How many bytes the server may store.
 *
 *  It must stay below the disk: a write that fails for want of space freezes its stream until the server restarts, while
 *  a write above this limit is merely refused. What the server counts are the messages; consumers, indexes and the dead
 *  parts of files come on top (a file is rewritten when half of it is dead). So a fifth of the free space is left to
 *  them and to other programs. What is stored already counts as room, or the limit would sink as the store fills. */
export async function fileStoreLimit(storeDir: string): Promise<number> {
  const { available } = await diskSpace(storeDir);
  return Math.floor((await sizeOf(storeDir)) + available * 0.8);
}

/** Bytes of the file system that a folder is on: all of them, and those that this user can still write. */
export async function diskSpace(folder: string): Promise<{ total: number; available: number }> {
  const { bsize, blocks, bavail } = await statfs(folder);
  return { total: blocks * bsize, available: bavail * bsize };
}

/** Bytes on disk below a folder. */
async function sizeOf(folder: string): Promise<number> {
  let size = 0;
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    // Sparse and compacted files take less than they are long. A file may be gone by now.
    const stats = await lstat(join(entry.parentPath ?? entry.path, entry.name)).catch(() => undefined);
    size += (stats?.blocks ?? 0) * 512;
  }
  return size;
}
