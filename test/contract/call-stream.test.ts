// JobService/Call: many small calls as messages of one stream, each answered as a call of its own would be.

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { type Message, Stranger } from "../support/stranger.js";
import { until } from "../support/until.js";

/** A stream, and what was answered on it. */
class Line {
  readonly answers = new Map<number, Message>();
  readonly stream: ClientDuplexStream<Message, Message>;
  /** The name of the code that it ended with. */
  ended: string | undefined;
  said = "";

  constructor(stranger: Stranger) {
    this.stream = stranger.calls();
    this.stream.on("data", (answer: Message) => this.answers.set(answer.id as number, answer));
    this.stream.on("error", ({ details }: ServiceError) => {
      this.said = details;
    });
    this.stream.on("status", ({ code }: { code: number }) => {
      this.ended = status[code];
    });
  }

  ask(id: number, request: Message): void {
    this.stream.write({ id, ...request });
  }

  /** What was answered to one request, by the name of the answer. */
  async answer(id: number): Promise<Message> {
    await until(`an answer to ${id}`, () => this.answers.has(id));
    return this.answers.get(id) as Message;
  }

  async end(): Promise<string | undefined> {
    await until("the stream to end", () => this.ended !== undefined);
    return this.ended;
  }
}

let broker: Broker;
let stranger: Stranger;
let line: Line;

beforeAll(async () => {
  broker = await Broker.start();
});
beforeEach(() => {
  stranger = new Stranger(broker.address);
  line = new Line(stranger);
});
afterEach(() => {
  line.stream.cancel();
  stranger.close();
});
afterAll(() => broker.stop());

const idle = (key: string): Message => ({ task: "idle", key });
const submitted = async (key: string): Promise<string> =>
  (await stranger.call("JobService/Submit", { job: idle(key) })).id as string;
const waitFor = (id: string, seconds = 60): Message => ({ wait: { ids: [id], timeout: { seconds } } });

/** Calls of a method that ended because their caller had gone. */
async function cancelled(method: string): Promise<number> {
  const metrics = await (await fetch(`${broker.httpUrl}/metrics`)).text();
  const lines = metrics.split("\n").filter((each) => each.startsWith("drover_grpc_calls_total{"));
  const line = lines.find((each) => each.includes(`"${method}"`) && each.includes('"CANCELLED"'));
  return Number(line?.split(" ").at(-1) ?? 0);
}

describe("each request is answered by its id", () => {
  test("as the call of its own would be, in any order", async () => {
    const id = await submitted("kept");
    line.ask(7, waitFor(id));
    line.ask(1, { submit: { job: idle("single") } });
    line.ask(2, { submitBatch: { jobs: [idle("first"), { ...idle("second"), priority: 10 }] } });
    line.ask(3, { status: { id } });
    line.ask(4, { statusBatch: { ids: [id, "idle~nobody"] } });
    expect(await line.answer(1)).toMatchObject({ response: "submit", submit: { id: "idle~single" } });
    expect(await line.answer(2)).toMatchObject({
      submitBatch: { results: [{ id: "idle~first" }, { error: { reason: "INVALID_ARGUMENT" } }] },
    });
    expect(await line.answer(3)).toMatchObject({ status: { job: { id, state: "JOB_STATE_READY" } } });
    expect(await line.answer(4)).toMatchObject({
      statusBatch: { results: [{ job: { id } }, { error: { reason: "JOB_NOT_FOUND" } }] },
    });
    await stranger.call("JobService/Cancel", { id });
    expect(await line.answer(7)).toMatchObject({
      wait: { done: true, results: [{ job: { state: "JOB_STATE_CANCELLED" } }] },
    });
  });

  test("with a failure that says as much as that of a call", async () => {
    const request = { job: { ...idle("bad"), priority: 10 } };
    line.ask(1, { submit: request });
    const { failure } = (await line.answer(1)) as {
      failure: { code: number; message: string; details: Buffer };
    };
    const alone = await stranger.refused("JobService/Submit", request);
    expect([status[failure.code], failure.message]).toEqual([alone.code, alone.message]);
    expect(failure.details.toString("latin1")).toContain("google.rpc.BadRequest");
    line.ask(2, { status: { id: "idle~nobody" } });
    expect(await line.answer(2)).toMatchObject({ failure: { code: status.NOT_FOUND } });
  });

  test("one that this broker does not know is UNIMPLEMENTED, and the others go on", async () => {
    line.ask(1, {});
    expect(await line.answer(1)).toMatchObject({ failure: { code: status.UNIMPLEMENTED } });
    line.ask(1, { submit: { job: idle("after-unknown") } });
    await until("the answer", () => line.answers.get(1)?.response === "submit");
  });

  test("unless nobody waits for it any more: then its number may be used again", async () => {
    const id = await submitted("left");
    line.ask(1, waitFor(id));
    line.ask(1, { left: {} });
    line.ask(2, { status: { id } });
    await line.answer(2);
    expect(line.answers.has(1)).toBe(false);
    line.ask(1, { status: { id } });
    expect(await line.answer(1)).toMatchObject({ status: { job: { id } } });
  });

  test("and the stream ends well once all are", async () => {
    const id = await submitted("owed");
    line.ask(1, waitFor(id));
    line.stream.end();
    await stranger.call("JobService/Cancel", { id });
    expect(await line.end()).toBe("OK");
    expect(line.answers.get(1)).toMatchObject({ wait: { done: true } });
  });
});

describe("the stream ends with what is wrong with it", () => {
  test.each([
    ["a request without a number", [{ id: 0, status: { id: "idle~x" } }], "id: is 0"],
    [
      "a number that is taken",
      [
        { id: 5, ...waitFor("idle~taken") },
        { id: 5, ...waitFor("idle~taken") },
      ],
      "id: 5 is that of a request which is not answered yet",
    ],
    [
      "a message that is too large",
      [{ id: 1, submit: { job: { ...idle("x"), payload: { data: Buffer.alloc(4 * 1024 * 1024) } } } }],
      "message: has 4194",
    ],
  ])("%s", async (_, requests, said) => {
    await submitted("taken");
    for (const request of requests) line.stream.write(request);
    expect(await line.end()).toBe("INVALID_ARGUMENT");
    expect(line.said).toContain(said);
    expect(await submitted("unharmed")).toBe("idle~unharmed");
  });
});

test("a client that owes the broker its attention is not read from: 1,000 unanswered are the most", async () => {
  const id = await submitted("many");
  for (let n = 1; n <= 1_000; n++) line.ask(n, waitFor(id));
  line.ask(1_001, { status: { id } });
  // Answered by another stream of the same connection, so that what was written before has arrived as well.
  const other = new Line(stranger);
  other.ask(1, { status: { id } });
  await other.answer(1);
  expect(line.answers.size).toBe(0);
  await stranger.call("JobService/Cancel", { id });
  await until("every answer", () => line.answers.size === 1_001);
  other.stream.cancel();
});

test("a client that vanishes leaves nothing open behind", async () => {
  const id = await submitted("vanishes");
  const both = () => Promise.all(["JobService/Wait", "JobService/Call"].map(cancelled));
  const [waits = 0, calls = 0] = await both();
  line.ask(1, waitFor(id));
  line.ask(2, { status: { id } });
  await line.answer(2);
  line.stream.cancel();
  await until("its calls to be over", async () => {
    const [waitsNow = 0, callsNow = 0] = await both();
    return waitsNow > waits && callsNow > calls;
  });
});

test("a broker that stops answers what it has read, and ends the stream", async () => {
  const stopping = await Broker.start();
  const caller = new Stranger(stopping.address);
  const owed = new Line(caller);
  await caller.call("JobService/Submit", { job: idle("stops") });
  owed.ask(1, waitFor("idle~stops"));
  owed.ask(2, { status: { id: "idle~stops" } });
  await owed.answer(2);
  await stopping.stop();
  expect(await owed.answer(1)).toMatchObject({ wait: { done: false } });
  expect(await owed.end()).toBe("OK");
  caller.close();
});
