// Flows on three brokers, of which two are killed again and again: each flow ends, every member of it once, and what
// comes last runs once.

import { chain, chord, type FlowHandle, type FlowNode, group, step } from "@drover/client";
import { connect } from "nats";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Broker } from "../support/broker.js";
import { Cluster } from "./cluster.js";
import { recordsOf } from "./job-records.js";
import { pause, until } from "./waiting.js";
import type { WorkerProcess } from "./worker-process.js";

const minutes = 60_000;
const kills = 4;
/** Flows of each shape that are under way all the time. */
const underWay = 6;

const does = (task: string, ms: number) => step(task, { does: "sleep", ms });
const shapes: Readonly<Record<string, () => { node: FlowNode; members: number; last: number }>> = {
  chain: () => ({
    node: chain(does("chaos.0", 150), does("chaos.1", 150), does("chaos.2", 150)),
    members: 3,
    last: 2,
  }),
  group: () => ({
    node: group(Array.from({ length: 8 }, () => does("chaos.0", 200))),
    members: 8,
    last: 7,
  }),
  chord: () => ({
    node: chord(
      Array.from({ length: 12 }, (_, n) => does(`chaos.${n % 3}`, 250)),
      does("chaos.3", 50),
    ),
    members: 13,
    last: 12,
  }),
  nested: () => ({
    node: chain(
      does("chaos.0", 100),
      chord(
        [chain(does("chaos.1", 150), does("chaos.2", 150)), does("chaos.0", 300)],
        group([does("chaos.1", 100), does("chaos.2", 100)]),
      ),
      does("chaos.3", 50),
    ),
    members: 7,
    last: 6,
  }),
};

let cluster: Cluster;

beforeEach(async () => {
  cluster = await Cluster.start({ brokers: 3 });
});
afterEach(() => cluster.stop());

test(
  "brokers die between the steps of flows: every member ends once, and each callback runs once",
  async () => {
    const [lasting, ...dying] = cluster.brokers as [Broker, ...Broker[]];
    const addresses = dying.map(({ address }) => address);
    const workers = await Promise.all([0, 1].map(() => cluster.worker({ addresses, concurrency: 60 })));
    const client = cluster.client();
    const submitted: { shape: string; flow: FlowHandle; members: number; last: number }[] = [];
    const running = new Map<string, number>();
    let feeding = true;
    const feed = async (shape: string, make: (typeof shapes)[string]) => {
      while (feeding) {
        const { node, members, last } = make();
        const flow = await client.flows.submit(node);
        submitted.push({ shape, flow, members, last });
        running.set(flow.key, members);
        // What a dead broker had in its hands comes again after twenty seconds, and may meet the next one that dies.
        await flow.wait({ timeout: 2 * minutes });
        running.delete(flow.key);
      }
    };
    const feeds = Object.entries(shapes).flatMap(([shape, make]) =>
      Array.from({ length: underWay }, () => feed(shape, make)),
    );
    const feedsEnd = Promise.all(feeds);
    feedsEnd.catch(() => undefined);

    const hits: { flows: number; runs: number; carried: number }[] = [];
    for (let n = 0; n < kills; n++) {
      const victim = await until("a dying broker with workers and flows", () => {
        const fit = dying.find((broker) => cluster.attachedTo(broker).length > 0);
        return fit !== undefined && openIn(cluster.attachedTo(fit)) > 3 && running.size > underWay
          ? fit
          : false;
      });
      const there = cluster.attachedTo(victim);
      const attachments = there.map((worker) => worker.attachments);
      const [flows, runs] = [running.size, openIn(there)];
      await victim.kill();
      await Promise.all(there.map((worker, i) => worker.attached((attachments[i] ?? 0) + 1)));
      // What its workers run they take along to another broker, which goes on with their flows.
      const carried = there.reduce((sum, worker) => sum + (worker.attachedTo?.held ?? 0), 0);
      hits.push({ flows, runs, carried });
      await victim.restart();
      await pause(200);
    }
    feeding = false;
    await feedsEnd;

    const again = await redelivered(submitted);
    console.log(
      `${submitted.length} flows; at each kill ${hits.map((hit) => `${hit.flows} flows, ${hit.carried} of ${hit.runs} runs taken along`).join("; ")}; ${again} ends came again`,
    );
    expect(hits.every(({ flows }) => flows > 0)).toBe(true);
    expect(hits.reduce((sum, { carried }) => sum + carried, 0)).toBeGreaterThan(0);
    const records = await recordsOf(cluster.nats.url);
    const ran = cluster.journal.read();
    for (const { shape, flow, members, last } of submitted) {
      const status = await flow.status();
      const ids = Array.from({ length: members }, (_, i) => i);
      expect([shape, status.state, status.counts.succeeded]).toEqual([shape, "SUCCEEDED", members]);
      const jobs = [...records].filter(([id]) => id.includes(`~${flow.key}.`));
      // One record each, of the one run that made it.
      expect([shape, jobs.map(([, all]) => all.map(({ state }) => state))]).toEqual([
        shape,
        ids.map(() => ["SUCCEEDED"]),
      ]);
      const callback = jobs.find(([id]) => id.endsWith(`~${flow.key}.${last}`))?.[0] ?? "";
      expect([shape, ran.of(callback).length]).toEqual([shape, 1]);
    }
    expect(ran.afterTheEnd()).toEqual([]);
    expect(lasting.running && workers.every((worker) => worker.running)).toBe(true);
  },
  3 * minutes,
);

/** Runs that have begun and not ended there. */
function openIn(workers: readonly WorkerProcess[]): number {
  return cluster.journal.read().open(new Set(workers.map(({ pid }) => pid))).length;
}

/** Tickets of these flows that a broker took and another one had to deal with. */
async function redelivered(flows: readonly { members: number }[]): Promise<number> {
  const nc = await connect({ servers: cluster.nats.url });
  try {
    const answer = await nc.request("$JS.API.CONSUMER.INFO.DROVER_default_0.flows");
    const { delivered } = answer.json<{ delivered: { consumer_seq: number } }>();
    return delivered.consumer_seq - flows.reduce((sum, { members }) => sum + members + 1, 0);
  } finally {
    await nc.close();
  }
}
