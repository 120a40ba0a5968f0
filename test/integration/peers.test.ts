import { Worker as Thread } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { JsApi } from "../../broker/src/jetstream/api.js";
import { Connection } from "../../broker/src/jetstream/connect.js";
import { PeerMessageTooLarge } from "../../broker/src/jetstream/peer-messages.js";
import { NatsPeers } from "../../broker/src/jetstream/peers.js";
import { provision } from "../../broker/src/jetstream/provision.js";
import { NatsServer } from "../support/nats.js";
import { QuietLog } from "../support/quiet-log.js";

let nats: NatsServer;
let log: QuietLog;
/** A new one for each test. */
let namespace = "";
let count = 0;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  nats = await NatsServer.start();
});
afterAll(() => nats.stop());

beforeEach(() => {
  count += 1;
  namespace = `peers-${count}`;
  log = new QuietLog();
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(): Promise<Connection> {
  const connection = await Connection.open({
    target: { url: nats.url },
    name: "peers-test",
    log,
    within: 20_000,
  });
  closing.push(() => connection.close());
  return connection;
}

/** For a question that is to be over without its time being over: no test lasts as long. */
const endless = { patience: 120_000 };

async function join(
  self: string,
  prepare: (peers: NatsPeers) => void = () => undefined,
  options: { patience?: number } = {},
) {
  const connection = await open();
  const peers = new NatsPeers({ connection, namespace, self, log, ...options });
  prepare(peers);
  closing.push(() => peers.close());
  await peers.start();
  return Object.assign(peers, { connection });
}

const eventually = (check: () => void | Promise<void>) =>
  vi.waitFor(check, { timeout: 20_000, interval: 10 });

/** Another broker, in a thread of its own: tells that it is there, answers the first question after a while and says so. */
const answering = `
  const { workerData: { url, root, answered } } = require("node:worker_threads");
  const { connect } = require("nats");
  connect({ servers: url }).then(async (nc) => {
    nc.subscribe(root + ".ask.holds", {
      callback: async (_, { data }) => {
        const { id } = JSON.parse(data);
        // When whoever asked stands still.
        await new Promise((resolve) => setTimeout(resolve, 100));
        nc.publish(root + ".reply.a", JSON.stringify({ broker: "b", id, body: "late" }));
        await nc.flush();
        Atomics.store(answered, 0, 1);
        Atomics.notify(answered, 0);
      },
    });
    await nc.flush();
    nc.publish(root + ".here", JSON.stringify({ broker: "b", state: "here" }));
  });`;

/** How long something takes, ms. */
async function timed<T>(work: Promise<T>): Promise<{ ms: number; value: T }> {
  const start = performance.now();
  const value = await work;
  return { ms: performance.now() - start, value };
}

const errors = () => log.lines.filter(({ level }) => level === "error");

describe("brokers know each other", () => {
  test("from the start on", async () => {
    const a = await join("a");
    expect(a.all()).toEqual(["a"]);
    const [b, c] = await Promise.all([join("b"), join("c")]);
    for (const one of [a, b, c]) expect(one.all()).toEqual(["a", "b", "c"]);
  });

  test("but not those of another namespace", async () => {
    const a = await join("a");
    namespace += "-other";
    expect((await join("b")).all()).toEqual(["b"]);
    expect(a.all()).toEqual(["a"]);
  });

  test("until they leave", async () => {
    const a = await join("a");
    const b = await join("b");
    await b.close();
    await eventually(() => expect(a.all()).toEqual(["a"]));
  });

  test("until they have not been heard for 7 s", async () => {
    const a = await join("a");
    const b = await join("b");
    // Its process died: the connection is gone, and nobody said goodbye.
    await b.connection.nc.close();
    const { ms } = await timed(eventually(() => expect(a.all()).toEqual(["a"])));
    expect(ms).toBeGreaterThan(5_500);
  });

  test("also after the nats-server was away", async () => {
    const [a, b] = await Promise.all([join("a"), join("b", (peers) => peers.answer("who", () => "b"))]);
    const again = Promise.all(
      [a, b].map(({ connection }) => new Promise((resolve) => connection.onConnected(resolve))),
    );
    await nats.kill("SIGKILL");
    await eventually(() => expect(a.connection.connected).toBe(false));
    expect(a.all()).toEqual(["a", "b"]);
    expect(await a.ask("who", 1)).toEqual({ answers: [], silent: 1 });
    await nats.restart();
    await again;
    // The server may read the question before it reads that b listens again: then b is silent once more, not missing.
    const both = { answers: [{ broker: "b", body: "b" }], silent: 0 };
    await eventually(async () => expect(await a.ask("who", 1)).toEqual(both));
    expect(a.all()).toEqual(["a", "b"]);
  });
});

describe("a question", () => {
  test("is answered by every broker, the asking one included, without waiting", async () => {
    const answer = (name: string) => (peers: NatsPeers) => peers.answer("holds", (body) => ({ name, body }));
    const [a] = await Promise.all(["a", "b", "c"].map((name) => join(name, answer(name), endless)));
    const value = await a?.ask("holds", { jobs: [1] });
    expect(value?.silent).toBe(0);
    expect(value?.answers.toSorted((x, y) => x.broker.localeCompare(y.broker))).toEqual(
      ["a", "b", "c"].map((name) => ({ broker: name, body: { name, body: { jobs: [1] } } })),
    );
  });

  test("is answered by the asking broker alone when there is no other", async () => {
    const a = await join("a", (peers) => peers.answer("holds", async (body) => body), endless);
    expect(await a.ask("holds", 7)).toEqual({ answers: [{ broker: "a", body: 7 }], silent: 0 });
  });

  test("waits 300 ms for a broker that does not answer, and counts it", async () => {
    const a = await join("a");
    const stranger = await open();
    stranger.nc.publish(`drover.${namespace}.ctl.here`, JSON.stringify({ broker: "frozen", state: "here" }));
    await eventually(() => expect(a.all()).toEqual(["a", "frozen"]));
    const { ms, value } = await timed(a.ask("holds", null));
    expect(value).toEqual({ answers: [], silent: 1 });
    expect(ms).toBeGreaterThan(250);
  });

  test("hears the answer that came while the asking broker stood still, however long that was", async () => {
    const a = await join("a");
    const answered = new Int32Array(new SharedArrayBuffer(4));
    const b = new Thread(answering, {
      eval: true,
      workerData: { url: nats.url, root: `drover.${namespace}.ctl`, answered },
    });
    closing.push(() => b.terminate());
    await eventually(() => expect(a.all()).toEqual(["a", "b"]));
    const asking = a.ask("holds", null);
    await a.connection.nc.flush();
    // Nothing is read here until the answer has been sent and the time for it is over.
    Atomics.wait(answered, 0, 0, 20_000);
    for (const until = performance.now() + 500; performance.now() < until; );
    expect(await asking).toEqual({ answers: [{ broker: "b", body: "late" }], silent: 0 });
  });

  test("counts a broker that failed to answer as silent, at once", async () => {
    const a = await join("a", undefined, endless);
    await join("b", (peers) =>
      peers.answer("holds", () => {
        throw new Error("broken");
      }),
    );
    await join("c", (peers) => peers.answer("holds", () => Promise.reject(new Error("broken"))));
    await join("d", (peers) => peers.answer("holds", () => "x".repeat(600 * 1024)));
    expect(await a.ask("holds", null)).toEqual({ answers: [], silent: 3 });
    expect(errors()).toHaveLength(3);
  });

  test("is over for a broker that leaves meanwhile", async () => {
    const a = await join("a", undefined, endless);
    let asked: () => void = () => undefined;
    const wasAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const b = await join("b", (peers) =>
      peers.answer("holds", () => {
        asked();
        return new Promise(() => undefined);
      }),
    );
    const asking = a.ask("holds", null);
    await wasAsked;
    await b.close();
    expect(await asking).toEqual({ answers: [], silent: 0 });
  });

  test("that no handler here ends is bounded as well", async () => {
    const a = await join("a", (peers) => peers.answer("holds", () => new Promise(() => undefined)));
    expect(await a.ask("holds", null)).toEqual({ answers: [], silent: 1 });
  });

  test("over 512 KiB is refused", async () => {
    const a = await join("a");
    await expect(a.ask("holds", "x".repeat(512 * 1024))).rejects.toThrow(PeerMessageTooLarge);
    expect(() => a.tell("news", "x".repeat(512 * 1024))).toThrow(PeerMessageTooLarge);
  });
});

describe("news", () => {
  test("reaches every broker, the telling one included, in order", async () => {
    const heard: unknown[][] = [];
    const listen = (self: string) => (peers: NatsPeers) =>
      peers.hear("news", (body, broker) => {
        heard.push([self, broker, body]);
      });
    const a = await join("a", listen("a"));
    await join("b", listen("b"));
    a.tell("news", { n: 1 });
    a.tell("news", { n: 2 });
    a.tell("other", { n: 3 });
    await eventually(() => expect(heard).toHaveLength(4));
    for (const self of ["a", "b"]) {
      expect(heard.filter(([to]) => to === self)).toEqual([
        [self, "a", { n: 1 }],
        [self, "a", { n: 2 }],
      ]);
    }
  });

  test("reaches the other listeners when one fails", async () => {
    const heard: unknown[] = [];
    const a = await join("a", (peers) => {
      peers.hear("news", () => {
        throw new Error("broken");
      });
      peers.hear("news", (async () => {
        throw new Error("broken as well");
      }) as () => void);
      peers.hear("news", (body) => {
        heard.push(body);
      });
    });
    a.tell("news", 1);
    await eventually(() => expect(heard).toEqual([1]));
    await eventually(() => expect(errors()).toHaveLength(2));
  });
});

test("what strangers send is not taken for more than it is", async () => {
  const a = await join("a", (peers) => peers.answer("holds", () => "yes"));
  const stranger = await open();
  for (const body of [
    "",
    "{",
    "null",
    "[]",
    '{"broker":1}',
    '{"broker":"x.y.>"}',
    '{"broker":""}',
    "\u{ff}",
  ]) {
    for (const subject of ["here", "ask.holds", "reply.a", "tell.news"]) {
      stranger.nc.publish(`drover.${namespace}.ctl.${subject}`, body);
    }
  }
  await stranger.nc.flush();
  await a.connection.nc.flush();
  expect(a.all()).toEqual(["a"]);
  expect(await a.ask("holds", null)).toEqual({ answers: [{ broker: "a", body: "yes" }], silent: 0 });
});

test("no stream keeps what brokers say", async () => {
  const a = await join("a");
  const api = new JsApi(a.connection.nc);
  await provision({ connection: a.connection, api, log, namespace, shards: 2, replicas: 1 });
  const { streams } = await api.request<{ streams: string[] | null }>("STREAM.NAMES", {
    subject: `drover.${namespace}.ctl.>`,
  });
  expect(streams ?? []).toEqual([]);
});
