// Connections of a client: one for each broker, shared by all calls and by all clients of a process that want the same of
// it; made anew when it breaks.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket, type Server as TcpServer } from "node:net";
import { Client } from "@drover/client";
import { InspectServiceService } from "@drover/proto/v1";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../../support/until.js";

/** A broker behind a door that counts who comes in, and can throw all of them out. */
class Door {
  address = "";
  connections = 0;
  calls = 0;
  /** While it is set, calls are held. */
  held: Promise<void> | undefined;
  readonly #server = new Server();
  readonly #sockets = new Set<Socket>();
  #door: TcpServer | undefined;

  async open(): Promise<this> {
    this.#server.addService(InspectServiceService, {
      registered: async (_: unknown, done: (error: null, answer: object) => void) => {
        this.calls++;
        await this.held;
        done(null, { tasks: [], silentBrokers: 0 });
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    this.#door = createServer((near) => {
      this.connections++;
      const far = connect({ port, host: "127.0.0.1" });
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined);
        socket.on("close", () => this.#sockets.delete(socket));
      }
      near.pipe(far).pipe(near);
      near.on("close", () => far.destroy());
    });
    this.#door.listen(0, "127.0.0.1");
    await once(this.#door, "listening");
    this.address = `127.0.0.1:${(this.#door.address() as AddressInfo).port}`;
    return this;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.#door?.close();
    this.cut();
    this.#server.forceShutdown();
  }
}

let door: Door;
const clients: Client[] = [];

function client(...addresses: string[]): Client {
  const made = new Client({ addresses });
  clients.push(made);
  return made;
}

beforeEach(async () => {
  door = await new Door().open();
});
afterEach(() => {
  for (const each of clients.splice(0)) each.close();
  door.close();
});

test("a thousand calls of two clients at a time share one connection", async () => {
  let letGo = () => {};
  door.held = new Promise((resolve) => {
    letGo = resolve;
  });
  const two = [client(door.address), client(door.address)];
  const calls = two.flatMap((each) => Array.from({ length: 500 }, () => each.inspect.registered()));
  await until("all of them to arrive", () => door.calls === calls.length);
  letGo();
  await Promise.all(calls);
  expect(door.connections).toBe(1);
});

test("a connection that is cut is made anew, and its calls are tried again", async () => {
  const caller = client(door.address);
  for (let round = 1; round <= 5; round++) {
    await caller.inspect.registered();
    expect(door.connections).toBe(round);
    door.cut();
  }
});

test("clients begin with any of their brokers, and a call goes on to the next where one is gone", async () => {
  const other = await new Door().open();
  try {
    // Of 40 all but never miss one of two.
    for (let i = 0; i < 40; i++) await client(door.address, other.address).inspect.registered();
    expect(door.calls).toBeGreaterThan(0);
    expect(other.calls).toBeGreaterThan(0);
  } finally {
    other.close();
  }
  for (let i = 0; i < 10; i++) await client(door.address, other.address).inspect.registered();
});
