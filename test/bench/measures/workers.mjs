// The worker processes of the three languages side by side: how soon one works, how fast it gets through jobs that do
// nothing, what it uses while there are none, and how soon it is back when its broker was away for long. Before them, how
// soon a test has a broker and a worker of its own.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@drover/client";
import { finished, inBatches, percentile, withBroker } from "../load.mjs";
import { BenchBroker, cpuPercents } from "../processes.mjs";
import { fixtureReady, LanguageWorker } from "../worker-languages.mjs";

const promised = {
  typescript: { title: "TypeScript", start: 300 },
  python: { title: "Python", start: 700, drain: 2_000 },
  go: { title: "Go", start: 300, drain: 10_000 },
};

export const figures = Object.assign({}, ...Object.keys(promised).map(figuresOf));
export const rounds = 1;
export const seconds = ({ quick, idleSeconds = idleFor(quick) }) => (quick ? 95 : 810) + idleSeconds;

function idleFor(quick) {
  return quick ? 15 : 60;
}

function figuresOf(language) {
  const { title, start, drain } = promised[language];
  return {
    [`fixture_ready_${language}_ms`]: {
      unit: "ms",
      below: 2_000,
      what: `${title} test fixture: from asking for broker and worker to the end of a first job`,
    },
    [`worker_start_${language}_ms`]: {
      unit: "ms",
      below: start,
      what: `${title} worker: from its start to the end of its first job`,
    },
    [`worker_drain_${language}_per_s`]: {
      unit: "/s",
      what: `${title} worker: no-op jobs run and reported`,
      ...(drain === undefined ? {} : { above: drain, of: "worker_drain_typescript_per_s" }),
    },
    [`worker_idle_${language}_cpu_percent`]: {
      unit: "%",
      below: 0.5,
      what: `${title} worker with nothing to do, share of a core`,
    },
    [`worker_back_${language}_s`]: {
      unit: "s",
      // The longest pause between two attempts, and an attempt.
      below: 6,
      what: `${title} worker: from its broker's return to the end of the next job`,
    },
  };
}

export async function run({ quick, idleSeconds = idleFor(quick), say }) {
  const languages = await LanguageWorker.languages(say);
  const result = {};
  const note = (name, language, unit, value) => {
    result[`worker_${name}_${language}_${unit}`] = value;
  };
  for (const language of languages) {
    say(`${language}: fixture`);
    result[`fixture_ready_${language}_ms`] = await fixtureOf(language, quick ? 3 : 7);
  }
  await withBroker(async (broker, client) => {
    for (const language of languages) {
      say(`${language}: start`);
      note("start", language, "ms", await startOf(language, broker, client, quick ? 3 : 7));
      say(`${language}: drain`);
      note("drain", language, "per_s", await drainOf(language, broker, client, quick ? 12_000 : 40_000));
    }
    say("idle");
    const idle = await idleOf(languages, broker, client, idleSeconds);
    for (const language of languages) note("idle", language, "cpu_percent", idle[language]);
  });
  say("reconnect");
  const back = await backAfter(languages, quick ? 15 : 600);
  for (const language of languages) note("back", language, "s", back[language]);
  return result;
}

/** ms, the median of several; the first one may have to fetch nats-server. */
async function fixtureOf(language, times) {
  await fixtureReady(language);
  const took = [];
  for (let i = 0; i < times; i++) took.push(await fixtureReady(language));
  return percentile(took, 0.5);
}

/** ms, the median of several; the first one, which warms the machine's caches, does not count. */
async function startOf(language, broker, client, times) {
  const took = [];
  for (let i = 0; i <= times; i++) {
    const queue = `start-${language}-${i}`;
    const job = await client.submit("noop", {}, { queue });
    const began = performance.now();
    const worker = LanguageWorker.spawn(language, broker.address, queue);
    await worker.during(job.result({ timeout: 60_000 }));
    if (i > 0) took.push(performance.now() - began);
    await worker.stop();
  }
  return percentile(took, 0.5);
}

/** Jobs per second from the first one that was seen to be done to the last, so that its start does not count. */
async function drainOf(language, broker, client, jobs) {
  const queue = `drain-${language}`;
  await inBatches(client, jobs, () => ({ task: "noop", queue }));
  const before = await finished(broker);
  const worker = LanguageWorker.spawn(language, broker.address, queue);
  let first;
  for (;;) {
    const done = (await finished(broker)) - before;
    if (done > 0) first ??= { done, at: performance.now() };
    if (done >= jobs) break;
    await sleep(100);
  }
  const perSecond = (jobs - first.done) / ((performance.now() - first.at) / 1_000);
  await worker.stop();
  return perSecond;
}

/** Percent of a core. At the end each still works: one that had given up would use the least. */
async function idleOf(languages, broker, client, length) {
  const workers = languages.map((language) =>
    LanguageWorker.spawn(language, broker.address, `idle-${language}`),
  );
  // Some seconds after its start Node collects its garbage once, for as much CPU as minutes of idling take.
  await sleep(20_000);
  const shares = await cpuPercents(
    workers.map(({ pid }) => pid),
    length,
  );
  await Promise.all(
    languages.map(async (language, i) => {
      const job = await client.submit("noop", {}, { queue: `idle-${language}` });
      await workers[i].during(job.result({ timeout: 60_000 }));
      await workers[i].stop();
    }),
  );
  return Object.fromEntries(languages.map((language, i) => [language, shares[i]]));
}

/** Seconds, each: its broker is killed, stays away for so long, and is started again on its data and ports. */
async function backAfter(languages, away) {
  let broker = await BenchBroker.start();
  const port = broker.address.split(":")[1];
  const client = new Client({ address: broker.address, timeout: 60_000 });
  const workers = languages.map((language) =>
    LanguageWorker.spawn(language, broker.address, `back-${language}`),
  );
  const answers = async () => {
    const one = async (language) => {
      const began = performance.now();
      const job = await client.submit("noop", {}, { queue: `back-${language}` });
      await job.result({ timeout: 60_000 });
      return [language, (performance.now() - began) / 1_000];
    };
    return Object.fromEntries(await Promise.all(languages.map(one)));
  };
  await answers();
  await broker.kill();
  await sleep(away * 1_000);
  broker = await BenchBroker.start({ DROVER_GRPC_PORT: port, DROVER_DATA_DIR: broker.data });
  const took = await answers();
  client.close();
  await Promise.all(workers.map((worker) => worker.stop()));
  await broker.stop();
  return took;
}
