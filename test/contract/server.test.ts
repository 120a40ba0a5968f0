// The broker as a process and a server: settings, health, reflection, metrics, and stopping.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { protoPath } from "grpc-health-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { Stranger } from "../support/stranger.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const main = join(root, "broker/dist/main.js");
const grpcurl = join(root, ".drover/tools/bin/grpcurl");

let broker: Broker;
let stranger: Stranger;

beforeAll(async () => {
  broker = await Broker.start();
  stranger = new Stranger(broker.address);
});

afterAll(async () => {
  stranger.close();
  await broker.stop();
});

describe("settings", () => {
  test("--help prints them all", async () => {
    const { stdout } = await run(process.execPath, [main, "--help"]);
    for (const name of ["DROVER_GRPC_PORT", "DROVER_NATS_URL", "DROVER_SHARDS"])
      expect(stdout).toContain(name);
  });

  test("that do not fit are told all at once, and the broker does not start", async () => {
    const env = { PATH: process.env.PATH, DROVER_SHARDS: "0", DROVER_REPLICA: "3" };
    const ended = await run(process.execPath, [main], { env }).catch((error) => error);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("DROVER_SHARDS must be");
    expect(ended.stderr).toContain("did you mean DROVER_REPLICAS?");
  });
});

describe("the command for containers that asks whether a broker can serve", () => {
  const health = (port: number) =>
    run(process.execPath, [main, "health"], {
      env: { PATH: process.env.PATH, DROVER_HTTP_HOST: "0.0.0.0", DROVER_HTTP_PORT: String(port) },
    }).catch((error) => error);

  test("ends with 0 when it can", async () => {
    expect(await health(broker.httpPort)).toMatchObject({ stdout: "ready\n" });
  });

  test("ends with 1 and says why when nobody is there", async () => {
    expect(await health(1)).toMatchObject({ code: 1, stdout: expect.stringContaining("ECONNREFUSED") });
  });
});

describe("health", () => {
  type Check = (request: object, callback: (error: unknown, answer: { status: string }) => void) => void;

  async function healthOf(service: string): Promise<string> {
    const health = loadPackageDefinition(loadSync(protoPath, { enums: String })) as never as {
      grpc: { health: { v1: { Health: new (...args: unknown[]) => { check: Check; close(): void } } } };
    };
    const client = new health.grpc.health.v1.Health(broker.address, credentials.createInsecure());
    try {
      return await new Promise((resolve, reject) =>
        client.check({ service }, (error, answer) => (error ? reject(error) : resolve(answer.status))),
      );
    } finally {
      client.close();
    }
  }

  test.each(["", "drover.v1", "drover.v1.JobService", "drover.v1.WorkerService"])(
    "of %j is SERVING",
    async (service) => {
      // The answer is looked up twice a second.
      await expect.poll(() => healthOf(service), { timeout: 20_000 }).toBe("SERVING");
    },
  );

  test("of what is not there is NOT_FOUND", async () => {
    await expect(healthOf("drover.v1.NoSuchService")).rejects.toMatchObject({ code: 5 });
  });
});

describe("reflection is all that a client needs", () => {
  const call = async (...args: string[]) => (await run(grpcurl, ["-plaintext", ...args])).stdout;

  test("to list", async () => {
    expect((await call(broker.address, "list")).split("\n")).toEqual(
      expect.arrayContaining(["drover.v1.JobService", "drover.v1.WorkerService", "grpc.health.v1.Health"]),
    );
  });

  test("to read the contract, comments and well-known types included", async () => {
    const said = await call(broker.address, "describe", "drover.v1.JobSpec");
    expect(said).toContain("// 0 to 9, 9 is the most urgent.");
    expect(said).toContain("optional uint32 priority = 4;");
    expect(said).toContain("map<string, string> labels");
    expect(said).toContain(".google.protobuf.Duration delay");
  });

  test("to call, and to understand a refusal", async () => {
    const method = "drover.v1.JobService/Submit";
    const job = '{"job":{"task":"reflected","delay":"3s","labels":{"a":"b"}}}';
    expect(await call("-d", job, broker.address, method)).toContain("JOB_STATE_SCHEDULED");
    const refused = await call("-d", '{"job":{"priority":10}}', broker.address, method).catch(
      (error) => error,
    );
    expect(refused.stderr).toContain('"reason": "INVALID_ARGUMENT"');
    expect(refused.stderr).toContain('"field": "job.priority"');
  });
});

describe("http", () => {
  test.each([
    ["/healthz", 200],
    ["/readyz", 200],
    ["/metrics", 200],
    ["/else", 404],
  ])("%s is %d", async (path, status) => {
    expect((await fetch(broker.httpUrl + path)).status).toBe(status);
  });

  test("what is done is counted", async () => {
    await stranger.call("JobService/Submit", { job: { task: "counted" } });
    await stranger.refused("JobService/Status", { id: "x" });
    const metrics = await (await fetch(`${broker.httpUrl}/metrics`)).text();
    expect(metrics).toContain('drover_jobs_submitted_total{task="counted",queue="default"} 1');
    expect(metrics).toContain('drover_grpc_calls_total{method="JobService/Status",code="INVALID_ARGUMENT"}');
    expect(metrics).toContain("drover_broker_ready 1");
  });
});

test("stopping answers long polls, tells workers, and ends with 0", async () => {
  const stopping = await Broker.start({ env: { DROVER_STOP_TIMEOUT: "28s" } });
  const caller = new Stranger(stopping.address);
  const { id } = await caller.call("JobService/Submit", { job: { task: "never" } });
  const wait = caller.call("JobService/Wait", { ids: [id], timeout: { seconds: 60 } });
  const lease = caller.call("WorkerService/Lease", { worker: "w", tasks: ["none"], wait: { seconds: 60 } });
  const work = caller.work().attach({ tasks: [{ task: "none" }] });
  await work.hear("attached");
  const started = Date.now();
  const stopped = stopping.stop();
  await work.hear("drain");
  work.stream.end();
  expect(await wait).toMatchObject({ done: false });
  expect(await lease).toMatchObject({ leases: [] });
  expect(await work.ended).toMatchObject({ code: "OK" });
  await stopped;
  // Nobody had to be cut off.
  expect(Date.now() - started).toBeLessThan(25_000);
  caller.close();
});
