import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { JsApi } from "../../broker/src/jetstream/api.js";
import { Connection } from "../../broker/src/jetstream/connect.js";
import { EmbeddedServer } from "../../broker/src/jetstream/embedded.js";
import { diskSpace } from "../../broker/src/jetstream/embedded-conf.js";
import { findNatsServer } from "../../broker/src/jetstream/nats-binary.js";
import type { NatsTarget } from "../../broker/src/jetstream/nats-target.js";
import { StartupError } from "../../broker/src/jetstream/startup-error.js";
import { QuietLog } from "../support/quiet-log.js";

/** Machines may be busy, ms. */
const patience = 20_000;
let dataDir: string;
let log: QuietLog;
const closing: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "drover-embedded-"));
  log = new QuietLog();
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(dataDir, { recursive: true, force: true });
});

async function startServer(): Promise<EmbeddedServer> {
  const server = await EmbeddedServer.start({ dataDir, sync: "always", log, lockPatience: 0 });
  closing.push(() => server.close());
  return server;
}

async function open(target: NatsTarget): Promise<Connection> {
  const connection = await Connection.open({ target, name: "embedded-test", log, within: patience });
  closing.push(() => connection.close());
  return connection;
}

/** A stream with one message, the way everything of value is stored. */
async function store(connection: Connection): Promise<void> {
  await new JsApi(connection.nc).request("STREAM.CREATE.KEPT", { name: "KEPT", subjects: ["kept"] });
  await connection.nc.request("kept", "value", { timeout: patience });
}

const stored = async (connection: Connection) =>
  (await new JsApi(connection.nc).stream("KEPT")).state.messages;

const connectedAgain = (connection: Connection) =>
  new Promise<number>((resolve) => {
    connection.onConnected(resolve);
  });

const lives = (pid: number | undefined) => {
  try {
    process.kill(pid ?? 0, 0);
    // What was killed but not waited for is still in the table.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
};

const gone = (pid: number | undefined, within: number) =>
  vi.waitFor(() => expect(lives(pid)).toBe(false), { timeout: within, interval: 20 });

/** Another process with a server of its own on our data directory. */
async function startOwner(): Promise<{
  owner: ChildProcess;
  said: { pid?: number; target?: NatsTarget; error?: string };
}> {
  const script = fileURLToPath(new URL("../support/embedded-owner.mjs", import.meta.url));
  const owner = spawn(process.execPath, [script, dataDir], {
    stdio: ["ignore", "pipe", "inherit"],
    // Of a process group of its own, as from a terminal.
    detached: true,
  });
  closing.push(async () => owner.kill("SIGKILL"));
  for await (const line of createInterface({ input: owner.stdout })) return { owner, said: JSON.parse(line) };
  throw new Error("the owner said nothing");
}

describe("the server runs on", () => {
  const threads = (pid: number | undefined) =>
    /GOMAXPROCS=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, "utf8"))?.[1];

  afterEach(() => vi.unstubAllEnvs());

  test("half of the cores, and on one of one", async () => {
    vi.stubEnv("GOMAXPROCS", undefined);
    const half = Math.max(1, Math.floor(availableParallelism() / 2));
    expect(threads((await startServer()).pid)).toBe(String(half));
  });

  test("as many as its operator says", async () => {
    vi.stubEnv("GOMAXPROCS", "3");
    expect(threads((await startServer()).pid)).toBe("3");
  });
});

describe("an embedded nats-server", () => {
  test("keeps its data when the broker is restarted", async () => {
    const first = await EmbeddedServer.start({ dataDir, sync: "always", log });
    const connection = await open(first.target);
    await store(connection);
    await connection.close();
    const { pid } = first;
    await first.close();
    expect(lives(pid)).toBe(false);
    expect(first.pid).toBe(undefined);
    const second = await startServer();
    expect(await stored(await open(second.target))).toBe(1);
  });

  test("lets nobody in who cannot read its files", async () => {
    const { target } = await startServer();
    const stranger = Connection.open({
      target: { url: target.url },
      name: "stranger",
      log,
      within: patience,
    });
    await expect(stranger).rejects.toThrow(/refuses the broker/);
    expect(statSync(join(dataDir, "nats-server.conf")).mode & 0o077).toBe(0);
    expect(readFileSync(join(dataDir, "nats-server.conf"), "utf8")).toContain('listen: "127.0.0.1:');
  });

  test("stores less than the disk has room for, and takes 1000 open batches", async () => {
    const server = await startServer();
    const { available } = await diskSpace(dataDir);
    expect(server.maxFileStore).toBeLessThan(available * 0.9);
    expect(server.maxFileStore).toBeGreaterThan(available * 0.7);
    const { nc } = await open(server.target);
    const api = new JsApi(nc);
    await api.request("STREAM.CREATE.B", { name: "B", subjects: ["b.*"], allow_atomic: true });
    const { headers } = await import("nats");
    const answers = [];
    for (let i = 0; i < 200; i += 1) {
      const first = headers();
      first.set("Nats-Batch-Id", `batch-${i}`);
      first.set("Nats-Batch-Sequence", "1");
      answers.push(nc.request(`b.${i}`, "x", { headers: first, timeout: patience }));
    }
    for (const answer of await Promise.all(answers)) expect(answer.string()).toBe("");
  });

  test("comes back on the same port when it is killed, and the connection with it", async () => {
    const server = await startServer();
    const connection = await open(server.target);
    await store(connection);
    const { target, pid } = server;
    let lost = 0;
    connection.onDisconnected(() => {
      lost += 1;
    });
    const again = connectedAgain(connection);
    process.kill(pid ?? 0, "SIGKILL");
    expect(await again).toBe(2);
    expect(lost).toBe(1);
    expect(server.target).toEqual(target);
    expect(server.pid).not.toBe(pid);
    expect(await stored(connection)).toBe(1);
    expect(log.lines.map(({ message }) => message)).toContain("the embedded nats-server ended by itself");
  });

  test("comes back however often it is killed", async () => {
    const server = await startServer();
    const connection = await open(server.target);
    for (let round = 0; round < 3; round += 1) {
      const again = connectedAgain(connection);
      process.kill(server.pid ?? 0, "SIGKILL");
      await again;
    }
    await store(connection);
  });

  test("is restarted on request", async () => {
    const server = await startServer();
    const connection = await open(server.target);
    await store(connection);
    const { pid } = server;
    const again = connectedAgain(connection);
    await Promise.all([server.restart("a test"), server.restart("another test")]);
    expect(server.pid).not.toBe(pid);
    await again;
    expect(await stored(connection)).toBe(1);
    expect(log.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("can be closed while it is being restarted", async () => {
    const server = await startServer();
    const restarted = server.restart("a test");
    await server.close();
    await restarted;
    expect(server.pid).toBe(undefined);
  });
});

describe("an embedded nats-server never outlives its broker", () => {
  test("that is killed", async () => {
    const { owner, said } = await startOwner();
    const connection = await open(said.target as NatsTarget);
    await store(connection);
    await connection.close();
    expect(lives(said.pid)).toBe(true);
    owner.kill("SIGKILL");
    await gone(said.pid, patience);
    // It was stopped, not killed, and its data is there for the next.
    expect(readFileSync(join(dataDir, "nats-server.log"), "utf8")).toContain("Server Exiting");
    const next = await EmbeddedServer.start({ dataDir, sync: "always", log });
    closing.push(() => next.close());
    expect(await stored(await open(next.target))).toBe(1);
  });

  test("that is stopped", async () => {
    const { owner, said } = await startOwner();
    const exit = once(owner, "exit");
    owner.kill("SIGTERM");
    expect((await exit)[0]).toBe(0);
    expect(lives(said.pid)).toBe(false);
  });

  test("and does not die before it when both get a Ctrl-C", async () => {
    const { owner, said } = await startOwner();
    const interrupted = once(owner.stdout ?? owner, "data");
    process.kill(-(owner.pid ?? 0), "SIGINT");
    expect(String(await interrupted)).toContain("interrupted");
    const connection = await open(said.target as NatsTarget);
    await store(connection);
    expect(lives(said.pid)).toBe(true);
  });

  test("not even when it does not listen to reason", async () => {
    const { owner, said } = await startOwner();
    process.kill(said.pid ?? 0, "SIGSTOP");
    owner.kill("SIGKILL");
    await gone(said.pid, 10_000 + patience);
  });
});

describe("a data directory", () => {
  test("is used by one broker at a time", async () => {
    const { owner } = await startOwner();
    const second = await startOwner();
    expect(second.said.error).toMatch(
      new RegExp(
        `in use by process ${owner.pid} on .*: stop it, or give this broker another DROVER_DATA_DIR`,
      ),
    );
  });

  test("stays locked until the server of a killed broker is gone", async () => {
    const { owner, said } = await startOwner();
    process.kill(said.pid ?? 0, "SIGSTOP");
    const died = once(owner, "exit");
    owner.kill("SIGKILL");
    await died;
    const tooEarly = EmbeddedServer.start({ dataDir, sync: "always", log, lockPatience: 300 });
    await expect(tooEarly).rejects.toThrow(/is in use by/);
    process.kill(said.pid ?? 0, "SIGCONT");
    const next = await EmbeddedServer.start({ dataDir, sync: "always", log, lockPatience: patience });
    closing.push(() => next.close());
    expect(lives(said.pid)).toBe(false);
  });

  test("that cannot be made is refused in one line", async () => {
    writeFileSync(join(dataDir, "file"), "");
    const start = EmbeddedServer.start({ dataDir: join(dataDir, "file", "data"), sync: "always", log });
    await expect(start).rejects.toThrow(StartupError);
    await expect(start).rejects.toThrow(/^the data directory .* cannot be made: .*$/);
  });

  test("whose store cannot be read is refused with what the server says", async () => {
    writeFileSync(join(dataDir, "jetstream"), "");
    const start = EmbeddedServer.start({ dataDir, sync: "always", log });
    await expect(start).rejects.toThrow(StartupError);
  });

  test("is left alone when the setting is wrong", async () => {
    const start = EmbeddedServer.start({ dataDir, sync: "sometimes", log });
    await expect(start).rejects.toThrow('DROVER_SYNC=sometimes is neither "always" nor an interval');
    expect(existsSync(join(dataDir, "lock"))).toBe(false);
  });
});

describe("the binary", () => {
  const script = (name: string, output: string) => {
    const path = join(dataDir, name);
    writeFileSync(path, `#!/bin/sh\necho "${output}"\n`);
    chmodSync(path, 0o755);
    return path;
  };

  test("that is named must do", async () => {
    const old = script("old", "nats-server: v2.14.5");
    await expect(findNatsServer({ named: old })).rejects.toThrow(
      /will not do: it is version 2.14.5, and 2.15.1 or later/,
    );
    await expect(findNatsServer({ named: "/nowhere" })).rejects.toThrow(/there is no such program/);
    await expect(findNatsServer({ named: script("odd", "hello") })).rejects.toThrow(
      /no nats-server that runs/,
    );
  });

  test("is taken from the PATH if it is recent enough, else from the project's cache", async () => {
    const path = script("nats-server", "nats-server: v2.15.2");
    expect(await findNatsServer({ path: dataDir })).toEqual({ path, version: "2.15.2" });
    script("nats-server", "nats-server: v2.15.0");
    expect((await findNatsServer({ path: dataDir })).path).toMatch(/\.drover\/tools\/bin\/nats-server$/);
  });

  test("that is nowhere is missed in one line that says all there is to do", async () => {
    const none = findNatsServer({ path: "", from: [dataDir] });
    await expect(none).rejects.toThrow(/DROVER_NATS_URL.*DROVER_NATS_SERVER.*PATH.*bootstrap/);
  });
});
