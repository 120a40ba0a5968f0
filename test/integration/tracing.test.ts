// One trace from the submit to the run, where the program has OpenTelemetry. The provider is the least that its API
// takes: what is tested is what the SDKs do with it.

import { Client } from "@drover/client";
import { defineTask } from "@drover/worker";
import { startDrover, type TestDrover } from "@drover/worker/testing";
import {
  type Context,
  context,
  type Link,
  propagation,
  type SpanContext,
  type SpanOptions,
  trace,
} from "@opentelemetry/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { w3cPropagator } from "../support/trace-propagator.js";

interface Seen {
  name: string;
  spanContext: SpanContext;
  parent: SpanContext | undefined;
  links: Link[];
  failed: boolean;
  ended: boolean;
}

const seen: Seen[] = [];
const hex = (digits: number) =>
  Array.from({ length: digits }, () => Math.floor(Math.random() * 16).toString(16)).join("");

function startSpan(name: string, options: SpanOptions = {}, around: Context = context.active()) {
  const parent = trace.getSpanContext(around);
  const spanContext = { traceId: parent?.traceId ?? hex(32), spanId: hex(16), traceFlags: 1 };
  const span: Seen = { name, spanContext, parent, links: options.links ?? [], failed: false, ended: false };
  seen.push(span);
  // An ended span of the API's own would tell nobody: this one notes what becomes of it.
  return Object.assign(trace.wrapSpanContext(spanContext), {
    recordException: () => {
      span.failed = true;
    },
    end: () => {
      span.ended = true;
    },
  });
}

const headers: Record<string, string>[] = [];
const tasks = [
  defineTask({
    name: "trace.ok",
    handler: (_: unknown, context) => {
      headers.push({ ...context.headers });
      return 1;
    },
  }),
  defineTask({
    name: "trace.fails",
    handler: async () => {
      throw new Error("no");
    },
  }),
];

let drover: TestDrover;
let client: Client;

beforeAll(async () => {
  const tracer = { startSpan, startActiveSpan: () => expect.unreachable("nobody asks for this") };
  trace.setGlobalTracerProvider({ getTracer: () => tracer });
  propagation.setGlobalPropagator(w3cPropagator);
  drover = await startDrover({ tasks });
  client = new Client({ address: drover.address });
});

afterAll(async () => {
  client?.close();
  await drover?.stop();
  trace.disable();
  propagation.disable();
});

const spans = (name: string) => seen.filter((span) => span.name === name);

test("a run's span is a child of its submit's, and linked to it", async () => {
  await (await client.submit("trace.ok")).result({ timeout: 30_000 });
  const [submit, run] = [spans("submit trace.ok")[0], spans("run trace.ok")[0]];
  expect(submit).toMatchObject({ ended: true, failed: false });
  expect(run).toMatchObject({ ended: true, failed: false });
  expect(run?.parent).toMatchObject({ ...submit?.spanContext, isRemote: true });
  expect(run?.links[0]?.context.spanId).toBe(submit?.spanContext.spanId);
  expect(headers[0]?.traceparent).toBe(`00-${submit?.spanContext.traceId}-${submit?.spanContext.spanId}-01`);
});

test("a trace that a submit names itself goes before the program's", async () => {
  const traceparent = `00-${hex(32)}-${hex(16)}-01`;
  await (await client.submit("trace.ok", {}, { headers: { traceparent } })).result({ timeout: 30_000 });
  expect(headers.at(-1)?.traceparent).toBe(traceparent);
});

test("a run that fails ends its span as failed", async () => {
  await (await client.submit("trace.fails", {}, { retry: { retries: 0 } })).wait({ timeout: 30_000 });
  expect(spans("run trace.fails")).toMatchObject([{ ended: true, failed: true }]);
});

test("a batch is one span, and so is a submit that is refused", async () => {
  const items = [{ task: "trace.ok" }, { task: "trace.ok" }];
  await client.submitBatch(items);
  expect(spans("submit batch")).toMatchObject([{ ended: true, failed: false }]);
  await expect(client.submit("trace.ok", {}, { priority: 99 })).rejects.toThrow();
  expect(spans("submit trace.ok").at(-1)).toMatchObject({ ended: true, failed: true });
});
