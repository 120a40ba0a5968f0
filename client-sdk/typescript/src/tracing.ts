// Spans of submits, where the program uses OpenTelemetry. The trace goes along in the job's headers, as W3C has them.

import { telemetry } from "@drover/proto/sdk/telemetry";
import type { JobSpec } from "@drover/proto/v1";
import { VERSION } from "./version.js";

const TRACER = "@drover/client";

/** Submits inside of a span, which is written into the headers of each job; headers that a submit has itself win. */
export async function traced<T>(
  name: string,
  specs: readonly JobSpec[],
  submit: () => Promise<T>,
  idOf: (submitted: T) => string | undefined,
): Promise<T> {
  const otel = await telemetry(TRACER);
  if (otel === undefined) return submit();
  const { context, propagation, SpanKind, SpanStatusCode, trace } = otel;
  const span = trace.getTracer(TRACER, VERSION).startSpan(name, {
    kind: SpanKind.PRODUCER,
    attributes: {
      "messaging.system": "drover",
      "messaging.operation.type": "send",
      "messaging.batch.message_count": specs.length,
    },
  });
  const within = trace.setSpan(context.active(), span);
  const headers: Record<string, string> = {};
  propagation.inject(within, headers);
  for (const spec of specs) spec.headers = { ...headers, ...spec.headers };
  try {
    const submitted = await context.with(within, submit);
    const id = idOf(submitted);
    if (id !== undefined) span.setAttribute("messaging.message.id", id);
    return submitted;
  } catch (error) {
    span.recordException(error as Error);
    span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message });
    throw error;
  } finally {
    span.end();
  }
}
