// The TypeScript client's small calls share a stream where they follow one another, and nobody notices: not who counts
// on an idle client to let its process end, nor who is served by a broker that has no such stream, or stops.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client, DeadlineExceededError } from "@drover/client";
import { JobServiceService } from "@drover/proto/v1";
import { Client as Channel, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { until } from "../support/until.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

let broker: Broker;
let client: Client;

beforeAll(async () => {
  broker = await Broker.start();
});
beforeEach(() => {
  client = new Client({ address: broker.address });
});
afterEach(() => client.close());
afterAll(() => broker.stop());

/** Calls of JobService that have ended, by method and code. */
async function ended(method: string, code = "OK"): Promise<number> {
  const metrics = await (await fetch(`${broker.httpUrl}/metrics`)).text();
  const start = `drover_grpc_calls_total{method="JobService/${method}",code="${code}"}`;
  const line = metrics.split("\n").find((each) => each.startsWith(start));
  return Number(line?.split(" ").at(-1) ?? 0);
}

async function submitMany(jobs: number, by = client): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < jobs; i++) ids.push((await by.submit("idle", i)).id);
  return ids;
}

test("one call after another goes over one stream, which ends when nothing is asked any more", async () => {
  const [streams, submits] = [await ended("Call"), await ended("Submit")];
  const ids = await submitMany(20);
  expect(new Set(ids).size).toBe(20);
  await until("the stream to end", async () => (await ended("Call")) === streams + 1);
  // The broker counts them as what they are.
  expect(await ended("Submit")).toBe(submits + 20);
});

test("a call alone is a call of its own", async () => {
  const streams = await ended("Call");
  await client.submit("idle", 1);
  const other = new Client({ address: broker.address });
  await other.submit("idle", 2);
  other.close();
  // Would have ended by the time that another one has.
  await submitMany(3);
  await until("the later stream to end", async () => (await ended("Call")) > streams);
  expect(await ended("Call")).toBe(streams + 1);
});

test("calls with metadata of their own share nothing", async () => {
  let asked = 0;
  const own = new Client({ address: broker.address, metadata: () => ({ "drover-caller": `c${++asked}` }) });
  await submitMany(10, own);
  own.close();
  expect(asked).toBe(10);
});

test("a process that has nothing left to do ends, closed or not", async () => {
  const script = `
    import { Client } from "@drover/client";
    const client = new Client({ address: process.argv[1] });
    for (let i = 0; i < 5; i++) await client.submit("idle", i);
    console.log("submitted");`;
  const args = ["--input-type=module", "-e", script, broker.address];
  const { stdout } = await run(process.execPath, args, { cwd: root, timeout: 20_000 });
  expect(stdout).toBe("submitted\n");
});

test("who stops waiting is not waited for by the broker", async () => {
  const left = await ended("Wait", "CANCELLED");
  const [id = ""] = await submitMany(3);
  const leaving = new AbortController();
  const waiting = client.job(id).result({ signal: leaving.signal });
  await client.submit("idle", "behind the wait");
  leaving.abort();
  await expect(waiting).rejects.toThrow();
  await until("the broker to know", async () => (await ended("Wait", "CANCELLED")) > left);
  expect((await client.job(id).status()).state).toBe("READY");
});

describe("a broker", () => {
  let mortal: Broker;
  let caller: Client;

  beforeEach(async () => {
    mortal = await Broker.start();
    caller = new Client({ address: mortal.address, timeout: 30_000 });
  });
  afterEach(async () => {
    caller.close();
    await mortal.stop();
  });

  test("that is killed and comes back has all of the jobs, each once", async () => {
    let done = 0;
    const submits = Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        for (let n = 0; n < 10; n++) {
          await caller.submit("idle", 0, { key: `k${i}-${n}` });
          done++;
        }
      }),
    );
    await until("the first to be stored", () => done > 40);
    await mortal.kill();
    expect(done).toBeLessThan(400);
    await mortal.restart();
    await submits;
    const keys = new Set<string>();
    for await (const { id } of caller.list({ task: "idle" })) keys.add(id);
    expect(keys.size).toBe(400);
  });

  test("that stops while a job is waited for is asked again when it is back", async () => {
    const [id = ""] = await submitMany(3, caller);
    const waiting = caller.job(id).wait({ timeout: 30_000 });
    await caller.submit("idle", "behind the wait");
    await mortal.kill("SIGTERM");
    expect(mortal.exitCode).toBe(0);
    await mortal.restart();
    await caller.job(id).cancel();
    expect((await waiting).state).toBe("CANCELLED");
  });

  test("that hangs is waited for as long as the caller said", async () => {
    await submitMany(3, caller);
    process.kill(mortal.pid, "SIGSTOP");
    try {
      const late = caller.submit("idle", 1, { timeout: 500 });
      await expect(late).rejects.toThrow(DeadlineExceededError);
    } finally {
      process.kill(mortal.pid, "SIGCONT");
    }
    await submitMany(3, caller);
  });
});

test("a broker of an earlier version, without the stream, is asked call by call", async () => {
  const same = (bytes: Buffer) => bytes;
  const { path } = JobServiceService.submit;
  const bare = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  const channel = new Channel(broker.address, credentials.createInsecure());
  const earlier = new Server();
  let submits = 0;
  earlier.addService(
    { submit: { path, requestStream: false, responseStream: false, ...bare } },
    {
      submit: ({ request }: { request: Buffer }, done: (error: Error | null, answer?: Buffer) => void) => {
        submits++;
        channel.makeUnaryRequest(path, same, same, request, done);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    earlier.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const caller = new Client({ address: `127.0.0.1:${port}` });
  await submitMany(10, caller);
  expect(submits).toBe(10);
  caller.close();
  earlier.forceShutdown();
  channel.close();
});
