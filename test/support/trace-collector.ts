// A collector of traces, as small as one can be: takes OTLP over HTTP in JSON and shows a trace as a tree.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { until } from "./until.js";

export interface CollectedSpan {
  service: string;
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  failed: boolean;
  /** ns since 1970. */
  start: bigint;
  end: bigint;
  attributes: Record<string, string | number>;
  /** Ids of the spans it is linked to. */
  links: string[];
}

interface Value {
  stringValue?: string;
  intValue?: number | string;
}

interface Attribute {
  key: string;
  value: Value;
}

interface Export {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: {
      spans: {
        name: string;
        traceId: string;
        spanId: string;
        parentSpanId?: string;
        status?: { code?: number };
        startTimeUnixNano: string;
        endTimeUnixNano: string;
        attributes?: Attribute[];
        links?: { spanId: string }[];
      }[];
    }[];
  }[];
}

export class TraceCollector {
  readonly spans: CollectedSpan[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<TraceCollector> {
    const server = createServer((request, response) => {
      text(request).then((body) => {
        if (request.url !== "/v1/traces") return response.writeHead(404).end();
        collector.spans.push(...spansOf(JSON.parse(body)));
        return response.setHeader("content-type", "application/json").end("{}");
      }, response.destroy);
    });
    const collector = new TraceCollector(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The spans of a trace, once those of these names are there. */
  trace(traceId: string, ...names: string[]): Promise<CollectedSpan[]> {
    return until(`the spans ${names.join(", ")}`, () => {
      const found = this.spans.filter((span) => span.traceId === traceId);
      return names.every((name) => found.some((span) => span.name === name)) && found;
    });
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** A trace as lines, each span below its parent and further in: `service: name`, and what `note` says of it. */
export function treeOf(spans: readonly CollectedSpan[], note: (span: CollectedSpan) => string): string[] {
  const below = (parent: string, depth: number): string[] =>
    spans
      .filter(({ parentSpanId }) => parentSpanId === parent)
      .sort((a, b) => (a.start < b.start ? -1 : 1))
      .flatMap((span) => [
        `${"  ".repeat(depth)}${span.service}: ${span.name}${span.failed ? " FAILED" : ""} ${note(span)}`.trimEnd(),
        ...below(span.spanId, depth + 1),
      ]);
  const known = new Set(spans.map(({ spanId }) => spanId));
  const roots = new Set(spans.map(({ parentSpanId }) => parentSpanId).filter((id) => !known.has(id)));
  return [...roots].flatMap((root) => below(root, 0));
}

function spansOf({ resourceSpans }: Export): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(plain(resource.attributes)["service.name"]);
    return scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        service,
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? "",
        failed: span.status?.code === 2,
        start: BigInt(span.startTimeUnixNano),
        end: BigInt(span.endTimeUnixNano),
        attributes: plain(span.attributes ?? []),
        links: (span.links ?? []).map(({ spanId }) => spanId),
      }));
  });
}

function plain(attributes: readonly Attribute[]): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]),
  );
}
