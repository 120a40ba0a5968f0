// The way of a job from program to program, as a collector of traces sees it: client, broker and worker send their spans
// to the same one.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, step } from "@drover/client";
import { defineTask } from "@drover/worker";
import { startDrover, type TestDrover } from "@drover/worker/testing";
import { propagation, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { freePort } from "../support/nats.js";
import { type CollectedSpan, TraceCollector, treeOf } from "../support/trace-collector.js";
import { w3cPropagator } from "../support/trace-propagator.js";
import { until } from "../support/until.js";

const headersSeen: Record<string, string>[] = [];
let failures = 1;
const tasks = [
  defineTask({
    name: "mail.send",
    handler: async (_: unknown, { headers }) => {
      headersSeen.push({ ...headers });
      failures -= 1;
      if (failures >= 0) throw new TypeError("the mail server is busy: secret");
      return "sent";
    },
  }),
];

let collector: TraceCollector;
let drover: TestDrover;
let client: Client;
let provider: TracerProvider;

beforeAll(async () => {
  collector = await TraceCollector.start();
  const exporter = new OTLPTraceExporter({ url: `${collector.endpoint}/v1/traces` });
  provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": "shop" }),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  trace.setGlobalTracerProvider(provider);
  propagation.setGlobalPropagator(w3cPropagator);
  drover = await startDrover({ tasks, env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint } });
  client = new Client({ address: drover.address });
});

afterAll(async () => {
  client?.close();
  await drover?.stop();
  await provider?.shutdown();
  await collector?.stop();
  trace.disable();
  propagation.disable();
});

const note = ({ attributes }: CollectedSpan) =>
  [attributes["drover.attempt"], attributes["drover.attempt.outcome"], attributes["drover.outcome"]]
    .filter((word) => word !== undefined)
    .join(" ");

test("a job with a retry is one tree, from its submit to its outcome", async () => {
  failures = 1;
  const job = await client.submit("mail.send", {}, { retry: { retries: 1, initialDelay: 20 } });
  expect(await job.result({ timeout: 30_000 })).toBe("sent");
  const submit = await until("the client's span", () =>
    collector.spans.find(({ service, name }) => service === "shop" && name === "submit mail.send"),
  );
  await collector.trace(submit.traceId, "outcome mail.send");
  const spans = await until("the spans of both runs", () => {
    const found = collector.spans.filter(({ traceId }) => traceId === submit.traceId);
    return found.filter(({ name }) => name === "run mail.send").length === 2 && found;
  });
  expect(treeOf(spans, note)).toEqual([
    "shop: submit mail.send",
    "  drover-broker: submit mail.send",
    "    drover-broker: attempt mail.send FAILED 1 failed",
    "      shop: run mail.send FAILED 1",
    "    drover-broker: attempt mail.send 2 succeeded",
    "      shop: run mail.send 2",
    "      drover-broker: outcome mail.send succeeded",
  ]);
  const broker = spans.filter(({ service }) => service === "drover-broker");
  for (const { start, end, attributes } of broker) {
    expect(start).toBeLessThanOrEqual(end);
    expect(attributes).toMatchObject({
      "messaging.system": "drover",
      "messaging.destination.name": "default",
      "messaging.message.id": job.id,
      "drover.task": "mail.send",
    });
  }
  expect(broker.find(({ failed }) => failed)?.attributes["error.type"]).toBe("TypeError");
  expect(
    JSON.stringify(broker, (_, value) => (typeof value === "bigint" ? `${value}` : value)),
  ).not.toContain("secret");
  const runs = spans.filter(({ name }) => name === "run mail.send");
  for (const run of runs) expect(run.links).toEqual([run.parentSpanId]);
});

test("a submitter that does not want a trace gets none, and its worker neither", async () => {
  const unsampled = `00-${"a".repeat(32)}-${"b".repeat(16)}-00`;
  await (await client.submit("mail.send", {}, { headers: { traceparent: unsampled } })).result();
  expect(headersSeen.at(-1)?.traceparent).toBe(unsampled);
  // Whatever was collected is sent before the next job's end is.
  const traceparent = `00-${"c".repeat(32)}-${"d".repeat(16)}-01`;
  await (await client.submit("mail.send", {}, { headers: { traceparent } })).result();
  await collector.trace("c".repeat(32), "outcome mail.send");
  expect(collector.spans.filter(({ traceId }) => traceId === "a".repeat(32))).toEqual([]);
});

test("what is cancelled before it ran ends under its submit, and members of a flow have traces too", async () => {
  const traceparent = `00-${"e".repeat(32)}-${"f".repeat(16)}-01`;
  const job = await client.submit("mail.send", {}, { delay: 60_000, headers: { traceparent } });
  await job.cancel();
  expect(treeOf(await collector.trace("e".repeat(32), "outcome mail.send"), note)).toEqual([
    "drover-broker: submit mail.send",
    "  drover-broker: outcome mail.send cancelled",
  ]);
  const flow = await client.flows.submit(step("mail.send"));
  await flow.result({ timeout: 30_000 });
  const submit = await until("the client's span", () =>
    collector.spans.find(({ name }) => name === "submit flow"),
  );
  const spans = await collector.trace(submit.traceId, "run mail.send", "outcome mail.send");
  expect(treeOf(spans, note)).toEqual([
    "shop: submit flow",
    "  drover-broker: submit mail.send",
    "    drover-broker: attempt mail.send 1 succeeded",
    "      shop: run mail.send 1",
    "      drover-broker: outcome mail.send succeeded",
  ]);
});

test("spans have the times of what they are about", async () => {
  const from = Date.now();
  const traceparent = `00-${"1".repeat(32)}-${"2".repeat(16)}-01`;
  const job = await client.submit("mail.send", {}, { headers: { traceparent } });
  await job.result({ timeout: 30_000 });
  const spans = await collector.trace("1".repeat(32), "outcome mail.send");
  const to = Date.now();
  for (const { name, start, end } of spans.filter(({ service }) => service === "drover-broker")) {
    // In nanoseconds; the nats-server's clock is this machine's.
    expect(Number(start) / 1e6, name).toBeGreaterThanOrEqual(from - 1_000);
    expect(Number(end) / 1e6, name).toBeLessThanOrEqual(to + 1_000);
  }
});

test("a broker that is stopped sends what it has before it ends", async () => {
  const broker = await Broker.start({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint } });
  const other = new Client({ address: broker.address });
  const traceparent = `00-${"3".repeat(32)}-${"4".repeat(16)}-01`;
  await (await other.submit("nobody.serves", {}, { headers: { traceparent } })).cancel();
  other.close();
  await broker.stop();
  const names = collector.spans.filter(({ traceId }) => traceId === "3".repeat(32)).map(({ name }) => name);
  expect(names.sort()).toEqual(["outcome nobody.serves", "submit nobody.serves"]);
});

test("a collector that is away costs a warning, and no job", async () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}/`,
    OTEL_EXPORTER_OTLP_TIMEOUT: "500",
  };
  const broker = await Broker.start({ env });
  const other = new Client({ address: broker.address });
  try {
    const job = await other.submit("nobody.serves");
    await job.cancel();
    await until("the warning", () => broker.log.find((line) => line.includes("spans could not be sent")));
    expect((await job.status()).state).toBe("CANCELLED");
  } finally {
    other.close();
    await broker.stop();
  }
});

test.each([
  ["without a collector nothing is loaded that makes or sends spans", undefined, false],
  ["with one it is", "http://127.0.0.1:1", true],
])("%s", async (_, endpoint, loaded) => {
  // Node.js writes down here which scripts it has loaded.
  const folder = mkdtempSync(join(tmpdir(), "drover-loaded-"));
  try {
    const env = { NODE_V8_COVERAGE: folder, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint ?? "" };
    await (await Broker.start({ env })).stop();
    const [file = ""] = readdirSync(folder);
    const { result } = JSON.parse(readFileSync(join(folder, file), "utf8")) as { result: { url: string }[] };
    expect(result.some(({ url }) => url.includes("broker/dist/broker.js"))).toBe(true);
    expect(result.some(({ url }) => url.includes("@opentelemetry/sdk-trace"))).toBe(loaded);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
