// Several addresses, as each SDK has them: whatever broker is gone, clients and workers go on with another one.

import { execFile } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "@drover/client";
import { Worker } from "@drover/worker";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { linesOf } from "../support/diary.js";
import { freePort, NatsServer } from "../support/nats.js";
import { until } from "../support/until.js";
import { buildClients, buildWorkers, clientCommands, FixtureWorker } from "./fixture-worker.js";

const patience = 45_000;
const languages = Object.keys(clientCommands) as (keyof typeof clientCommands)[];
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let folder: string;
let nats: NatsServer;
let brokers: Record<"one" | "other", Broker>;
let nobody: string;
let client: Client;
const workers: FixtureWorker[] = [];

beforeAll(async () => {
  await Promise.all([buildWorkers(), buildClients()]);
  folder = mkdtempSync(join(tmpdir(), "drover-failover-"));
  nats = await NatsServer.start();
  const broker = (name: string) => Broker.start({ natsUrl: nats.url, env: { DROVER_BROKER_NAME: name } });
  const [one, other] = await Promise.all([broker("one"), broker("other")]);
  brokers = { one, other };
  nobody = `127.0.0.1:${await freePort()}`;
  client = new Client({ addresses: [one.address, other.address] });
}, 300_000);

afterEach(async () => {
  for (const worker of workers) if (worker.running) worker.kill("SIGKILL");
  await Promise.all(workers.splice(0).map((worker) => worker.ended()));
});

afterAll(async () => {
  client?.close();
  await Promise.all([brokers?.one.stop(), brokers?.other.stop()]);
  await nats?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const both = () => `${brokers.one.address},${brokers.other.address}`;

function start(language: string, name: string, address: string): void {
  workers.push(FixtureWorker.start(language, { address, queue: name, name }));
}

async function attached(name: string) {
  const { items } = await client.inspect.workers();
  return items.find((worker) => worker.name === name);
}

/** What the client of a language, given these addresses, comes to. */
async function outcomeIn(
  language: keyof typeof clientCommands,
  address: string,
  task: string,
  queue: string,
) {
  const [program = "", ...args] = clientCommands[language];
  const env = { ...process.env, DROVER_ADDRESS: address, FIXTURE_TASK: task, FIXTURE_QUEUE: queue };
  const { stdout } = await promisify(execFile)(program, args, { env });
  return JSON.parse(stdout) as unknown;
}

describe.each(languages)("in %s", (language) => {
  test("a worker and a client find the broker that is there among those that are not", async () => {
    const queue = `${language}-found`;
    const addresses = `${nobody},${brokers.one.address},${nobody}`;
    start(language, queue, addresses);
    expect(await outcomeIn(language, addresses, "echo", queue)).toMatchObject({ result: "hello" });
  });

  test("a worker takes its running job along when its broker is killed", async () => {
    const name = `${language}-moved`;
    start(language, name, both());
    const [gate, diary] = [join(folder, `${name}-gate`), join(folder, `${name}-diary`)];
    const job = await client.submit("gate", { gate, diary }, { queue: name });
    await until("the handler to begin", () => linesOf(diary).length > 0, patience);
    const before = await until("the worker's broker", () => attached(name), patience);
    const [gone, left] = before.broker === "one" ? ["one" as const, "other"] : ["other" as const, "one"];
    await brokers[gone].kill("SIGKILL");
    await until("the other broker to have it", async () => (await attached(name))?.broker === left, patience);
    writeFileSync(gate, "");
    expect(await job.wait({ timeout: patience })).toMatchObject({
      state: "SUCCEEDED",
      attempt: 1,
      crashes: 0,
    });
    expect(linesOf(diary)).toEqual(["began 1", "returned 1"]);
    await brokers[gone].restart();
  });

  test("a client that waits has its result, though each broker was away once", async () => {
    const queue = `${language}-waits`;
    const { worker, began, letGo } = await holding(queue);
    const told = outcomeIn(language, both(), "held", queue);
    await began;
    for (const broker of [brokers.one, brokers.other]) {
      await broker.kill("SIGKILL");
      await until("the worker at the other", () => attached(queue), patience);
      await broker.restart();
    }
    letGo();
    expect(await told).toMatchObject({ result: "held" });
    await worker.stop();
  });
});

/** A worker whose job goes on until it is let go. */
async function holding(queue: string) {
  const events = new EventEmitter();
  const addresses = [brokers.one.address, brokers.other.address];
  const worker = new Worker({ addresses, queues: [queue], name: queue, logger: silent });
  worker.task("held", async () => {
    const letGo = once(events, "let go");
    events.emit("began");
    await letGo;
    return "held";
  });
  await worker.start();
  return { worker, began: once(events, "began"), letGo: () => events.emit("let go") };
}
