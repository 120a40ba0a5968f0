// Who may speak to a broker, as the clients and workers of every language find out: TLS on both ends, and what a call
// carries besides its request.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client, type JobHandle } from "@drover/client";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { Authority, type Certificate } from "../support/certificates.js";
import { until } from "../support/until.js";
import { buildClients, buildWorkers, clientCommands, FixtureWorker } from "./fixture-worker.js";

const patience = 45_000;
/** What a worker may be silent for, and how long one computes for that is silent for longer, ms. */
const silence = 5_000;
const long = 8_000;
const languages = Object.keys(clientCommands) as (keyof typeof clientCommands)[];

let folder: string;
let authority: Authority;
let stranger: Authority;
let caller: Certificate;
let closed: Broker;
let open: Broker;
let local: Client | undefined;
const workers: FixtureWorker[] = [];

beforeAll(async () => {
  await Promise.all([buildWorkers(), buildClients()]);
  folder = mkdtempSync(join(tmpdir(), "drover-access-"));
  authority = Authority.make(folder, "authority");
  stranger = Authority.make(folder, "stranger");
  caller = authority.issue("caller");
  const { cert, key } = authority.issue("broker");
  const env = {
    DROVER_TLS_CERT: cert,
    DROVER_TLS_KEY: key,
    DROVER_TLS_CA: authority.ca,
    DROVER_SESSION_TIMEOUT: `${silence}ms`,
  };
  [closed, open] = await Promise.all([Broker.start({ env }), Broker.start()]);
}, 300_000);

afterEach(async () => {
  local?.close();
  local = undefined;
  for (const worker of workers) if (worker.running) worker.kill("SIGKILL");
  await Promise.all(workers.splice(0).map((worker) => worker.ended()));
});

afterAll(async () => {
  await Promise.all([closed?.stop(), open?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const known = () => ({
  FIXTURE_TLS_CA: authority.ca,
  FIXTURE_TLS_CERT: caller.cert,
  FIXTURE_TLS_KEY: caller.key,
});
const strangers = [
  {
    who: "trusts another authority than the broker's",
    env: () => ({ ...known(), FIXTURE_TLS_CA: stranger.ca }),
    says: /certificate/i,
  },
  {
    who: "shows no certificate to a broker that asks for one",
    env: () => ({ FIXTURE_TLS_CA: authority.ca }),
    says: /certificate/i,
  },
];

describe.each(languages)("in %s", (language) => {
  function worker(queue: string, env: Readonly<Record<string, string>>): FixtureWorker {
    const started = FixtureWorker.start(language, { address: closed.address, queue, name: queue, env });
    workers.push(started);
    return started;
  }

  async function client(address: string, env: Readonly<Record<string, string>>): Promise<Told> {
    const [program, ...args] = clientCommands[language];
    const { stdout } = await promisify(execFile)(program ?? "", args, {
      env: { ...process.env, FIXTURE_TASK: "echo", DROVER_ADDRESS: address, ...env },
    });
    return JSON.parse(stdout) as Told;
  }

  test("a client and a worker who show a certificate of the broker's authority find each other", async () => {
    const queue = `${language}-known`;
    worker(queue, known());
    const told = await client(closed.address, { ...known(), FIXTURE_QUEUE: queue });
    expect(told).toMatchObject({ result: "hello" });
  });

  test.each(strangers)("a client who $who is told so, once", async ({ env, says }) => {
    const { error, type } = await client(closed.address, {
      ...env(),
      FIXTURE_QUEUE: "none",
      FIXTURE_PATIENCE: "4",
    });
    expect(error).toMatch(says);
    expect(type).toMatch(/^(UnavailableError|Unavailable|\*drover\.Error)$/);
    expect(error?.split("\n")).toHaveLength(1);
  });

  test.each(strangers)("a worker who $who says so in its log, and goes on trying", async ({ env, says }) => {
    const started = worker(`${language}-stranger`, env());
    const failures = () => started.lines.filter((line) => /attach_failed|worker_detached/.test(line));
    // A connection that the broker has ended may be seen as broken before it is seen why.
    await until("a line that says it", () => failures().some((line) => says.test(line)), patience);
    const said = failures().length;
    await until("the next attempt", () => failures().length > said, patience);
    expect(started.running).toBe(true);
  });

  /** A job that computes for longer than the broker lets a worker be silent. */
  async function busy(queue: string): Promise<JobHandle> {
    const { ca, cert, key } = { ca: authority.ca, ...caller };
    local = new Client({ address: closed.address, tls: { ca, cert, key } });
    return local.submit("busy", { milliseconds: long, diary: "/dev/null" }, { queue });
  }

  test("a handler that computes for long keeps its job over TLS, whatever its calls carry", async () => {
    const queue = `${language}-busy`;
    worker(queue, { ...known(), FIXTURE_NAMESPACES: "default" });
    const { state, attempt, crashes } = await (await busy(queue)).wait({ timeout: patience });
    expect({ state, attempt, crashes }).toEqual({ state: "SUCCEEDED", attempt: 1, crashes: 0 });
  });

  test("what a worker's session carries reaches the broker", async () => {
    const started = worker(`${language}-elsewhere`, { ...known(), FIXTURE_NAMESPACES: "elsewhere" });
    await until("the refusal", () => started.lines.some((line) => line.includes("elsewhere")), patience);
  });

  test("what a call carries is asked anew for each call", async () => {
    local = new Client({ address: open.address });
    const env = { FIXTURE_TASK: `${language}-nobodys`, FIXTURE_QUEUE: "none" };
    const told = await client(open.address, { ...env, FIXTURE_NAMESPACES: "default,elsewhere" });
    // The submit was for the broker's namespace, and what came after it for one that it does not serve.
    expect(told.error).toContain("elsewhere");
    const jobs = [];
    for await (const job of local.list({ task: env.FIXTURE_TASK })) jobs.push(job.state);

    expect(jobs).toEqual(["READY"]);
  });
});

test("the vouching for a TypeScript handler that computes carries what calls do", async () => {
  const queue = "vouching-elsewhere";
  // The session is let in. What vouches for it is not: no such namespace.
  const env = { ...known(), FIXTURE_NAMESPACES: "default,elsewhere" };
  const started = FixtureWorker.start("typescript", { address: closed.address, queue, name: queue, env });
  workers.push(started);
  const { ca, cert, key } = { ca: authority.ca, ...caller };
  local = new Client({ address: closed.address, tls: { ca, cert, key } });
  const job = await local.submit("busy", { milliseconds: 3 * silence, diary: "/dev/null" }, { queue });
  await until("the lease to be lost", async () => (await job.status()).crashes === 1, patience);
});

interface Told {
  state?: string;
  result?: string;
  /** Of the error. */
  type?: string;
  error?: string;
}
