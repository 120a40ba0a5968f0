// Twenty thousand jobs of every kind, while workers, brokers and the nats-server are killed and come back. What happens is
// random; CHAOS_SEED=<number> repeats the jobs, the order of the kills and their timing as far as processes allow.

import type { Client } from "@drover/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Cluster } from "./cluster.js";
import { Faults } from "./faults.js";
import { between, type PlannedJob, plan, seeded } from "./job-mix.js";
import { type JobRecord, recordsOf } from "./job-records.js";
import type { Runs } from "./run-journal.js";
import { Submissions } from "./submissions.js";
import { pause, until } from "./waiting.js";

const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const count = Number(process.env.CHAOS_JOBS ?? 20_000);
/** How often what chance left out is brought about once more. */
const mostExtraKills = 12;
const minutes = 60_000;
/** Of what a broker believes of the nats-server's clock, ms. */
const clockError = 100;

const random = seeded(seed);
const jobs = plan(count, random);
let cluster: Cluster;
let client: Client;
let faults: Faults;
let submissions: Submissions;
let runs: Runs;
let records: Map<string, JobRecord[]>;
let extras = 0;

beforeAll(async () => {
  console.log(`CHAOS_SEED=${seed}`);
  cluster = await Cluster.start();
  client = cluster.client();
  submissions = new Submissions(client, cluster.journal);
  faults = new Faults(cluster, random, () => submissions.add(more()));
  for (const prefetch of [0, 20, 0]) await cluster.worker({ concurrency: 20, prefetch });
  await killWhileSubmitting();
  await submissions.ended(4 * minutes);
  await faults.over();
  for (const broker of cluster.brokers) await cluster.counters.look(broker);
  runs = cluster.journal.read();
  records = await recordsOf(cluster.nats.url);
  console.log(summary());
}, 8 * minutes);

afterAll(async () => {
  submissions?.stop();
  await cluster?.stop();
}, minutes);

async function killWhileSubmitting(): Promise<void> {
  const kills = faults.planned();
  const waves = kills.length + 1;
  const wave = (n: number) =>
    jobs.slice(Math.floor((n * jobs.length) / waves), Math.floor(((n + 1) * jobs.length) / waves));
  for (const [n, kill] of kills.entries()) {
    submissions.add(wave(n));
    await pause(between(random, 20, 400));
    await faults.strike(kill);
    await pause(between(random, 100, 2_000));
  }
  submissions.add(wave(kills.length));
  // What no kill has brought about so far, more of them may.
  for (let extra = 0; faults.missing().length > 0 && extra < mostExtraKills; extra++) {
    submissions.add(more());
    await pause(between(random, 20, 200));
    await faults.strike(faults.missing()[0] ?? "host");
    await faults.look();
  }
}

/** Jobs beyond the planned ones. */
function more(): PlannedJob[] {
  extras++;
  return plan(300, random, `extra-${extras}`);
}

const ids = () => submissions.all.map(({ id }) => id);

function summary(): string {
  const counted = (name: string) => `${name.replace(/^drover_|_total$/g, "")} ${cluster.counters.sum(name)}`;
  const inFlight = faults.struck.map(({ kind, inFlight }) => `${kind} ${inFlight}`).join(", ");
  return [
    `${submissions.all.length} jobs, ${runs.all.length} runs, ${runs.refusals.length} reports refused`,
    `in flight at each kill: ${inFlight}`,
    ...["jobs_reissued", "journal_conflicts", "journal_unknown", "leases_lost", "jobs_deduplicated"].map(
      (name) => counted(`drover_${name}_total`),
    ),
  ].join("\n");
}

describe("after kills of workers, brokers and nats-server", () => {
  test("the faults have hit: jobs were in flight, re-issued, in conflict, of unknown outcome", () => {
    expect(faults.struck.filter(({ inFlight }) => inFlight === 0)).toEqual([]);
    expect(faults.missing()).toEqual([]);
  });

  test("no acknowledged job is lost", async () => {
    expect(submissions.left).toEqual({ unacknowledged: 0, uncancelled: 0, open: [] });
    expect(submissions.lost).toEqual([]);
    expect(ids().filter((id) => !records.has(id))).toEqual([]);
    expect(await submissions.unknown()).toEqual([]);
  });

  test("each job has exactly one recorded outcome, and that stays what it was first seen to be", async () => {
    const wrong = submissions.all.flatMap(({ id }) => {
      const found = records.get(id) ?? [];
      const [record] = found;
      const first = submissions.stateOf(id);
      return found.length === 1 && record?.state === first ? [] : [{ id, first, found }];
    });
    expect(wrong).toEqual([]);
  });

  test("each job ends in a way its kind can end", () => {
    const wrong = submissions.all.filter(
      ({ id, fates }) => !fates.some((fate) => fate === submissions.stateOf(id)),
    );
    expect(wrong.map(({ id, kind }) => ({ id, kind, state: submissions.stateOf(id) }))).toEqual([]);
  });

  test("the lists of the broker name each job once, under its state", async () => {
    const listed = new Map<string, string[]>();
    for (const state of [
      "SUCCEEDED",
      "FAILED",
      "CANCELLED",
      "READY",
      "RUNNING",
      "SCHEDULED",
      "RETRYING",
    ] as const) {
      for await (const { id } of client.list({ state, pageSize: 1_000 })) {
        listed.set(id, [...(listed.get(id) ?? []), state]);
      }
    }
    const wrong = submissions.all.flatMap(({ id }) => {
      const states = listed.get(id) ?? [];
      return states.length === 1 && states[0] === submissions.stateOf(id) ? [] : [{ id, states }];
    });
    expect(wrong).toEqual([]);
    expect(listed.size).toBe(submissions.all.length);
  });

  test("no run begins once the job's outcome is settled with a worker or seen by the client", () => {
    expect(runs.afterTheEnd()).toEqual([]);
  });

  test("the outcome is the one that was settled, and only one was", () => {
    const settled = new Map<string, string[]>();
    for (const { job, attempt, pid, report, final } of runs.settlements) {
      if (final) settled.set(job, [...(settled.get(job) ?? []), `${report} of attempt ${attempt} by ${pid}`]);
    }
    expect([...settled].filter(([, reports]) => reports.length > 1)).toEqual([]);
    const wrong = submissions.all.flatMap(({ id }) => {
      const [report] = settled.get(id) ?? [];
      const [record] = records.get(id) ?? [];
      if (report === undefined || record === undefined || record.outcome.startsWith(report)) return [];
      return [{ id, report, recorded: record.outcome }];
    });
    expect(wrong).toEqual([]);
  });

  test("at most once means at most once", () => {
    const twice = submissions.all.filter(({ kind, id }) => kind === "atMostOnce" && runs.of(id).length > 1);
    expect(twice.map(({ id }) => runs.of(id))).toEqual([]);
  });

  test("no first run began before it was due", () => {
    const early = submissions.all.flatMap(({ id }) => {
      const [first] = runs.of(id);
      const runAt = records.get(id)?.[0]?.runAt ?? 0;
      return first === undefined || first.startedAt >= runAt - clockError ? [] : [{ id, first, runAt }];
    });
    expect(early).toEqual([]);
  });

  test("the brokers take and run jobs as before", async () => {
    const job = await client.submit("chaos.0", { does: "nothing" });
    const ended = await until("a job submitted afterwards ends", async () => {
      const status = await job.status();
      return status.finished && status;
    });
    expect(ended.state).toBe("SUCCEEDED");
  });
});
