// What any broker may look into: it comes to one of them, many at a time and one look after the other, until it is acked.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "nats";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Feed } from "../../broker/src/jetstream/feed.js";
import { PullInbox } from "../../broker/src/jetstream/puller.js";
import { Wire } from "../../broker/src/jetstream/wire.js";
import { NatsServer } from "../support/nats.js";
import { until } from "../support/until.js";

interface Found {
  text: string;
  ack(): void;
}

let server: NatsServer;
let nc: NatsConnection;
let jsm: JetStreamManager;
let inbox: PullInbox;
let feed: Feed<Found>;

beforeAll(async () => {
  server = await NatsServer.start();
});
beforeEach(async () => {
  nc = await connect({ servers: server.url });
  jsm = await jetstreamManager(nc, { checkAPI: false });
  await jsm.streams.add({ name: "S", subjects: ["s"] });
  inbox = new PullInbox(nc, new Wire(nc), "pulls");
  feed = feeding(60_000);
});

/** `ackWait`: after how long what nobody acked comes again, ms. */
function feeding(ackWait: number): Feed<Found> {
  return new Feed(jsm, inbox, {
    name: "f",
    atOnce: 3,
    ackWait,
    // A blank means nothing; a comma parts what comes in one message.
    read: ({ data }, ack) => {
      const text = Buffer.from(data).toString();
      return text === " " ? [] : text.split(",").map((each) => ({ text: each, ack }));
    },
  });
}
afterEach(async () => {
  feed.stop();
  inbox.close();
  await jsm.streams.delete("S");
  await nc.close();
});
afterAll(() => server.stop());

const put = (...texts: string[]) =>
  Promise.all(texts.map((text) => nc.request("s", text, { timeout: 10_000 })));
const sources = [{ stream: "S", filter: "s" }];
const unacked = async () => {
  const { num_ack_pending, num_pending } = await jsm.consumers.info("S", "f");
  return num_ack_pending + num_pending;
};

test("what means nothing is acked and looked at by nobody", async () => {
  const seen: string[] = [];
  await feed.start(sources, async (found) => {
    for (const { text, ack } of found) {
      seen.push(text);
      ack();
    }
  });
  await put(" ", "a", " ", "b,c");
  await until("all to be done with", async () => (await unacked()) === 0);
  expect(seen).toEqual(["a", "b", "c"]);
});

test("one look is under way at a time, and what comes meanwhile makes the next", async () => {
  const looks: string[][] = [];
  let goOn: () => void = () => undefined;
  let under = 0;
  let most = 0;
  await feed.start(sources, async (found) => {
    most = Math.max(most, ++under);
    looks.push(found.map(({ text }) => text));
    if (looks.length === 1) {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    }
    for (const { ack } of found) ack();
    under--;
  });
  await put("1");
  await until("the first look", () => looks.length === 1);
  await put("2", "3", "4", "5");
  await nc.flush();
  goOn();
  await until("all to be done with", async () => (await unacked()) === 0);
  expect(most).toBe(1);
  expect(looks.flat().toSorted()).toEqual(["1", "2", "3", "4", "5"]);
  expect(Math.max(...looks.map(({ length }) => length))).toBeLessThanOrEqual(3);
});

test("what was looked at and not acked comes again", async () => {
  const seen: string[] = [];
  feed = feeding(2_000);
  await feed.start(sources, async (found) => {
    for (const { text, ack } of found) {
      if (seen.includes(text)) ack();
      seen.push(text);
    }
  });
  await put("a");
  await until("it to come again", () => seen.length === 2);
  await until("it to be done with", async () => (await unacked()) === 0);
  expect(seen).toEqual(["a", "a"]);
});
