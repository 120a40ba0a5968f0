import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { JsApi } from "../../broker/src/jetstream/api.js";
import { Connection } from "../../broker/src/jetstream/connect.js";
import { EmbeddedServer } from "../../broker/src/jetstream/embedded.js";
import type { NatsTarget } from "../../broker/src/jetstream/nats-target.js";
import { provision } from "../../broker/src/jetstream/provision.js";
import { StorageMonitor, type StorageOptions } from "../../broker/src/jetstream/storage.js";
import { NatsServer } from "../support/nats.js";
import { QuietLog } from "../support/quiet-log.js";

const MiB = 1024 * 1024;
let log: QuietLog;
let dir: string;
const closing: (() => unknown)[] = [];

beforeEach(() => {
  log = new QuietLog();
  dir = mkdtempSync(join(tmpdir(), "drover-storage-"));
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(dir, { recursive: true, force: true });
});

/** For what a server does that is there: machines may be busy, ms. */
const patience = 20_000;

/** A namespace with one shard, and a way to fill it. */
async function namespace(target: NatsTarget) {
  const connection = await Connection.open({ target, name: "storage-test", log, within: patience });
  closing.push(() => connection.close());
  const api = new JsApi(connection.nc);
  await provision({ connection, api, log, namespace: "full", shards: 1, replicas: 1 });
  let n = 0;
  /** The server's answer to one more message of some bytes: undefined = stored. */
  const write = async (bytes: number) => {
    n += 1;
    const answer = await connection.nc.request(`drover.full.0.m${n}`, Buffer.alloc(bytes), {
      timeout: 5_000,
    });
    return answer.json<{ error?: { err_code: number } }>().error?.err_code;
  };
  const purge = () => api.request("STREAM.PURGE.DROVER_full_0", { filter: "drover.full.0.>" });
  const monitor = (more: Partial<StorageOptions> = {}) => {
    const shards = [{ stream: "DROVER_full_0", prefix: "drover.full.0" }];
    const made = new StorageMonitor({ api, log, shards, replicas: 1, ...more });
    closing.push(() => made.close());
    return made;
  };
  return { connection, api, write, purge, monitor };
}

async function startEmbedded(dataDir: string, maxFileStore?: number): Promise<EmbeddedServer> {
  const limit = maxFileStore === undefined ? {} : { maxFileStore };
  const server = await EmbeddedServer.start({ dataDir, sync: "always", log, lockPatience: 0, ...limit });
  closing.push(() => server.close());
  return server;
}

describe("the store is full", () => {
  test("above the high-water share of an embedded server's limit, until it is well below", async () => {
    const own = await startEmbedded(dir, 4 * MiB);
    const { write, purge, monitor } = await namespace(own.target);
    const gauge = monitor({ own });
    await gauge.start();
    expect(gauge.full).toBe(false);
    expect(gauge.problem).toBe(undefined);
    const fillTo = async (share: number) => {
      while ((gauge.view?.used ?? 0) < share * 4 * MiB) {
        expect(await write(32 * 1024)).toBe(undefined);
        await gauge.poll();
      }
    };
    await fillTo(0.87);
    expect(gauge.full).toBe(false);
    await fillTo(0.9);
    expect(gauge.full).toBe(true);
    // Outcomes and retries still find room.
    expect(await write(1_000)).toBe(undefined);
    expect(gauge.view).toMatchObject({ limit: 4 * MiB, streams: [{ stream: "DROVER_full_0" }] });
    await purge();
    await gauge.poll();
    expect(gauge.full).toBe(false);
    expect(log.lines.map(({ message }) => message)).toContain("the store has room again: submits are taken");
  });

  test("above the share of the account's limit", async () => {
    const accounts = `accounts { A { jetstream { max_file: 2000000 }, users: [ { user: a, password: a } ] } }`;
    const nats = await NatsServer.start({ conf: accounts });
    closing.push(() => nats.stop());
    const { write, monitor } = await namespace({ url: nats.url, user: "a", password: "a" });
    const gauge = monitor({ highWater: 0.5 });
    while ((gauge.view?.used ?? 0) < 1_000_000) {
      expect(gauge.full).toBe(false);
      await write(100_000);
      await gauge.poll();
    }
    expect(gauge.full).toBe(true);
    expect(gauge.view?.limit).toBe(2_000_000);
  });

  test("when the server refuses a write for want of space", async () => {
    const nats = await NatsServer.start({ jetstream: "max_file_store: 1MB" });
    closing.push(() => nats.stop());
    const { write, monitor } = await namespace({ url: nats.url });
    const gauge = monitor();
    await gauge.start();
    let refused: number | undefined;
    while (refused === undefined) refused = await write(100_000);
    // No API tells the limit of a whole server.
    await gauge.poll();
    expect([gauge.full, gauge.view?.limit]).toEqual([false, undefined]);
    gauge.refused(refused);
    expect(gauge.full).toBe(true);
    gauge.refused(10071);
  });
});

test("JetStream that does not answer is a problem, until it does", async () => {
  const nats = await NatsServer.start();
  closing.push(() => nats.stop());
  const { connection, monitor } = await namespace({ url: nats.url });
  const gauge = monitor({ every: 100, api: new JsApi(connection.nc, undefined, 1_000) });
  await gauge.start();
  await nats.kill("SIGKILL");
  await vi.waitFor(() => expect(gauge.problem).toMatch(/^JetStream does not answer/), { timeout: patience });
  const again = new Promise((resolve) => connection.onConnected(resolve));
  await nats.restart();
  await again;
  await vi.waitFor(() => expect(gauge.problem).toBe(undefined), { timeout: patience });
});

/** A small disk of its own, where the system lets us have one. */
function mountDisk(folder: string, MB: number): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${MB}m`, "tmpfs", folder], { stdio: "ignore" });
  } catch {
    return false;
  }
  closing.push(() => execFileSync("umount", ["-l", folder]));
  return true;
}

describe("a disk that is full", () => {
  test("closes the door to submits before the server notices", async ({ skip }) => {
    if (!mountDisk(dir, 64)) return skip();
    const own = await startEmbedded(dir);
    expect(own.maxFileStore).toBeLessThan(64 * MiB);
    const { write, monitor } = await namespace(own.target);
    const gauge = monitor({ own });
    await gauge.start();
    expect(gauge.full).toBe(false);
    writeFileSync(join(dir, "ballast"), Buffer.alloc(61 * MiB));
    await gauge.poll();
    expect(gauge.full).toBe(true);
    expect(await write(1_000)).toBe(undefined);
    unlinkSync(join(dir, "ballast"));
    await gauge.poll();
    expect(gauge.full).toBe(false);
  });

  test("freezes a stream; an embedded server is restarted once there is space", { timeout: 60_000 }, async ({
    skip,
  }) => {
    if (!mountDisk(dir, 64)) return skip();
    // A limit that the disk does not have, so that it is the disk that refuses.
    const own = await startEmbedded(dir, 10 * 1024 * MiB);
    const { connection, write, api, monitor } = await namespace(own.target);
    const gauge = monitor({ own, every: 100 });
    await gauge.start();
    const { pid } = own;
    writeFileSync(join(dir, "ballast"), Buffer.alloc(56 * MiB));
    let kept = 0;
    while ((await write(100_000).catch(() => 408)) === undefined) kept += 1;
    gauge.suspect();
    await vi.waitFor(
      () => expect(gauge.problem).toMatch(/takes no more writes \(.*no space left on device/),
      { timeout: patience },
    );
    // No space, no restart.
    for (let i = 0; i < 3; i += 1) await gauge.poll();
    expect(own.pid).toBe(pid);
    const again = new Promise((resolve) => connection.onConnected(resolve));
    unlinkSync(join(dir, "ballast"));
    await again;
    await vi.waitFor(() => expect(gauge.problem).toBe(undefined), { timeout: patience });
    expect(own.pid).not.toBe(pid);
    expect((await api.stream("DROVER_full_0")).state.messages).toBeGreaterThanOrEqual(kept);
    expect(await write(1_000)).toBe(undefined);
    expect(log.lines.map(({ message }) => message)).toContain("the store can be written again");
  });

  test("refuses to hold a new store in one line", async ({ skip }) => {
    if (!mountDisk(dir, 1)) return skip();
    try {
      writeFileSync(join(dir, "ballast"), Buffer.alloc(2 * MiB));
    } catch {
      // Full, as it should be.
    }
    await expect(startEmbedded(dir)).rejects.toThrow(/^[^\n]*(ENOSPC|no space)[^\n]*$/);
  });
});
