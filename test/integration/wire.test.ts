// What goes out and comes in past the client's own publish: on a real nats-server every byte has to arrive as it was
// written, whatever was written before and behind it.

import { setImmediate as turn } from "node:timers/promises";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type Msg, type NatsConnection } from "nats";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Delivery, PullInbox } from "../../broker/src/jetstream/puller.js";
import { ReadInbox } from "../../broker/src/jetstream/read-inbox.js";
import { headersOfMsg, subjectOf, Wire } from "../../broker/src/jetstream/wire.js";
import { NatsServer } from "../support/nats.js";
import { until } from "../support/until.js";

let server: NatsServer;
let nc: NatsConnection;

beforeAll(async () => {
  server = await NatsServer.start();
});
beforeEach(async () => {
  nc = await connect({ servers: server.url });
});
afterEach(() => nc.close());
afterAll(() => server.stop());

/** Collects what comes on a subject. */
async function hearing(subject: string): Promise<Msg[]> {
  const heard: Msg[] = [];
  nc.subscribe(subject, { callback: (_, msg) => void heard.push(msg) });
  await nc.flush();
  return heard;
}

describe("a message that is written", () => {
  let wire: Wire;

  beforeEach(() => {
    wire = new Wire(nc);
  });

  test.each([
    { has: "nothing but its subject", head: "", reply: "", size: 0 },
    { has: "headers", head: "A: 1\r\nB-Of: two\r\n", reply: "", size: 0 },
    { has: "a reply subject", head: "", reply: "answers.to.me", size: 0 },
    { has: "everything", head: "A: 1\r\n", reply: "answers.to.me", size: 1_000 },
    { has: "more bytes than a piece of memory", head: "A: 1\r\n", reply: "r", size: 300_000 },
  ])("arrives with $has", async ({ head, reply, size }) => {
    const heard = await hearing("there.*");
    const data = Buffer.alloc(size, "drover");
    wire.publish("there.one", reply, head, data);
    await until("it to arrive", () => heard.length === 1);
    const [msg] = heard as [Msg];
    expect([subjectOf(msg), msg.reply ?? ""]).toEqual(["there.one", reply]);
    expect(Buffer.from(msg.data).equals(data)).toBe(true);
    for (const [name, value] of head.split("\r\n").map((line) => line.split(": "))) {
      if (name !== undefined && value !== undefined) expect(headersOfMsg(msg)?.get(name)).toBe(value);
    }
  });

  test("arrives as it was, however many are written behind it before any is sent", async () => {
    const heard = await hearing("there.*");
    const sizes = Array.from({ length: 3_000 }, (_, i) => (i * 7_919) % 4_000);
    const data = Buffer.alloc(4_000);
    for (const [i, size] of sizes.entries()) {
      // The memory is the caller's again as soon as it is written.
      data.fill(i % 251);
      wire.publish(`there.${i}`, "", `N: ${i}\r\n`, data.subarray(0, size));
    }
    await until("all to arrive", () => heard.length === sizes.length);
    const wrong = heard.filter((msg, i) => {
      const isWhole = msg.data.length === sizes[i] && msg.data.every((byte) => byte === i % 251);
      return msg.subject !== `there.${i}` || headersOfMsg(msg)?.get("N") !== String(i) || !isWhole;
    });
    expect(wrong).toEqual([]);
  });

  test("goes by itself at the end of the turn, and together with acks in the order in which they were written", async () => {
    const heard = await hearing(">");
    wire.publish("first", "", "", Buffer.from("1"));
    wire.ack(Buffer.from("$JS.ACK.second"));
    wire.publish("third", "", "", Buffer.from("3"));
    await until("all to arrive", () => heard.length === 3);
    expect(heard.map((msg) => [msg.subject, Buffer.from(msg.data).toString()])).toEqual([
      ["first", "1"],
      ["$JS.ACK.second", "+ACK"],
      ["third", "3"],
    ]);
    wire.publish("fourth", "", "", Buffer.from("4"));
    await until("it to arrive", () => heard.length > 3);
    await nc.flush();
    // Once each: nothing of the turn before goes again.
    expect(heard.map((msg) => msg.subject)).toEqual(["first", "$JS.ACK.second", "third", "fourth"]);
  });

  test("is refused where the server would end the connection for it, and the next one goes", async () => {
    const heard = await hearing("there");
    const most = nc.info?.max_payload ?? 0;
    expect(() => wire.publish("there", "", "", Buffer.alloc(most))).toThrow(/larger than nats-server takes/);
    wire.publish("there", "", "", Buffer.from("small"));
    await until("the small one to arrive", () => heard.length === 1);
  });

  test("is refused on a closed connection; an ack is for nothing there", async () => {
    await nc.close();
    expect(() => wire.publish("there", "", "", Buffer.alloc(0))).toThrow("the connection is closed");
    wire.ack(Buffer.from("$JS.ACK.x"));
    await turn();
  });
});

describe("answers to reads", () => {
  test("come to who asked, each to its own, until he has heard enough", async () => {
    const inbox = new ReadInbox(nc);
    const heard: Record<string, string[]> = { a: [], b: [] };
    const [a, b] = ["a", "b"].map((name) =>
      inbox.open((msg) => void heard[name]?.push(Buffer.from(msg.data).toString())),
    ) as [ReturnType<ReadInbox["open"]>, ReturnType<ReadInbox["open"]>];
    nc.publish(a.reply, "for a");
    nc.publish(b.reply, "for b");
    nc.publish(a.reply, "for a again");
    await nc.flush();
    a.close();
    nc.publish(a.reply, "too late");
    nc.publish(b.reply, "for b still");
    await nc.flush();
    expect(heard).toEqual({ a: ["for a", "for a again"], b: ["for b", "for b still"] });
  });
});

describe("acks that nobody waits for", () => {
  const config = { stream: "S", name: "c" };
  /** Not the broker's, and there after it. */
  let beside: NatsConnection;
  let jsm: JetStreamManager;
  let inbox: PullInbox;
  let deliveries: Delivery[];

  beforeEach(async () => {
    beside = await connect({ servers: server.url });
    jsm = await jetstreamManager(beside, { checkAPI: false });
    await jsm.streams.add({ name: "S", subjects: ["s"] });
    await jsm.consumers.add("S", { durable_name: "c", ack_policy: "explicit" });
    for (let i = 0; i < 3; i++) await beside.request("s", String(i));
    inbox = new PullInbox(nc, new Wire(nc), "pulls");
    deliveries = [];
    const puller = inbox.open(config, {
      delivered: (delivery) => void deliveries.push(delivery),
      over() {},
      distrust() {},
    });
    puller.pull(3);
    await until("the deliveries to come", () => deliveries.length === 3);
  });
  afterEach(async () => {
    inbox.close();
    await jsm.streams.delete("S");
    await beside.close();
  });

  const unacked = async () => (await jsm.consumers.info("S", "c")).num_ack_pending;

  test("go by themselves", async () => {
    for (const [i, delivery] of deliveries.entries()) {
      inbox.ack(delivery);
      await until("the consumer to move on", async () => (await unacked()) === deliveries.length - 1 - i);
    }
  });

  test("go when the broker stops", async () => {
    for (const delivery of deliveries) inbox.ack(delivery);
    inbox.close();
    await nc.flush();
    await nc.close();
    await until("the consumer to move on", async () => (await unacked()) === 0);
  });

  test("go with the next message, before it", async () => {
    const order: string[] = [];
    beside.subscribe("$JS.ACK.S.c.>", { callback: () => void order.push("ack") });
    beside.subscribe("next.message", { callback: () => void order.push("message") });
    await beside.flush();
    for (const delivery of deliveries) inbox.ack(delivery);
    inbox.wire.publish("next.message", "", "", new Uint8Array());
    await until("all to come", () => order.length === 4);
    expect(order).toEqual(["ack", "ack", "ack", "message"]);
  });

  test("survive a reconnect that drops the requests which had not gone yet", async () => {
    const asked: string[] = [];
    beside.subscribe("asked.*", { callback: (_, { subject }) => void asked.push(subject) });
    await beside.flush();
    inbox.wire.askAlong("asked.early", "answers", "{}");
    for (const delivery of deliveries) inbox.ack(delivery);
    inbox.reconnected();
    inbox.wire.ask("asked.late", "answers", "{}");
    await until("the consumer to move on", async () => (await unacked()) === 0);
    await until("the later request", () => asked.length > 0);
    expect(asked).toEqual(["asked.late"]);
  });

  test("say which delivery they are for", () => {
    expect(deliveries.map(({ seq, deliveries: times, pending }) => [seq, times, pending])).toEqual([
      [1, 1, 2],
      [2, 1, 1],
      [3, 1, 0],
    ]);
    for (const { ackTo } of deliveries) expect(Buffer.from(ackTo).toString()).toMatch(/^\$JS\.ACK\.S\.c\./);
  });
});
