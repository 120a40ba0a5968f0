// A broker of two processes behind one port, as people run it.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { NatsServer } from "../support/nats.js";
import { Stranger } from "../support/stranger.js";
import { until } from "../support/until.js";

let broker: Broker;
/** One caller of each process. */
let callers: [first: Stranger, second: Stranger];

beforeAll(async () => {
  broker = await Broker.start({ env: { DROVER_PROCESSES: "2", DROVER_BROKER_NAME: "pair" } });
  callers = [new Stranger(broker.address), new Stranger(broker.address)];
}, 60_000);
afterAll(async () => {
  for (const caller of callers) caller.close();
  await broker.stop();
});

const nameOf = async (caller: Stranger) => (await caller.call("InspectService/ServerInfo")).broker as string;
const told = (message: string) =>
  broker.log
    .filter((line) => line.includes(`"msg":"${message}"`))
    .map((line) => JSON.parse(line) as { name: string; pid: number });
const scraped = async () => (await fetch(`${broker.httpUrl}/metrics`)).text();

/** Submits to one process and runs it by a worker of the other. */
async function run(here: Stranger, there: Stranger, key: string): Promise<void> {
  await here.call("JobService/Submit", { job: { task: "pair", key } });
  const { leases } = (await there.call("WorkerService/Lease", { worker: "w", tasks: ["pair"] })) as {
    leases: { token: string; key: string }[];
  };
  const outcomes = leases.map(({ token }) => ({ token, success: {} }));
  const { results } = (await there.call("WorkerService/Ack", { outcomes })) as {
    results: { state: string }[];
  };
  expect(results.map(({ state }) => state)).toEqual(["JOB_STATE_SUCCEEDED"]);
}

test("connections are dealt out to both, and what one takes the other runs", async () => {
  const names = await Promise.all(callers.map(nameOf));
  expect(names.sort()).toEqual(["pair-1", "pair-2"]);
  const [first, second] = callers;
  await run(first, second, "a");
  await run(second, first, "b");
});

test("their metrics stand behind the one port, each under its name", async () => {
  const text = await scraped();
  for (const name of ["pair-1", "pair-2"]) {
    expect(text).toContain(`drover_process_up{process="${name}"} 1\n`);
    expect(text).toMatch(new RegExp(`drover_jobs_submitted_total\\{process="${name}".*task="pair".*\\} 1\n`));
  }
});

test("who asks for OpenMetrics gets the exemplars of both", async () => {
  for (const [i, caller] of callers.entries()) {
    const headers = { traceparent: `00-${String(i + 1).repeat(32)}-${"b".repeat(16)}-01` };
    await caller.call("JobService/Submit", { job: { task: "pair", key: `traced-${i}`, headers } });
    const { leases } = (await caller.call("WorkerService/Lease", { worker: "w", tasks: ["pair"] })) as {
      leases: { token: string }[];
    };
    const outcomes = leases.map(({ token }) => ({ token, success: {} }));
    await caller.call("WorkerService/Ack", { outcomes });
  }
  const accept = "application/openmetrics-text; version=1.0.0";
  const answer = await fetch(`${broker.httpUrl}/metrics`, { headers: { accept } });
  expect(answer.headers.get("content-type")).toContain("application/openmetrics-text");
  const text = await answer.text();
  for (const i of [1, 2]) {
    expect(text).toMatch(
      new RegExp(`_bucket\\{process="pair-[12]",.* # \\{trace_id="${String(i).repeat(32)}"\\}`),
    );
  }
  expect(text.endsWith("# EOF\n")).toBe(true);
});

test("one that is killed is started again, and meanwhile the other one serves", async () => {
  const [victim] = told("a broker process is ready");
  const names = await Promise.all(callers.map(nameOf));
  const other = callers[names.indexOf(victim?.name ?? "") === 0 ? 1 : 0];
  process.kill(victim?.pid as number, "SIGKILL");
  // Until then what is submitted may still be delivered to the dead one, and comes again 20 s later.
  await until("its end", () => told("a broker process ended, and is started again").length > 0);
  await run(other, other, "c");
  expect((await fetch(`${broker.httpUrl}/readyz`)).status).toBe(200);
  const again = () => told("a broker process is ready again").length > 0;
  await until("the process to be ready again", again, 40_000);
  expect(await scraped()).toContain(`drover_process_up{process="${victim?.name}"} 1\n`);
});

test("an address that it cannot listen on ends it with one line, as it ends a single process", async () => {
  const env = { DROVER_PROCESSES: "2", DROVER_GRPC_HOST: "203.0.113.1" };
  await expect(Broker.start({ env })).rejects.toThrow(
    /ended[\s\S]*cannot listen there .*EADDRNOTAVAIL.*DROVER_GRPC_HOST or DROVER_GRPC_PORT/,
  );
});

/** The processes of a process, by their ids. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return readFileSync(file, "utf8").trim().split(" ").filter(Boolean).map(Number);
}

test("processes that die over ten times a minute are given up: the broker ends, and says so", async () => {
  const nats = await NatsServer.start();
  const doomed = await Broker.start({ natsUrl: nats.url, env: { DROVER_PROCESSES: "2" } });
  try {
    const killed = new Set<number>();
    // Each as soon as it is there: how long one takes to be ready does not matter.
    await until(
      "the broker to give up",
      () => {
        if (!doomed.running) return true;
        for (const pid of childrenOf(doomed.pid)) {
          if (killed.has(pid)) continue;
          killed.add(pid);
          process.kill(pid, "SIGKILL");
        }
        return false;
      },
      60_000,
    );
    expect(killed.size).toBeGreaterThan(10);
    const last = doomed.log.find((line) => line.includes("the broker processes cannot be kept up"));
    expect(last).toContain("broker processes ended 11 times within a minute");
    expect(doomed.exitCode).toBe(1);
  } finally {
    await doomed.kill();
    await nats.stop();
  }
}, 120_000);
