// OpenTelemetry where a program uses it. Its API keeps what a program registers on globalThis, for all copies of itself to
// find: nothing there means that nobody would see a span, and then the API is not even imported.

import type * as Api from "@opentelemetry/api";

export type Telemetry = typeof Api;

/** Of version 1, the one that the SDKs know. */
const REGISTERED = Symbol.for("opentelemetry.js.api.1");

let imported: Promise<Telemetry | undefined> | undefined;

/** Undefined where nobody would see the spans of `tracer`. */
export async function telemetry(tracer: string): Promise<Telemetry | undefined> {
  if (!(REGISTERED in globalThis)) return undefined;
  imported ??= import("@opentelemetry/api").catch(() => undefined);
  const api = await imported;
  return api !== undefined && isSeen(api, tracer) ? api : undefined;
}

/** Without a provider the API stands in for one. */
function isSeen({ trace, ProxyTracerProvider }: Telemetry, tracer: string): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(tracer) !== undefined;
}
