// Three brokers, of which one is killed again and again with firings in hand: every planned time of a schedule gives one
// job.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "nats";
import { afterEach, beforeEach, expect, test } from "vitest";
import { firingConsumer } from "../../broker/src/jetstream/schedule-store.js";
import { cronStreamName } from "../../broker/src/jetstream/stream-config.js";
import { Broker } from "../support/broker.js";
import { NatsServer } from "../support/nats.js";
import { Stranger } from "../support/stranger.js";
import { pause, until } from "./waiting.js";

const minutes = 60_000;
const wanted = 20;
const most = 25;
const names = Array.from({ length: 20 }, (_, i) => `beat-${i}`);

let nats: NatsServer;
let connection: NatsConnection;
let jsm: JetStreamManager;
let brokers: Broker[];

beforeEach(async () => {
  nats = await NatsServer.start();
  connection = await connect({ servers: nats.url });
  jsm = await jetstreamManager(connection);
  brokers = [];
  for (let i = 0; i < 3; i++)
    brokers.push(await Broker.start({ natsUrl: nats.url, env: { DROVER_BROKER_NAME: `b${i}` } }));
});
afterEach(async () => {
  for (const broker of brokers) if (broker.running) await broker.stop();
  await connection.close();
  await nats.stop();
});

test(
  "each planned time gives one job, whichever broker dies",
  async () => {
    const [lasting, ...dying] = brokers as [Broker, ...Broker[]];
    const stranger = new Stranger(lasting.address);
    const schedules = names.map((name) => ({ name, interval: { seconds: 1 }, job: { task: name } }));
    await stranger.call("ScheduleService/Put", { owner: "chaos", schedules });
    const keys = async (task: string) => {
      const answer = await stranger.call("JobService/List", { task, pageSize: 1_000 });
      return (answer as { jobs: { key: string }[] }).jobs.map(({ key }) => key).sort();
    };
    const inHand = async () =>
      (await jsm.consumers.info(cronStreamName("default"), firingConsumer)).num_ack_pending;
    const held: number[] = [];
    let begun = 0;
    // Until kills have hit, and often enough: where the machine is slow they may come before the firings do.
    for (let n = 0; begun < wanted || (Math.max(...held) === 0 && n < most); n++) {
      const victim = dying[n % dying.length] as Broker;
      const before = begun;
      await until("times to pass", async () => {
        begun = Math.max(...(await Promise.all(names.map(async (name) => (await keys(name)).length))));
        return begun > before + 2;
      });
      // Firings come with the full second. What is still in nobody's record half a second after it was in the dead one's hand.
      await pause(1_000 - (Date.now() % 1_000) + (n % 4) * 4);
      await victim.kill();
      await pause(1_500 - (Date.now() % 1_000));
      held.push(await inHand());
      await victim.restart();
    }
    // What a dead broker had taken comes again after some seconds.
    await until("all to be there", async () =>
      (await Promise.all(names.map(keys))).every((found) => found.length >= wanted),
    );
    await stranger.call("ScheduleService/Put", { owner: "chaos", schedules: [], removeUndeclared: true });
    console.log(`firings in hand at each kill: ${held.join(", ")}`);
    expect(held.length).toBeGreaterThan(3);
    expect(Math.max(...held)).toBeGreaterThan(0);
    for (const name of names) {
      const times = (await keys(name)).map(timeOf);
      const first = times[0] ?? 0;
      // One job for each second, none left out and none twice.
      expect(times).toEqual(times.map((_, i) => first + i * 1_000));
    }
    stranger.close();
  },
  4 * minutes,
);

/** The planned time in a job's key, ms since 1970. */
function timeOf(key: string): number {
  const [, year, month, day, hour, minute, second] =
    /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(key) ?? [];
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
}
