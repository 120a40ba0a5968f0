// A broker that hangs hangs nobody: whatever the client is asked ends with an error once its time is over.

import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import {
  Client,
  DeadlineExceededError,
  FlowTimeoutError,
  type JobHandle,
  ResultTimeoutError,
  step,
} from "@drover/client";
import { Flow, FlowServiceService, FlowState, JobServiceService } from "@drover/proto/v1";
import { Job, JobState } from "@drover/proto/v1/job";
import { Server as GrpcServer, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { until } from "../../support/until.js";

/** Of each call, in ms. */
const timeout = 200;
const waits = { timeout };

type Call = (client: Client) => Promise<unknown> | AsyncIterable<unknown>;

const job = (client: Client): JobHandle => client.job("t~k");

/** Every method of a client and of its parts and handles that asks a broker. */
const calls: Record<string, Call> = {
  "Client.submit": (client) => client.submit("t"),
  "Client.submitBatch": async (client) => {
    for (const result of await client.submitBatch([{ task: "t" }, { task: "t" }]))
      if (!result.ok) throw result.error;
  },
  "Client.list": (client) => client.list(),
  "Client.listPage": (client) => client.listPage(),
  "JobHandle.status": (client) => job(client).status(),
  "JobHandle.wait": (client) => job(client).wait(waits),
  "JobHandle.result": (client) => job(client).result(waits),
  "JobHandle.cancel": (client) => job(client).cancel(),
  "JobHandle.watch": (client) => job(client).watch(waits),
  "JobHandle.redrive": (client) => job(client).redrive(),
  "JobHandle.explain": (client) => job(client).explain(),
  "JobHandle.move": (client) => job(client).move({ queue: "q" }),
  "Flows.submit": (client) => client.flows.submit(step("t")),
  "Flows.list": (client) => client.flows.list(),
  "FlowHandle.status": (client) => client.flows.flow("f").status(),
  "FlowHandle.members": (client) => client.flows.flow("f").members(),
  "FlowHandle.watch": (client) => client.flows.flow("f").watch(waits),
  "FlowHandle.wait": (client) => client.flows.flow("f").wait(waits),
  "FlowHandle.outcomes": (client) => client.flows.flow("f").outcomes(waits),
  "FlowHandle.results": (client) => client.flows.flow("f").results(waits),
  "FlowHandle.result": (client) => client.flows.flow("f").result(waits),
  "FlowHandle.cancel": (client) => client.flows.flow("f").cancel(),
  "FlowHandle.redrive": (client) => client.flows.flow("f").redrive(),
  "Queues.list": (client) => client.queues.list(),
  "Queues.get": (client) => client.queues.get("q"),
  "Queues.update": (client) => client.queues.update("q", {}),
  "Queues.pause": (client) => client.queues.pause("q"),
  "Queues.resume": (client) => client.queues.resume("q"),
  // The broker itself may take 30 s for it, so it has a timeout of its own.
  "Queues.purge": (client) => client.queues.purge("q", waits),
  "Tasks.get": (client) => client.tasks.get("t"),
  "Tasks.limit": (client) => client.tasks.limit("t", {}),
  "Routes.list": (client) => client.routes.list(),
  "Routes.put": (client) => client.routes.put("o", []),
  "Routes.test": (client) => client.routes.test("t"),
  "Schedules.put": (client) => client.schedules.put("o", []),
  "Schedules.get": (client) => client.schedules.get("s"),
  "Schedules.list": (client) => client.schedules.list(),
  "Schedules.delete": (client) => client.schedules.delete("s"),
  "Schedules.pause": (client) => client.schedules.pause("s"),
  "Schedules.resume": (client) => client.schedules.resume("s"),
  "Schedules.trigger": (client) => client.schedules.trigger("s"),
  "Schedules.preview": (client) => client.schedules.preview("s"),
  "Inspect.workers": (client) => client.inspect.workers(),
  "Inspect.active": (client) => client.inspect.active(),
  "Inspect.registered": (client) => client.inspect.registered(),
  "Inspect.serverInfo": (client) => client.inspect.serverInfo(),
};

/** They ask no broker. */
const silent = ["Client.job", "Client.close", "Flows.flow"];

/** Who waits is told so: what is waited for goes on. */
const errors: Record<string, unknown> = {
  "JobHandle.wait": ResultTimeoutError,
  "JobHandle.result": ResultTimeoutError,
  "FlowHandle.wait": FlowTimeoutError,
  "FlowHandle.outcomes": FlowTimeoutError,
  "FlowHandle.results": FlowTimeoutError,
  "FlowHandle.result": FlowTimeoutError,
};

test("no method is left out here", () => {
  const client = new Client({ address: "127.0.0.1:1" });
  const parts = Object.values(client).filter((part): part is object => typeof part === "object");
  const found = [client, job(client), client.flows.flow("f"), ...parts].flatMap((part) => {
    const { constructor: Class } = part;
    return Object.getOwnPropertyNames(Class.prototype)
      .filter((name) => name !== "constructor")
      .map((name) => `${Class.name}.${name}`);
  });
  client.close();
  expect(Object.keys(calls).sort()).toEqual(found.filter((name) => !silent.includes(name)).sort());
});

/** To its end, whatever it tells on the way. */
async function end(told: ReturnType<Call>): Promise<void> {
  if (told instanceof Promise) await told;
  else for await (const _ of told);
}

const brokers: Record<string, () => Server> = {
  "takes connections and says nothing": () => createTcpServer(),
  "takes calls and answers none": () => createHttp2Server().on("stream", () => {}),
};

describe.each(Object.keys(brokers))("with a broker that %s", (name) => {
  let broker: Server;
  let address: string;

  beforeAll(async () => {
    broker = (brokers[name] ?? expect.unreachable())();
    broker.listen(0, "127.0.0.1");
    await once(broker, "listening");
    address = `127.0.0.1:${(broker.address() as AddressInfo).port}`;
  });
  afterAll(() => void broker.close());

  test.concurrent.each(Object.keys(calls))("%s ends with its time", async (method) => {
    const client = new Client({ address, timeout });
    try {
      const call = (calls[method] ?? expect.unreachable())(client);
      await expect(end(call)).rejects.toThrow((errors[method] ?? DeadlineExceededError) as typeof Error);
    } finally {
      client.close();
    }
  });

  test.each([
    ["a job", (client: Client) => job(client).wait({ timeout: 100 }), ResultTimeoutError],
    ["a flow", (client: Client) => client.flows.flow("f").wait({ timeout: 100 }), FlowTimeoutError],
  ])("who waits again for %s is not kept at it while another one answers", async (_, wait, late) => {
    const sound = new GrpcServer();
    sound.addService(JobServiceService, { wait: everyJobHasEnded });
    sound.addService(FlowServiceService, { watch: everyFlowHasEnded });
    const port = await new Promise<number>((resolve, reject) =>
      sound.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    // Clients begin with any of their brokers: this one with the first.
    const first = vi.spyOn(Math, "random").mockReturnValue(0);
    const client = new Client({ addresses: [address, `127.0.0.1:${port}`] });
    first.mockRestore();
    try {
      await expect(wait(client)).rejects.toThrow(late);
      const ended = () => wait(client) as Promise<{ readonly state: string }>;
      expect((await until("the other one's answer", () => ended().catch(() => undefined))).state).toBe(
        "SUCCEEDED",
      );
    } finally {
      client.close();
      sound.forceShutdown();
    }
  });
});

function everyJobHasEnded(
  { request }: { request: { ids: string[] } },
  done: (error: null, answer: object) => void,
): void {
  const results = request.ids.map((id) => ({ job: Job.create({ id, state: JobState.JOB_STATE_SUCCEEDED }) }));
  done(null, { done: true, results });
}

function everyFlowHasEnded(stream: ServerWritableStream<{ key: string }, object>): void {
  const { key } = stream.request;
  stream.write({ flow: Flow.create({ key, state: FlowState.FLOW_STATE_SUCCEEDED }) });
}
