// Flows as users build and follow them: TypeScript client and worker, a broker as a process, everything over gRPC.

import {
  Client,
  chain,
  chord,
  FlowFailedError,
  FlowNotFoundError,
  FlowTimeoutError,
  graph,
  group,
  step,
} from "@drover/client";
import { Permanent, Worker } from "@drover/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { until } from "../support/until.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const KiB = 1024;

let broker: Broker;
let client: Client;
let worker: Worker;
let callbacks = 0;

beforeAll(async () => {
  broker = await Broker.start();
  client = new Client({ address: broker.address });
  worker = new Worker({ address: broker.address, logger: silent, concurrency: 50 });
  worker.task("flow.number", (n: number) => n);
  worker.task("flow.double", async (_: unknown, context) => {
    const [input] = await context.inputs();
    return (input?.result as number) * 2;
  });
  worker.task("flow.sum", async (_: unknown, context) => {
    callbacks++;
    const inputs = await context.inputs();
    return inputs.reduce((sum, { result }) => sum + (result as number), 0);
  });
  worker.task("flow.look", async (_: unknown, context) =>
    (await context.inputs()).map(({ state, failure }) => [state, failure?.message]),
  );
  worker.task("flow.fail", () => {
    throw new Permanent("not today");
  });
  worker.task("flow.large", (letter: string) => letter.repeat(200 * KiB));
  worker.task("flow.sizes", async (_: unknown, context) =>
    (await context.inputs()).map(({ result }) => `${String(result)[0]}${String(result).length}`),
  );
  worker.task("flow.stay", (_: unknown, { signal }) => {
    return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  await worker.start();
});

afterAll(async () => {
  await worker?.stop();
  client?.close();
  await broker?.stop();
});

const number = (n: number) => step("flow.number", n);
const double = step("flow.double");
const sum = step("flow.sum");

describe("what a flow comes to", () => {
  test.each([
    ["a chain: each step gets the result before it", chain(number(5), double, double), [20]],
    ["a group: the results in order", group([number(3), number(1), number(2)]), [3, 1, 2]],
    ["a chord: the callback gets the list", chord([number(1), number(2), number(3)], sum), [6]],
    ["a chain in a group in a chord", chord([chain(number(5), double), number(1)], sum), [11]],
    ["a group in a chain", chain(number(4), group([double, double]), sum), [16]],
    [
      "a graph: each vertex gets the results it names, and what nobody waits for are the flow's",
      graph({
        total: { node: sum, after: ["five", "twice"] },
        twice: { node: double, after: ["five"] },
        five: { node: number(5) },
        other: { node: number(1) },
      }),
      [15, 1],
    ],
  ])("%s", async (_what, node, results) => {
    const flow = await client.flows.submit(node);
    expect(await flow.results({ timeout: 30_000 })).toEqual(results);
    expect(await flow.status()).toMatchObject({ state: "SUCCEEDED", finished: true });
  });

  test("a chord of 200 has one callback", async () => {
    callbacks = 0;
    const flow = await client.flows.submit(
      chord(
        Array.from({ length: 200 }, (_, n) => number(n)),
        sum,
      ),
    );
    expect(await flow.result({ timeout: 30_000 })).toBe((199 * 200) / 2);
    expect(callbacks).toBe(1);
  });

  test("inputs that are too large for a lease come in pages", async () => {
    const letters = ["a", "b", "c", "d"];
    const flow = await client.flows.submit(
      chord(
        letters.map((letter) => step("flow.large", letter)),
        step("flow.sizes"),
      ),
    );
    expect(await flow.result({ timeout: 30_000 })).toEqual(letters.map((letter) => `${letter}${200 * KiB}`));
  });
});

describe("what fails", () => {
  test("ends a flow, and what did succeed is told apart", async () => {
    const failing = step("flow.fail", null, { onFailure: "skip-dependents" });
    const flow = await client.flows.submit(group([number(1), failing, number(3)]));
    const error = await flow.results({ timeout: 30_000 }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(FlowFailedError);
    const { outcomes, flow: status } = error as FlowFailedError;
    expect(outcomes.map(({ state, result }) => [state, result])).toEqual([
      ["SUCCEEDED", 1],
      ["FAILED", undefined],
      ["SUCCEEDED", 3],
    ]);
    expect(outcomes[1]?.failure).toMatchObject({ reason: "PERMANENT", message: "not today" });
    expect(status.failedMember).toBe(1);
  });

  test("is among the inputs of those that go on all the same", async () => {
    const failing = step("flow.fail", null, { onFailure: "continue" });
    const flow = await client.flows.submit(chord([number(1), failing], step("flow.look")));
    expect(await flow.result({ timeout: 30_000 })).toEqual([
      ["SUCCEEDED", null],
      ["FAILED", "not today"],
    ]);
  });
});

describe("a flow", () => {
  test("submitted again under its key is the same flow", async () => {
    const key = "once";
    const node = chain(number(1), double);
    const [first, second] = await Promise.all([
      client.flows.submit(node, { key }),
      client.flows.submit(node, { key }),
    ]);
    expect([first.key, second.key]).toEqual([key, key]);
    expect(await client.flows.flow(key).result({ timeout: 30_000 })).toBe(2);
  });

  test("is waited for no longer than was said, and cancelled with all that is in it", async () => {
    const flow = await client.flows.submit(chain(step("flow.stay"), double), { name: "stays" });
    const late = await flow.wait({ timeout: 300 }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(FlowTimeoutError);
    await until("its first member to run", async () =>
      (await client.job(`flow.stay~${flow.key}.0`).status()).state === "RUNNING" ? true : undefined,
    );
    expect(await flow.cancel("enough")).toMatchObject({ cancelled: 1, requested: 1 });
    expect((await flow.wait({ timeout: 30_000 })).state).toBe("CANCELLED");
    const listed = [];
    for await (const each of client.flows.list({ name: "stays" })) listed.push(each.key);
    expect(listed).toEqual([flow.key]);
  });

  test("that nobody submitted is not found", async () => {
    await expect(client.flows.flow("none").status()).rejects.toBeInstanceOf(FlowNotFoundError);
  });
});
