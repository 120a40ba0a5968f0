// Batches that nats-server stages in memory: that it does, that it finds them again after it was killed, and what a power
// cut leaves of one.

import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Client } from "@drover/client";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { JsApi } from "../../broker/src/jetstream/api.js";
import { headersOf, line } from "../../broker/src/jetstream/codec.js";
import { Connection } from "../../broker/src/jetstream/connect.js";
import { EmbeddedServer } from "../../broker/src/jetstream/embedded.js";
import {
  clearStaging,
  folderOf,
  openStaging,
  type Staging,
  stagingRules,
} from "../../broker/src/jetstream/staging.js";
import { Broker } from "../support/broker.js";
import { QuietLog } from "../support/quiet-log.js";

/** Elsewhere than on Linux there is none, and batches are staged on the disk. */
const withMemory = describe.skipIf(!existsSync(stagingRules.folder));
/** Machines may be busy, ms. */
const patience = 20_000;
let dataDir: string;
const closing: (() => unknown)[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "drover-staging-"));
  closing.push(() => rmSync(dataDir, { recursive: true, force: true }));
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

withMemory("an embedded nats-server", () => {
  const stream = "KEPT";
  let server: EmbeddedServer;
  let connection: Connection;
  let staging: Staging;

  beforeEach(async () => {
    const log = new QuietLog();
    server = await EmbeddedServer.start({ dataDir, sync: "always", log, lockPatience: 0 });
    closing.push(() => server.close());
    connection = await Connection.open({ target: server.target, name: "staging", log, within: patience });
    closing.push(() => connection.close());
    await new JsApi(connection.nc).request(`STREAM.CREATE.${stream}`, {
      name: stream,
      subjects: ["kept.*"],
      allow_atomic: true,
    });
    const opened = openStaging(server.storeDir);
    if (opened === undefined) throw new Error("this machine has no file system in memory");
    staging = opened;
    closing.push(() => {
      staging.close();
    });
  });

  const batches = () => join(server.storeDir, "jetstream/$G/streams", stream, "batches");
  const linkOf = (batch: string) => join(batches(), folderOf(batch));
  /** Where the broker's batches are staged, seen from a link that leads there. */
  const folderBehind = (batch: string) => dirname(readlinkSync(linkOf(batch)));
  const stored = async () => (await new JsApi(connection.nc).stream(stream)).state.messages;
  const isLink = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;

  /** Answered when it is staged, or with the commit's acknowledgement. */
  async function send(batch: string, sequence: number, commit = false): Promise<string> {
    const head = line("Nats-Batch-Id", batch) + line("Nats-Batch-Sequence", String(sequence));
    const headers = headersOf(commit ? head + line("Nats-Batch-Commit", "1") : head);
    return (
      await connection.nc.request(`kept.${sequence}`, "value", { headers, timeout: patience })
    ).string();
  }

  const removed = (link: string) =>
    vi.waitFor(() => expect(isLink(link)).toBe(false), { timeout: patience, interval: 5 });

  test("stages a batch in memory that is told to be, and stores it whole", async () => {
    staging.inMemory(stream, "one", 1_000);
    await send("one", 1);
    expect(isLink(linkOf("one"))).toBe(true);
    expect(realpathSync(linkOf("one")).startsWith(realpathSync(stagingRules.folder))).toBe(true);
    expect(readdirSync(join(linkOf("one"), "msgs"))).toContain("1.blk");
    expect(await stored()).toBe(0);
    expect(JSON.parse(await send("one", 2, true))).toMatchObject({ batch: "one", count: 2 });
    expect(await stored()).toBe(2);
  });

  test("leaves nothing in memory of batches that are over", async () => {
    let folder = "";
    for (const batch of ["one", "two", "three"]) {
      staging.inMemory(stream, batch, 1_000);
      folder = folderBehind(batch);
      await send(batch, 1, true);
      await removed(linkOf(batch));
    }
    await vi.waitFor(() => expect(readdirSync(folder).length).toBeLessThanOrEqual(1), {
      timeout: patience,
      interval: 5,
    });
    const other = openStaging(server.storeDir);
    staging.close();
    expect(existsSync(folder)).toBe(false);
    expect(existsSync(dirname(folder))).toBe(true);
    other?.close();
    expect(existsSync(dirname(folder))).toBe(false);
  });

  test("stages on the disk what there is no room for in memory", async () => {
    staging.inMemory(stream, "large", stagingRules.most + 1);
    await send("large", 1);
    expect(isLink(linkOf("large"))).toBe(false);
    expect(statSync(linkOf("large")).isDirectory()).toBe(true);
    await send("large", 2, true);
    expect(await stored()).toBe(2);
  });

  test("counts what it has not removed yet", async () => {
    staging.inMemory(stream, "open", stagingRules.most);
    await send("open", 1);
    staging.inMemory(stream, "next", 1);
    expect(isLink(linkOf("next"))).toBe(false);
    await send("open", 2, true);
    await removed(linkOf("open"));
    staging.inMemory(stream, "next", 1);
    expect(isLink(linkOf("next"))).toBe(true);
  });

  test("gives up the place of a batch that never came to it", async () => {
    let now = 0;
    const patient = openStaging(server.storeDir, stagingRules.folder, () => now);
    closing.push(() => patient?.close());
    patient?.inMemory(stream, "lost", stagingRules.most);
    now = stagingRules.lost;
    patient?.inMemory(stream, "early", 1);
    expect(isLink(linkOf("lost"))).toBe(true);
    expect(isLink(linkOf("early"))).toBe(false);
    now += 1;
    patient?.inMemory(stream, "next", 1);
    expect(isLink(linkOf("lost"))).toBe(false);
    expect(isLink(linkOf("next"))).toBe(true);
  });

  test("forgets an open batch when it is killed, and stages in memory again", async () => {
    staging.inMemory(stream, "open", 1_000);
    await send("open", 1);
    const again = new Promise((resolve) => connection.onConnected(resolve));
    process.kill(server.pid ?? 0, "SIGKILL");
    await again;
    expect(isLink(linkOf("open"))).toBe(false);
    expect(await stored()).toBe(0);
    staging.inMemory(stream, "later", 1_000);
    await send("later", 1);
    expect(isLink(linkOf("later"))).toBe(true);
    await send("later", 2, true);
    expect(await stored()).toBe(2);
  });
});

withMemory("the folder in memory", () => {
  test("is used only where it is memory, and is this user's alone", () => {
    expect(openStaging(dataDir, dataDir)).toBeUndefined();
    const shared = mkdtempSync(join(stagingRules.folder, "drover-test-"));
    closing.push(() => rmSync(shared, { recursive: true }));
    const first = openStaging(dataDir, shared);
    expect(first).toBeDefined();
    const [own = ""] = readdirSync(shared);
    chmodSync(join(shared, own), 0o777);
    expect(openStaging(dataDir, shared)).toBeUndefined();
  });

  test("is cleared of what killed brokers left when a server has started", () => {
    const shared = mkdtempSync(join(stagingRules.folder, "drover-test-"));
    closing.push(() => rmSync(shared, { recursive: true }));
    openStaging(dataDir, shared);
    const [own = ""] = readdirSync(shared);
    mkdirSync(join(shared, own, "left-over"));
    clearStaging(dataDir, shared);
    expect(readdirSync(join(shared, own))).toEqual([]);
  });
});

withMemory("a power cut in the middle of a commit", () => {
  const jobs = 200;
  const specs = Array.from({ length: jobs }, (_, i) => ({
    task: "torn",
    payload: { i },
    key: `k${i}`,
  }));

  async function listed(client: Client) {
    const all = [];
    for await (const job of client.list({ task: "torn" })) all.push(job);
    return all;
  }

  test("leaves whole jobs, and the others can be submitted again", async () => {
    const broker = await Broker.start({ dataDir });
    closing.push(() => broker.stop());
    const client = new Client({ address: broker.address });
    closing.push(() => client.close());
    await client.submitBatch(specs);
    await broker.kill("SIGTERM");

    // The last pages of the batch did not reach the disk, nor did what was staged.
    const messages = join(dataDir, "jetstream/jetstream/$G/streams/DROVER_default_0/msgs");
    const block = join(messages, readdirSync(messages).find((name) => name.endsWith(".blk")) ?? "");
    truncateSync(block, statSync(block).size - 9_000);
    rmSync(join(messages, "index.db"));
    await broker.restart();

    const log = readFileSync(join(dataDir, "nats-server.log"), "utf8");
    expect(log).toContain("Failed restoring partial batch write");
    const whole = await listed(client);
    expect(whole.length).toBeGreaterThan(0);
    expect(whole.length).toBeLessThan(jobs);
    expect(new Set(whole.map((job) => job.state))).toEqual(new Set(["READY"]));
    const again = await client.submitBatch(specs);
    expect(again.every((answer) => answer.ok)).toBe(true);
    expect(await listed(client)).toHaveLength(jobs);
  });
});
