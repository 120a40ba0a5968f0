// The TypeScript client's small calls share a stream where they follow one another, and nobody notices: not who counts
// on an idle client to let its process end, nor who is served by a broker that has no such stream, or stops.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client, DeadlineExceededError } from "@drover/client";
import { JobServiceService, WaitRequest } from "@drover/proto/v1";
import { Client as Channel, credentials, Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { SmallCalls, type SmallRequest } from "../../client-sdk/typescript/src/small-calls.js";
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

/** Streams that the clients of this process open while something goes on. */
async function opened(work: () => Promise<unknown>): Promise<number> {
  const open = vi.spyOn(Channel.prototype, "makeBidiStreamRequest");
  try {
    await work();
    return open.mock.calls.filter(([path]) => path === JobServiceService.call.path).length;
  } finally {
    open.mockRestore();
  }
}

/** Calls that far apart, ms, follow one another quickly, whatever the client's clock says of 250. */
const quickly = 150;

test("one call after another goes over one stream, which ends when nothing is asked any more", async () => {
  const [streams, submits] = [await ended("Call"), await ended("Submit")];
  let made = 0;
  // A machine that stood still between two calls ended their succession.
  for (let longest = Number.POSITIVE_INFINITY; longest > quickly; ) {
    longest = 0;
    const series = new Client({ address: broker.address });
    let last = performance.now();
    const count = await opened(async () => {
      for (let i = 0; i < 20; i++) {
        await series.submit("idle", i);
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }
    });
    made += 20;
    if (longest <= quickly) expect(count).toBe(1);
    await until("the stream to end", async () => (await ended("Call")) > streams);
    series.close();
  }
  // The broker counts them as what they are.
  expect(await ended("Submit")).toBe(submits + made);
});

test("a call alone is a call of its own", async () => {
  const alone = await opened(async () => {
    await client.submit("idle", 1);
    const other = new Client({ address: broker.address });
    await other.submit("idle", 2);
    other.close();
  });
  expect(alone).toBe(0);
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

describe("a stream that has served its time", () => {
  /** Ended by its age alone. */
  const patient = { quick: 600_000 };
  let channel: Channel;

  beforeEach(() => {
    channel = new Channel(broker.address, credentials.createInsecure());
  });
  afterEach(() => channel.close());

  const waitFor = (id: string): SmallRequest => ({
    $case: "wait",
    value: WaitRequest.create({ ids: [id], timeout: { seconds: 60 } }),
  });

  function answer(calls: SmallCalls, request: SmallRequest): Promise<unknown> {
    return new Promise((resolve, reject) => {
      calls.call(request, 60_000, (error, value) => (error === null ? resolve(value) : reject(error)));
    });
  }

  test("is followed by a new one while calls go on, and answers what it was asked", async () => {
    const streams = await ended("Call");
    const calls = new SmallCalls(channel, () => new Metadata(), { ...patient, oldest: 50 });
    const [id = ""] = await submitMany(1);
    const waiting = answer(calls, waitFor(id));
    let answered = 0;
    let over = false;
    const callers = Array.from({ length: 8 }, async () => {
      while (!over) {
        const told = await answer(calls, { $case: "status", value: { id, includePayload: false } });
        expect(told).toMatchObject({ job: { id } });
        answered++;
      }
    });
    // The first one still has its wait.
    await until("streams to have come and gone", async () => (await ended("Call")) >= streams + 3);
    over = true;
    await Promise.all(callers);
    expect(answered).toBeGreaterThan(8);
    await client.job(id).cancel();
    expect(await waiting).toMatchObject({ results: [{ job: { id } }] });
  });

  test("ends with the last call that is given up, at the broker too", async () => {
    const [streams, left] = [await ended("Call"), await ended("Wait", "CANCELLED")];
    const calls = new SmallCalls(channel, () => new Metadata(), { ...patient, oldest: 0 });
    const [id = ""] = await submitMany(1);
    let toldWith: number | undefined;
    const giveUp = calls.call(waitFor(id), 60_000, (error) => {
      toldWith = error?.code;
    });
    // Once this is answered, by a stream of its own, the wait has arrived.
    await answer(calls, { $case: "status", value: { id, includePayload: false } });
    giveUp();
    expect(toldWith).toBe(status.CANCELLED);
    await until("the wait to end", async () => (await ended("Wait", "CANCELLED")) > left);
    await until("both streams to end", async () => (await ended("Call")) >= streams + 2);
  });

  test("keeps no process from ending once its last call is given up", async () => {
    const [id = ""] = await submitMany(1);
    const script = `
      import { Client, credentials, Metadata } from "@grpc/grpc-js";
      import { SmallCalls } from "./client-sdk/typescript/dist/small-calls.js";
      const [address, id] = process.argv.slice(1);
      const channel = new Client(address, credentials.createInsecure());
      const calls = new SmallCalls(channel, () => new Metadata(), { quick: 600_000, oldest: 0 });
      const value = { ids: [id], mode: 0, timeout: { seconds: 60, nanos: 0 } };
      const giveUp = calls.call({ $case: "wait", value }, 60_000, () => console.log("given up"));
      channel.waitForReady(Date.now() + 20_000, giveUp);`;
    const args = ["--input-type=module", "-e", script, broker.address, id];
    const { stdout } = await run(process.execPath, args, { cwd: root, timeout: 30_000 });
    expect(stdout).toBe("given up\n");
  });
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
    let killed: Promise<void> | undefined;
    const submits = Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        for (let n = 0; n < 10; n++) {
          await caller.submit("idle", 0, { key: `k${i}-${n}` });
          done++;
          // While the others are under way.
          if (done === 45) killed = mortal.kill();
        }
      }),
    );
    await until("it to be killed", () => killed !== undefined);
    await killed;
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
