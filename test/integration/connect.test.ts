import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Connection } from "../../broker/src/jetstream/connect.js";
import { StartupError } from "../../broker/src/jetstream/startup-error.js";
import { connections } from "../support/connections.js";
import { freePort, NatsServer } from "../support/nats.js";
import { until } from "../support/until.js";

const connected = connections("connect-test", 3_000);
/** For a server that is there, or comes: machines may be busy, ms. */
const patience = 30_000;

describe("a nats-server", () => {
  test("that takes small messages only is refused", async () => {
    const nats = await NatsServer.start({ conf: "max_payload: 64KB" });
    try {
      await expect(connected.open(nats.url)).rejects.toThrow(
        /takes messages of 65536 bytes, Drover needs 1048576: set max_payload/,
      );
    } finally {
      await nats.stop();
    }
  });

  test("that is too old is refused", async () => {
    const info = { version: "2.14.5", headers: true, max_payload: 1_048_576, proto: 1, jetstream: true };
    const old = createServer((socket) => {
      socket.write(`INFO ${JSON.stringify(info)}\r\n`);
      socket.on("data", (data) => data.includes("PING") && socket.write("PONG\r\n"));
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => old.listen(0, "127.0.0.1", resolve));
    const { port } = old.address() as AddressInfo;
    await expect(connected.open(`nats://127.0.0.1:${port}`)).rejects.toThrow(
      `nats://127.0.0.1:${port}: nats-server 2.14.5 is too old, Drover needs 2.15.1 or later`,
    );
    await new Promise((resolve) => old.close(resolve));
  });

  test("that is not there is waited for, up to a bound", async () => {
    const port = await freePort();
    const start = performance.now();
    const target = { url: `nats://127.0.0.1:${port}` };
    const never = Connection.open({ target, name: "connect-test", log: connected.log, within: 600 });
    await expect(never).rejects.toThrow(
      /^no connection to NATS at nats:\/\/127.0.0.1:\d+ within 1 s: connection refused$/,
    );
    expect(performance.now() - start).toBeLessThan(15_000);
  });

  test("that comes later is found", async () => {
    const port = await freePort();
    const connecting = connected.open(`nats://127.0.0.1:${port}`, {}, patience);
    await until("it to say so", () =>
      connected.log.lines.some(({ message }) => message === "waiting for NATS"),
    );
    const nats = await NatsServer.start({ port });
    try {
      expect((await connecting).epoch).toBe(1);
    } finally {
      await nats.stop();
    }
  });

  test("that stands still is given up, and taken again", async () => {
    const nats = await NatsServer.start();
    try {
      const connection = await connected.open(nats.url, {}, patience);
      const lost = new Promise<void>((resolve) => connection.onDisconnected(resolve));
      const again = new Promise<number>((resolve) => connection.onConnected(resolve));
      const start = performance.now();
      process.kill(nats.pid ?? 0, "SIGSTOP");
      await lost;
      // After two pings of 5 s; the client library's own are two minutes apart.
      expect(performance.now() - start).toBeLessThan(40_000);
      process.kill(nats.pid ?? 0, "SIGCONT");
      expect(await again).toBe(2);
      expect(connection.connected).toBe(true);
    } finally {
      await nats.stop();
    }
  });

  test("behind TLS is trusted by its authority only", async ({ skip }) => {
    const dir = mkdtempSync(join(tmpdir(), "drover-tls-"));
    const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"];
    try {
      execFileSync("openssl", [...request, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
    } catch {
      return skip();
    }
    const nats = await NatsServer.start({ conf: `tls { cert_file: "${cert}", key_file: "${key}" }` });
    try {
      const url = `tls://localhost:${nats.port}`;
      const { nc } = await connected.open(url, { tls: { ca: cert } }, patience);
      expect(nc.info?.tls_required).toBe(true);
      await expect(connected.open(url)).rejects.toThrow(
        /^no connection to NATS at tls:\/\/localhost:\d+ within .*self-signed/,
      );
      await expect(connected.open(url, { tls: { ca: join(dir, "none.pem") } })).rejects.toThrow(
        /^the TLS authority for NATS cannot be read: ENOENT/,
      );
    } finally {
      await nats.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test("that went away can be left without waiting", async () => {
    const nats = await NatsServer.start();
    const connection = await connected.open(nats.url, {}, patience);
    const lost = new Promise<void>((resolve) => connection.onDisconnected(resolve));
    await nats.stop();
    await lost;
    expect(connection.connected).toBe(false);
    const start = performance.now();
    await connection.close();
    // What is under way on a connection that is up would get 5 s.
    expect(performance.now() - start).toBeLessThan(4_500);
  });
});

describe("a NATS user", () => {
  let nats: NatsServer;

  beforeEach(async () => {
    nats = await NatsServer.start({ conf: "authorization { user: somebody, password: pw }" });
  });
  afterEach(() => nats.stop());

  test("with a wrong password is refused at once", async () => {
    const start = performance.now();
    const wrong = connected.open(nats.url, { user: "somebody", password: "wrong" }, patience);
    await expect(wrong).rejects.toThrow(/refuses the broker/);
    expect(performance.now() - start).toBeLessThan(patience / 2);
  });

  test("in the URL is as good as one beside it, and its password is not shown", async () => {
    await connected.open(nats.url.replace("//", "//somebody:pw@"), {}, patience);
    const wrong = connected.open(nats.url.replace("//", "//somebody:geheim@"));
    await expect(wrong).rejects.toThrow(StartupError);
    await expect(wrong).rejects.not.toThrow(/geheim/);
  });
});
