// Sends spans to a collector, by OTLP over HTTP. The only file that knows OpenTelemetry's libraries, and loaded only when
// there is a collector to send to. What the collector does not take in time is dropped: a trace never holds up a job.

import { type HrTime, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from "@opentelemetry/sdk-trace";
import type { Log } from "../app/telemetry.js";
import type { Span } from "./traces.js";

/** Spans that wait for the collector, at most; some 10 MB. */
const kept = 20_000;
const batch = 2_000;
/** Between two batches, ms. */
const every = 1_000;
/** Between two complaints about a collector that takes nothing, ms. */
const complainEvery = 60_000;
/** What the collector gets for the last of them, ms. */
const lastExport = 2_000;

export interface Collector {
  collect(span: Span): void;
  /** Sends what is left. Never rejects. */
  stop(): Promise<void>;
}

export interface CollectorOptions {
  /** `http://host:4318`; spans go to `/v1/traces` below it. */
  endpoint: string;
  broker: string;
  namespace: string;
  version: string;
  log: Log;
}

export function openCollector({ endpoint, broker, namespace, version, log }: CollectorOptions): Collector {
  // OTEL_EXPORTER_OTLP_HEADERS and the like are read by the library.
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, "")}/v1/traces` });
  const processor = new BatchSpanProcessor({
    exporter: complaining(exporter, endpoint, log),
    maxQueueSize: kept,
    maxExportBatchSize: batch,
    scheduledDelayMillis: every,
  });
  const resource = resourceFromAttributes({
    "service.name": "drover-broker",
    "service.version": version,
    "service.instance.id": broker,
    "drover.namespace": namespace,
  });
  const common: Common = {
    resource,
    instrumentationScope: { name: "drover-broker", version },
    ended: true,
    links: [],
    events: [],
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
  return {
    collect: (span) => processor.onEnd(readable(span, common)),
    stop: () => Promise.race([processor.shutdown().catch(() => undefined), rest(lastExport)]),
  };
}

/** What all spans of a broker share. */
type Common = Pick<
  ReadableSpan,
  | "resource"
  | "instrumentationScope"
  | "ended"
  | "links"
  | "events"
  | "droppedAttributesCount"
  | "droppedEventsCount"
  | "droppedLinksCount"
>;

function readable(span: Span, common: Common): ReadableSpan {
  const { name, traceId, parentId, start, end, attributes } = span;
  const context: SpanContext = { traceId, spanId: span.spanId, traceFlags: TraceFlags.SAMPLED };
  return {
    ...common,
    name,
    kind: span.kind === "server" ? SpanKind.SERVER : SpanKind.INTERNAL,
    spanContext: () => context,
    ...(parentId !== undefined && {
      parentSpanContext: { ...context, spanId: parentId, isRemote: span.remoteParent },
    }),
    startTime: hrTime(start),
    endTime: hrTime(end),
    duration: hrTime(end - start),
    status: { code: span.failed ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes,
  };
}

/** Seconds and nanoseconds. */
function hrTime(ms: number): HrTime {
  const seconds = Math.trunc(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1_000_000)];
}

/** Tells the log of exports that fail, now and then. */
function complaining(exporter: SpanExporter, endpoint: string, log: Log): SpanExporter {
  let nextAt = 0;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.error !== undefined && performance.now() >= nextAt) {
          nextAt = performance.now() + complainEvery;
          log.warn({ endpoint, error: String(result.error) }, "spans could not be sent, and are dropped");
        }
        done(result);
      }),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown(),
  };
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
