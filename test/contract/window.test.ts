// What one side may send before the other has read it: each says at the begin of a connection.

import { once } from "node:events";
import { type ClientHttp2Session, connect, createServer, type Http2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { Client } from "@drover/client";
import { Worker } from "@drover/worker";
import { describe, expect, test } from "vitest";
import { unharmedBroker } from "../support/unharmed-broker.js";

const mib = 1024 * 1024;
const tested = unharmedBroker();

test("a broker takes a megabyte of each call and of each connection unread", async () => {
  const session = connect(`http://127.0.0.1:${tested.broker.grpcPort}`);
  try {
    await until(session, () => session.remoteSettings.initialWindowSize === mib);
    // Settings and window go out one after the other; what was read with an answer has come.
    await new Promise((answered) => session.ping(answered));
    expect(session.state.remoteWindowSize).toBe(mib);
  } finally {
    session.destroy();
  }
});

describe("a megabyte unread takes as well", () => {
  test("a client", async () => {
    const window = await windowOf((address) => {
      const client = new Client({ address, timeout: 5_000 });
      client.submit("t").catch(() => undefined);
      return () => client.close();
    });
    expect(window).toBe(mib);
  });

  test("a worker", async () => {
    const window = await windowOf((address) => {
      const worker = new Worker({ address, logger: silent });
      worker.task("t", () => null);
      worker.start().catch(() => undefined);
      return () => worker.stop();
    });
    expect(window).toBe(mib);
  });
});

const silent = { debug() {}, info() {}, warn() {}, error() {} };

async function until(session: ClientHttp2Session, reached: () => boolean): Promise<void> {
  while (!reached()) await once(session, "remoteSettings");
}

/** What somebody who connects lets a broker send. */
async function windowOf(connectTo: (address: string) => () => unknown): Promise<number | undefined> {
  const server = createServer();
  server.on("sessionError", () => undefined);
  const heard = once(server, "session") as Promise<[Http2Session]>;
  await once(server.listen(0, "127.0.0.1"), "listening");
  const close = connectTo(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    const [session] = await heard;
    session.on("error", () => undefined);
    const [settings] = await once(session, "remoteSettings");
    session.destroy();
    return settings.initialWindowSize;
  } finally {
    await close();
    server.close();
  }
}
