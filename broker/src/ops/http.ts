// The HTTP side: /metrics for Prometheus, /healthz (the process lives) and /readyz (it can serve) for whoever restarts
// and routes.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Log } from "../app/telemetry.js";

export interface HttpParts {
  metrics: { scrape(accept: string | undefined): Promise<{ type: string; body: string }> };
  readiness(): Readiness | Promise<Readiness>;
  log: Log;
}

interface Readiness {
  ready: boolean;
  problems: string[];
}

export interface HttpServer {
  /** The port it listens on. */
  readonly port: number;
  stop(): Promise<void>;
}

interface Answer {
  status: number;
  type?: string;
  body: string;
}

const bounds = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 8_192,
};
const mostConnections = 200;

/** `port` 0 = any that is free. @throws Error when the address cannot be bound */
export async function startHttp(parts: HttpParts, at: { host: string; port: number }): Promise<HttpServer> {
  const server = createServer(bounds, (request, response) => {
    answer(parts, request).then(
      (said) => send(request, response, said),
      (error: unknown) => {
        parts.log.error({ err: error, url: request.url }, "an HTTP request failed");
        send(request, response, { status: 500, body: "internal error\n" });
      },
    );
  });
  server.maxConnections = mostConnections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    // Not shared with the other processes of a broker that has several.
    server.listen({ ...at, exclusive: true }, resolve);
  });
  server.on("error", (error) => parts.log.error({ err: error }, "the HTTP server failed"));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : at.port,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer({ metrics, readiness }: HttpParts, request: IncomingMessage): Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD")
    return { status: 405, body: "GET or HEAD only\n" };
  switch (request.url?.split("?")[0]) {
    case "/healthz":
      return { status: 200, body: "alive\n" };
    case "/readyz": {
      const { ready, problems } = await readiness();
      return ready
        ? { status: 200, body: "ready\n" }
        : { status: 503, body: `${problems.join("\n") || "not ready"}\n` };
    }
    case "/metrics":
      return { status: 200, ...(await metrics.scrape(request.headers.accept)) };
    default:
      return { status: 404, body: "there is /metrics, /healthz and /readyz\n" };
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    "content-type": type ?? "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
