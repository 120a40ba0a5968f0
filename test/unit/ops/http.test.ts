import { afterEach, beforeEach, expect, test } from "vitest";
import { type HttpServer, startHttp } from "../../../broker/src/ops/http.js";
import { QuietLog } from "../../support/quiet-log.js";

let server: HttpServer;
let ready: boolean;
let scrape: () => Promise<string>;
const log = new QuietLog();

beforeEach(async () => {
  ready = true;
  scrape = async () => "some_metric 1\n";
  server = await startHttp(
    {
      metrics: { scrape: async (accept) => ({ type: accept ?? "", body: await scrape() }) },
      readiness: () => ({ ready, problems: ready ? [] : ["the store is away", "the clock drifts"] }),
      log,
    },
    { host: "127.0.0.1", port: 0 },
  );
});

afterEach(() => server.stop());

const get = (path: string, method = "GET") => fetch(`http://127.0.0.1:${server.port}${path}`, { method });

test("a process that answers is alive, ready or not", async () => {
  ready = false;
  const response = await get("/healthz");
  expect(response.status).toBe(200);
});

test("readiness tells what is wrong, a line each", async () => {
  expect((await get("/readyz")).status).toBe(200);
  ready = false;
  const response = await get("/readyz?verbose");
  expect(response.status).toBe(503);
  expect(await response.text()).toBe("the store is away\nthe clock drifts\n");
});

test("metrics come as what was asked for", async () => {
  const headers = { accept: "text/plain; version=0.0.4" };
  const response = await fetch(`http://127.0.0.1:${server.port}/metrics`, { headers });
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
  expect(await response.text()).toBe("some_metric 1\n");
});

test("a scrape that fails is logged and answered without its cause", async () => {
  scrape = () => Promise.reject(new Error("secret"));
  const response = await get("/metrics");
  expect(response.status).toBe(500);
  expect(await response.text()).toBe("internal error\n");
  expect(log.lines.at(-1)).toMatchObject({ level: "error" });
});

test.each([
  ["/", "GET", 404],
  ["/metrics/", "GET", 404],
  ["//", "GET", 404],
  ["/metrics", "POST", 405],
  ["/readyz", "DELETE", 405],
  ["/healthz", "HEAD", 200],
])("%s by %s is %d", async (path, method, status) => {
  expect((await get(path, method)).status).toBe(status);
});

test("a port that is taken is an error", async () => {
  const parts = {
    metrics: { scrape: () => Promise.reject(new Error("not asked")) },
    readiness: () => ({ ready, problems: [] }),
    log,
  };
  await expect(startHttp(parts, { host: "127.0.0.1", port: server.port })).rejects.toThrow(/EADDRINUSE/);
});
