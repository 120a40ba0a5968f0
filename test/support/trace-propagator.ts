// W3C trace context for OpenTelemetry's API, which has none of its own.

import { isSpanContextValid, type TextMapPropagator, TraceFlags, trace } from "@opentelemetry/api";
import { parseTraceParent, traceHeader, traceParent } from "../../broker/src/core/trace-context.js";

export const w3cPropagator: TextMapPropagator = {
  inject: (from, carrier, setter) => {
    const span = trace.getSpanContext(from);
    if (span === undefined || !isSpanContextValid(span)) return;
    const sampled = (span.traceFlags & TraceFlags.SAMPLED) !== 0;
    setter.set(carrier, traceHeader, traceParent({ ...span, sampled }));
  },
  extract: (into, carrier, getter) => {
    const found = parseTraceParent(String(getter.get(carrier, traceHeader) ?? ""));
    if (found === undefined) return into;
    const traceFlags = found.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
    return trace.setSpanContext(into, { ...found, traceFlags, isRemote: true });
  },
  fields: () => [traceHeader],
};
