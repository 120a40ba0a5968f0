// What is tried again: a submit under the key of its first try, so that a job whose answer was lost is not made twice.

import { Client, DeadlineExceededError, step } from "@drover/client";
import { FlowServiceService, JobServiceService } from "@drover/proto/v1";
import { Job, JobState } from "@drover/proto/v1/job";
import { Server, ServerCredentials, type ServerWritableStream, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

let server: Server;
let client: Client;

beforeEach(() => {
  server = new Server();
});
afterEach(() => {
  vi.useRealTimers();
  client.close();
  server.forceShutdown();
});

async function connect(options: { readonly timeout?: number } = {}): Promise<void> {
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  client = new Client({ address: `127.0.0.1:${port}`, ...options });
}

/** Stores nothing and loses its first answers; keeps which keys it was given. */
function losing<Q, A>(answersLost: number, keysOf: (request: Q) => (string | undefined)[], answer: A) {
  const seen: (string | undefined)[][] = [];
  const handler = ({ request }: { request: Q }, done: (error: object | null, answer?: A) => void) => {
    seen.push(keysOf(request));
    if (seen.length > answersLost) done(null, answer);
    else done({ code: status.UNAVAILABLE, details: "the connection was lost" });
  };
  return { seen, handler };
}

describe("a key that the client made is kept for every try", () => {
  const keys = (seen: readonly unknown[]) => new Set(seen.map((each) => JSON.stringify(each)));

  test("of a submit", async () => {
    const stored = { id: "t~k", state: JobState.JOB_STATE_READY, deduplicated: false };
    const { seen, handler } = losing(2, ({ job }: { job?: { key: string } }) => [job?.key], stored);
    server.addService(JobServiceService, { submit: handler });
    await connect();
    await client.submit("t");
    expect(seen).toHaveLength(3);
    expect(keys(seen).size).toBe(1);
    expect(seen[0]?.[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("of each job of a batch", async () => {
    const stored = { id: "t~k", state: JobState.JOB_STATE_READY, deduplicated: false, error: undefined };
    const keysOf = ({ jobs }: { jobs: { key: string }[] }) => jobs.map(({ key }) => key);
    const { seen, handler } = losing(2, keysOf, { results: [stored, stored] });
    server.addService(JobServiceService, { submitBatch: handler });
    await connect();
    await client.submitBatch([{ task: "t" }, { task: "t" }]);
    expect(seen).toHaveLength(3);
    expect(keys(seen).size).toBe(1);
    expect(new Set(seen[0]).size).toBe(2);
  });

  test("of a flow, and of its members' jobs", async () => {
    type Asked = { flow?: { key: string; members: { job?: { key: string } }[] } };
    const keysOf = ({ flow }: Asked) => [flow?.key, ...(flow?.members.map(({ job }) => job?.key) ?? [])];
    const { seen, handler } = losing(2, keysOf, { key: "f", deduplicated: false, jobIds: [] });
    server.addService(FlowServiceService, { submit: handler });
    await connect();
    await client.flows.submit(step("t"));
    expect(seen).toHaveLength(3);
    expect(keys(seen).size).toBe(1);
    expect(seen[0]?.[0]).toMatch(/^[0-9a-f-]{36}$/);
  });
});

test("what must not happen twice is tried once", async () => {
  const { seen, handler } = losing(Number.POSITIVE_INFINITY, ({ id }: { id: string }) => [id], {});
  server.addService(JobServiceService, { redrive: handler });
  await connect();
  await expect(client.job("t~k").redrive()).rejects.toThrow("the connection was lost");
  expect(seen).toEqual([["t~k"]]);
});

test("a watch that was lost is opened again, and ends when no broker answers in time", async () => {
  let opened = 0;
  const watch = (stream: ServerWritableStream<unknown, unknown>) => {
    opened++;
    if (opened > 2) return;
    stream.write({ job: Job.create({ id: "t~k", state: JobState.JOB_STATE_READY, attempt: opened }) });
    stream.emit("error", { code: status.UNAVAILABLE, details: "lost" });
  };
  server.addService(JobServiceService, { watch });
  await connect();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const { state } of client.job("t~k").watch({ timeout: 1_000 })) seen.push(state);
  })();
  await expect(watching).rejects.toThrow(DeadlineExceededError);
  expect(seen).toEqual(["READY", "READY"]);
  expect(opened).toBe(3);
});

test("a watch goes on beyond the time that the client's calls have", async () => {
  let opened = 0;
  const watch = (stream: ServerWritableStream<unknown, unknown>) => {
    if (++opened < 3) return void stream.emit("error", { code: status.UNAVAILABLE, details: "starting" });
    stream.write({ job: Job.create({ id: "t~k", state: JobState.JOB_STATE_SUCCEEDED }) });
  };
  server.addService(JobServiceService, { watch });
  await connect({ timeout: 1 });
  const seen: string[] = [];
  for await (const { state } of client.job("t~k").watch()) seen.push(state);
  expect(seen).toEqual(["SUCCEEDED"]);
});

test("a watch goes on after a stream that broke in a long silence", async () => {
  // Only the clock that the client reads: what is to happen after a time happens in real time.
  vi.useFakeTimers({ toFake: ["performance"] });
  const opened: ServerWritableStream<unknown, unknown>[] = [];
  const lost = { code: status.UNAVAILABLE, details: "lost" };
  const watch = (stream: ServerWritableStream<unknown, unknown>) => {
    opened.push(stream);
    if (opened.length === 2) return void stream.emit("error", lost);
    const state = opened.length === 1 ? JobState.JOB_STATE_RUNNING : JobState.JOB_STATE_SUCCEEDED;
    stream.write({ job: Job.create({ id: "t~k", state }) });
  };
  server.addService(JobServiceService, { watch });
  await connect();
  const seen: string[] = [];
  for await (const { state } of client.job("t~k").watch()) {
    seen.push(state);
    if (opened.length > 1) continue;
    vi.advanceTimersByTime(3_600_000);
    opened[0]?.emit("error", lost);
  }
  expect(seen).toEqual(["RUNNING", "SUCCEEDED"]);
  expect(opened).toHaveLength(3);
});
