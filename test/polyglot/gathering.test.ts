// What a program asks for in many places at a time goes up in few calls, in every language: submits, looks and waits.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Client } from "@drover/client";
import { Worker } from "@drover/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { buildClients, clientCommands } from "./fixture-worker.js";

const jobs = 1_000;
/** Of each kind, for all of them: batches are of 200 at the least, and the first few go at once. */
const fewCalls = 50;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let broker: Broker;

beforeAll(async () => {
  await buildClients();
  broker = await Broker.start();
}, 300_000);
afterAll(() => broker?.stop());

test.each(Object.keys(clientCommands) as (keyof typeof clientCommands)[])(
  "a thousand submits, looks and waits at a time share a few calls in %s",
  async (language) => {
    const at = Array.from({ length: jobs }, (_, i) => i);
    await haveEnded(at.map((i) => ({ task: "echo", payload: i, key: `${language}-${i}` })));
    const before = await calls();
    const env = {
      ...process.env,
      DROVER_ADDRESS: broker.address,
      FIXTURE_TASK: "nobodys",
      FIXTURE_QUEUE: language,
      FIXTURE_TOGETHER: String(jobs),
    };
    const [program, ...args] = clientCommands[language];
    const { stdout } = await promisify(execFile)(program ?? "", args, { env });
    expect(JSON.parse(stdout)).toEqual({ states: ["SUCCEEDED"], results: at });
    const after = await calls();
    const made = (...methods: string[]) =>
      methods.reduce((sum, method) => sum + (after.get(method) ?? 0) - (before.get(method) ?? 0), 0);
    expect(made("Submit", "SubmitBatch")).toBeLessThan(fewCalls);
    expect(made("Status", "StatusBatch")).toBeLessThan(fewCalls);
    expect(made("Wait")).toBeLessThan(fewCalls);
  },
  120_000,
);

async function haveEnded(items: { task: string; payload: number; key: string }[]): Promise<void> {
  const client = new Client({ address: broker.address });
  const worker = new Worker({ address: broker.address, concurrency: 1_000, logger: silent });
  worker.task("echo", (value: number) => value);
  await worker.start();
  const submitted = await client.submitBatch(items);
  await Promise.all(submitted.map((result) => result.ok && result.job.result({ timeout: 60_000 })));
  await worker.stop();
  client.close();
}

/** How many calls of each method of JobService have ended. */
async function calls(): Promise<Map<string, number>> {
  const text = await (await fetch(`${broker.httpUrl}/metrics`)).text();
  const counted = new Map<string, number>();
  for (const [, method = "", value] of text.matchAll(
    /^drover_grpc_calls_total\{.*"JobService\/(\w+)".*\} (\d+)/gm,
  ))
    counted.set(method, (counted.get(method) ?? 0) + Number(value));
  return counted;
}
