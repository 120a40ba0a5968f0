// Spans of runs, where the program uses OpenTelemetry: a run's span continues the trace that the submit wrote into the
// headers.

import { type Telemetry, telemetry } from "@drover/proto/sdk/telemetry";
import type { Lease } from "@drover/proto/v1";
import { isPromise } from "./invoke.js";
import { VERSION } from "./version.js";

const TRACER = "@drover/worker";

/** Runs a handler's invocation inside of a span. */
export type Tracing = (lease: Lease, invocation: () => unknown) => unknown;

/** Undefined where nobody would see a span. */
export async function tracing(): Promise<Tracing | undefined> {
  const otel = await telemetry(TRACER);
  return otel && ((lease, invocation) => inSpan(otel, lease, invocation));
}

function inSpan(otel: Telemetry, lease: Lease, invocation: () => unknown): unknown {
  const { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = otel;
  const submitted = propagation.extract(ROOT_CONTEXT, lease.headers);
  const of = trace.getSpanContext(submitted);
  const attributes = {
    "messaging.system": "drover",
    "messaging.operation.type": "process",
    "messaging.destination.name": lease.queue,
    "messaging.message.id": lease.jobId,
    "drover.task": lease.task,
    "drover.attempt": lease.attempt,
  };
  const links = of === undefined ? [] : [{ context: of }];
  const options = { kind: SpanKind.CONSUMER, attributes, links };
  const span = trace.getTracer(TRACER, VERSION).startSpan(`run ${lease.task}`, options, submitted);
  const failed = (error: unknown) => {
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  };
  try {
    const result = context.with(trace.setSpan(submitted, span), invocation);
    if (isPromise(result)) result.then(() => span.end(), failed);
    else span.end();
    return result;
  } catch (error) {
    failed(error);
    throw error;
  }
}
