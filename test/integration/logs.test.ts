// What the log of a broker says of jobs: one line for each outcome, with nothing in it that belongs to a submitter.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client } from "@drover/client";
import { defineTask, jsonLogger, Worker } from "@drover/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { until } from "../support/until.js";

const run = promisify(execFile);
const main = fileURLToPath(new URL("../../broker/dist/main.js", import.meta.url));

let broker: Broker;
let client: Client;
let worker: Worker;

beforeAll(async () => {
  broker = await Broker.start();
  client = new Client({ address: broker.address });
  let tries = 0;
  const handler = async ({ fails }: { fails?: number }) => {
    tries += 1;
    if (tries <= (fails ?? 0)) throw new Error("secret");
    return "secret";
  };
  const tasks = [
    defineTask({ name: "log.works", handler }),
    defineTask({ name: "log.fails", handler: async () => Promise.reject(new Error("secret")) }),
  ];
  worker = new Worker({
    address: broker.address,
    tasks,
    queues: ["default", "mail"],
    logger: jsonLogger("error"),
  });
  await worker.start();
});

afterAll(async () => {
  client?.close();
  await worker?.stop();
  await broker?.stop();
});

/** The lines of a job, once there are so many. */
async function linesOf(id: string, count: number): Promise<Record<string, unknown>[]> {
  const lines = await until(`${count} lines of ${id}`, () => {
    const found = broker.log.filter((line) => line.includes(`"job":"${id}"`));
    return found.length >= count && found;
  });
  expect(lines.join("")).not.toContain("secret");
  return lines.map((line) => JSON.parse(line));
}

const payload = { password: "secret" };

test("a job that is retried and succeeds is one line for each attempt", async () => {
  const retry = { retries: 1, initialDelay: 10 };
  const job = await client.submit("log.works", { ...payload, fails: 1 }, { retry, queue: "mail" });
  await job.result({ timeout: 30_000 });
  const common = { level: "info", job: job.id, task: "log.works", queue: "mail" };
  expect(await linesOf(job.id, 2)).toEqual([
    {
      ...common,
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      attempt: 1,
      outcome: "retrying",
      reason: "ERROR",
      durationMs: expect.any(Number),
      dueAt: expect.any(Number),
      msg: "attempt failed, the job will be retried",
    },
    {
      ...common,
      time: expect.any(String),
      attempt: 2,
      outcome: "succeeded",
      durationMs: expect.any(Number),
      msg: "job succeeded",
    },
  ]);
});

test("a job that fails for good, and one that is cancelled, are a line each", async () => {
  const failing = await client.submit("log.fails", payload, { retry: { retries: 0 } });
  expect(await linesOf(failing.id, 1)).toMatchObject([{ outcome: "failed", reason: "ERROR", attempt: 1 }]);
  const waiting = await client.submit("log.works", payload, { delay: 60_000 });
  await waiting.cancel();
  const [line] = await linesOf(waiting.id, 1);
  expect(line).toMatchObject({ outcome: "cancelled", attempt: 0 });
  expect(line).not.toHaveProperty("durationMs");
});

describe("flags go before the environment", () => {
  const started = (...flags: string[]) =>
    run(process.execPath, [main, "health", ...flags], {
      env: { PATH: process.env.PATH, DROVER_LOG_LEVEL: "info", DROVER_HTTP_PORT: String(broker.httpPort) },
    }).catch((error) => error);

  test("and are read in both ways", async () => {
    expect(await started("--log-level", "warn", "--log-format=text")).toMatchObject({ stdout: "ready\n" });
  });

  test.each([
    [["--log-level", "loud"], "must be one of debug, info, warn, error, silent"],
    [["--log-levl=warn"], "--log-levl"],
    [["--log-format"], "--log-format"],
  ])("%o is refused with 2", async (flags, said) => {
    expect(await started(...flags)).toMatchObject({ code: 2, stderr: expect.stringContaining(said) });
  });
});
