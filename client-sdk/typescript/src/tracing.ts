// Spans of submits, where the program has OpenTelemetry (@opentelemetry/api) and has registered a tracer provider. Where it
// has not, nothing is imported and nothing is done. The trace goes along in the job's headers, as W3C has them.

import type { JobSpec } from "@drover/proto/v1";
import type * as Api from "@opentelemetry/api";
import { VERSION } from "./version.js";

type Otel = typeof Api;

let loading: Promise<Otel | undefined> | undefined;

function load(): Promise<Otel | undefined> {
  loading ??= import("@opentelemetry/api").catch(() => undefined);
  return loading;
}

/** Whether anybody would see a span: without a provider the API stands in for one. */
function isUsed({ trace, ProxyTracerProvider }: Otel): boolean {
  const provider = trace.getTracerProvider();
  return (
    !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer("@drover/client") !== undefined
  );
}

/** Submits inside of a span, which is written into the headers of each job; headers that a submit has itself win. */
export async function traced<T>(
  name: string,
  specs: readonly JobSpec[],
  submit: () => Promise<T>,
  idOf: (submitted: T) => string | undefined,
): Promise<T> {
  const otel = await load();
  if (otel === undefined || !isUsed(otel)) return submit();
  const { context, propagation, SpanKind, SpanStatusCode, trace } = otel;
  const span = trace.getTracer("@drover/client", VERSION).startSpan(name, {
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
