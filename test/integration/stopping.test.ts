// A broker that has stopped is over: nothing of it goes on by itself.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NatsServer } from "../support/nats.js";

let server: NatsServer;

beforeAll(async () => {
  server = await NatsServer.start();
});
afterAll(() => server.stop());

test("a process whose broker has stopped ends without being told to", async () => {
  const dist = (file: string) => new URL(`../../broker/dist/${file}`, import.meta.url).href;
  const program = `
    import { startBroker } from "${dist("broker.js")}";
    import { readConfig } from "${dist("config.js")}";
    const log = { outcome() {}, debug() {}, info() {}, warn() {}, error() {} };
    const broker = await startBroker(readConfig(process.env), log);
    await broker.stop();
    process.stdout.write("stopped");
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: {
      ...process.env,
      DROVER_GRPC_PORT: "0",
      DROVER_HTTP_PORT: "0",
      DROVER_NATS_URL: server.url,
      DROVER_STOP_TIMEOUT: "0s",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (text) => {
    said += text;
  });
  try {
    const [code] = await once(child, "exit", { signal: AbortSignal.timeout(30_000) });
    expect([said, code]).toEqual(["stopped", 0]);
  } finally {
    child.kill("SIGKILL");
  }
}, 60_000);
