// The command `drover` as a person uses it: against a real broker with a real worker, its words and its exit codes.

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client, chain, step } from "@drover/client";
import { Permanent, Worker } from "@drover/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../../client-sdk/typescript/src/cli/run.js";
import { Broker } from "../support/broker.js";
import { until } from "../support/until.js";

const main = fileURLToPath(new URL("../../client-sdk/typescript/dist/cli/main.js", import.meta.url));
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let broker: Broker;
let client: Client;
let worker: Worker;
/** Lets one run of cli.hold end, be it there already or not. */
let go: () => void;

beforeAll(async () => {
  broker = await Broker.start();
  client = new Client({ address: broker.address });
  worker = new Worker({ address: broker.address, logger: silent, name: "cli-worker" });
  worker.task("cli.add", ({ a, b }: { a: number; b: number }) => a + b);
  worker.task("cli.fail", () => {
    throw new Permanent("no \u001b[31mcolours\u001b[0m here");
  });
  let mayEnd = 0;
  const held = new Set<() => void>();
  go = () => {
    const [first] = held;
    if (first === undefined) mayEnd++;
    else first();
  };
  worker.task("cli.hold", async (_: unknown, context) => {
    context.progress(0.25, { step: "one" });
    if (mayEnd > 0) mayEnd--;
    else
      await new Promise<void>((resolve) => {
        const end = () => {
          held.delete(end);
          resolve();
        };
        held.add(end);
        context.signal.addEventListener("abort", end);
      });
    context.signal.throwIfAborted();
  });
  await worker.start();
});

afterAll(async () => {
  await worker?.stop();
  client?.close();
  await broker?.stop();
});

/** One call of the command, in this process. */
async function drover(args: string[], input = "") {
  const said = { out: "", err: "" };
  const code = await run(["--address", broker.address, ...args], {
    out: { write: (text) => (said.out += text) },
    err: { write: (text) => (said.err += text) },
    in: Readable.from([input]),
    env: {},
    interrupted: new AbortController().signal,
  });
  return { code, ...said };
}

const json = async (args: string[]) => JSON.parse((await drover(["-o", "json", ...args])).out);

describe("run", () => {
  test("prints the result and nothing else", async () => {
    expect(await drover(["run", "cli.add", '{"a": 2, "b": 3}'])).toEqual({ code: 0, out: "5\n", err: "" });
  });

  test("of a job that fails says why, with 1, and no control character of it reaches the terminal", async () => {
    const { code, out, err } = await drover(["run", "cli.fail"]);
    expect(code).toBe(1);
    expect(out).toContain("PERMANENT");
    expect(out).toContain("no \\x1b[31mcolours\\x1b[0m here");
    expect(out + err).not.toContain("\u001b");
    expect(err).toMatch(/^drover: cli\.fail~\S+ failed\n$/);
  });

  test("ends with 4 when the time is over; the job goes on", async () => {
    const { code, err } = await drover(["run", "cli.hold", "--key", "late", "--wait", "300ms"]);
    expect(code).toBe(4);
    expect(err).toContain("cli.hold~late has not ended within 300 ms; it goes on");
    await until("it to run", async () => (await client.job("cli.hold~late").status()).state === "RUNNING");
    go();
    expect((await client.job("cli.hold~late").wait()).state).toBe("SUCCEEDED");
  });
});

describe("submit", () => {
  test("takes the payload from standard input", async () => {
    const { code, out } = await drover(["run", "cli.add", "-"], '{"a": 20, "b": 1}');
    expect({ code, out }).toEqual({ code: 0, out: "21\n" });
  });

  test("prints the id, and a repeated key is said to be one", async () => {
    expect(await drover(["submit", "cli.add", '{"a":1,"b":1}', "--key", "twice"])).toMatchObject({
      code: 0,
      out: "cli.add~twice\n",
    });
    expect((await drover(["submit", "cli.add", "null", "--key", "twice"])).err).toContain(
      "was there already",
    );
    expect((await drover(["submit", "cli.add", "--key", "twice", "--reject-existing"])).code).toBe(1);
  });

  test("takes all that a job may have", async () => {
    const flags = [
      "-q",
      "later",
      "-p",
      "7",
      "-k",
      "full",
      "--delay",
      "1h",
      "--retries",
      "1",
      "--max-crashes",
      "2",
    ];
    const limits = ["--soft-limit", "10s", "--hard-limit", "20s", "--keep", "2h", "-l", "a=1", "-l", "b=2"];
    expect((await drover(["submit", "cli.add", ...flags, ...limits, "--header", "h=x"])).code).toBe(0);
    expect(await json(["status", "cli.add~full", "--payload"])).toMatchObject({
      queue: "later",
      priority: 7,
      state: "SCHEDULED",
      retry: { retries: 1, maxCrashes: 2 },
      softTimeLimit: 10_000,
      hardTimeLimit: 20_000,
      labels: { a: "1", b: "2" },
      headers: { h: "x" },
      payload: null,
    });
  });

  test("takes a file of many, counts them, and names the line that is not JSON", async () => {
    const lines = Array.from({ length: 1_500 }, (_, n) => `{"a":${n},"b":1}`).join("\n");
    const { code, out } = await drover(["submit", "cli.add", "--lines", "-", "-q", "bulk"], `${lines}\n\n`);
    expect({ code, out }).toEqual({ code: 0, out: "1,500 submitted\n" });
    expect((await json(["queue", "show", "bulk"])).ready).toBe(1_500);
    expect(await drover(["submit", "cli.add", "--lines", "-"], "1\n{\n")).toMatchObject({
      code: 2,
      err: expect.stringContaining("line 2 is not JSON"),
    });
  });
});

describe("looking", () => {
  test("status shows a job, and of an unknown one says so with 1", async () => {
    expect((await drover(["status", "cli.add~full"])).out).toMatch(/state +scheduled/);
    expect(await drover(["status", "cli.add~none"])).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("no job cli.add~none"),
    });
  });

  test("explain says why a job does not run, in a table or as JSON", async () => {
    await drover(["submit", "cli.nobody", "--key", "waits", "-q", "resting"]);
    await drover(["queue", "pause", "resting"]);
    const { code, out } = await drover(["explain", "cli.nobody~waits"]);
    expect(code).toBe(0);
    expect(out).toMatch(
      /queue paused\s+queue resting is paused\nno worker\s+no worker that is attached serves/,
    );
    expect(await json(["explain", "cli.nobody~waits"])).toMatchObject({
      id: "cli.nobody~waits",
      state: "READY",
      obstacles: [{ kind: "QUEUE_PAUSED", subject: "resting" }, { kind: "NO_WORKER" }],
    });
    await drover(["submit", "cli.nobody", "--key", "due", "--delay", "1h"]);
    expect((await drover(["explain", "cli.nobody~due"])).out).toMatch(/not due\s+due at /);
    expect((await drover(["explain", "cli.add~never"])).code).toBe(1);
  });

  test("watch tells each change until the end", async () => {
    const watching = drover(["watch", "cli.hold~seen"]);
    await client.submit("cli.hold", null, { key: "seen" });
    // The watch may have come first and found no job.
    const first = await Promise.race([
      watching,
      until("it to run", running("cli.hold~seen")).then(() => undefined),
    ]);
    const told = first === undefined ? watching : drover(["watch", "cli.hold~seen"]);
    await until("it to run", running("cli.hold~seen"));
    go();
    const { code, out } = await told;
    expect(code).toBe(0);
    expect(out).toMatch(/succeeded/);
  });

  test("list filters, stops at its limit, and gives programs a job a line", async () => {
    const { out } = await drover(["-o", "json", "list", "-s", "ready", "-q", "bulk", "--limit", "1200"]);
    const jobs = out.trim().split("\n");
    expect(jobs).toHaveLength(1_200);
    expect(JSON.parse(jobs[0] ?? "")).toMatchObject({ state: "READY", queue: "bulk" });
    expect((await drover(["list", "-q", "bulk", "--limit", "3"])).err).toContain("the first 3");
  });

  test("inspect says who works, on what, and what they serve", async () => {
    await client.submit("cli.hold", null, { key: "active" });
    await until("it to run", running("cli.hold~active"));
    expect((await drover(["inspect", "active"])).out).toContain("cli.hold~active");
    expect(await json(["inspect", "workers"])).toMatchObject([{ name: "cli-worker", running: 1 }]);
    expect((await drover(["inspect", "registered"])).out).toMatch(/cli\.add +default +cli-worker/);
    expect((await json(["inspect", "server"])).namespace).toBe("default");
    expect((await drover(["top"])).out).toContain("cli-worker");
    expect((await drover(["cancel", "cli.hold~active"])).out).toContain("requested");
  });

  const running = (id: string) => () =>
    client
      .job(id)
      .status()
      .then(({ state }) => state === "RUNNING");
});

describe("what changes many", () => {
  test("a purge counts first, and removes only when told to", async () => {
    expect((await drover(["queue", "purge", "bulk", "--dry-run"])).out).toContain("would remove 1,500 ready");
    expect(await drover(["queue", "purge", "bulk"])).toMatchObject({ code: 2 });
    expect((await drover(["queue", "purge", "bulk", "--yes"])).out).toContain("removed 1,500 ready");
    expect((await json(["queue", "show", "bulk"])).ready).toBe(0);
  });

  test("all dead letters of a task are redriven, after a dry run that says how many", async () => {
    const failed = await Promise.all(
      [1, 2, 3].map(() => client.submit("cli.fail", null, { queue: "default" })),
    );
    await Promise.all(failed.map((job) => job.wait()));
    const dry = await json(["redrive", "--task", "cli.fail", "--dry-run"]);
    expect(dry.matched).toBeGreaterThanOrEqual(3);
    const [job] = failed;
    expect((await job?.status())?.attempt).toBe(1);
    expect(await json(["redrive", "--task", "cli.fail"])).toEqual({ done: dry.matched, left: 0 });
    await until("the second run", async () => (await job?.status())?.attempt === 2);
  });

  test("waiting jobs are cancelled by a filter", async () => {
    expect((await drover(["cancel", "-t", "cli.add", "-s", "scheduled", "--dry-run"])).out).toContain(
      "1 jobs",
    );
    expect(await json(["cancel", "-t", "cli.add", "-s", "scheduled"])).toEqual({ done: 1, left: 0 });
    expect((await json(["status", "cli.add~full"])).state).toBe("CANCELLED");
  });

  test("jobs are moved: one by its id, many by a filter after a dry run that says how many", async () => {
    for (let i = 0; i < 3; i++) await drover(["submit", "cli.moved", "--key", `m${i}`, "-q", "slow"]);
    expect(await drover(["move", "cli.moved~m0", "--to", "fast", "--to-priority", "9"])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/cli\.moved~m0\s+in fast, priority 9/),
    });
    const others = ["move", "--queue", "slow", "--to", "fast"];
    expect(await json([...others, "--dry-run"])).toMatchObject({ matched: 2 });
    expect((await drover([...others, "--dry-run"])).out).toContain("move would meet 2 jobs");
    expect((await json(["status", "cli.moved~m1"])).queue).toBe("slow");
    expect(await drover(others)).toMatchObject({ code: 0, out: "move: 2 jobs\n" });
    expect(await json(["status", "cli.moved~m1"])).toMatchObject({ queue: "fast", priority: 5 });
    // Within the queue that it lists: none is met twice.
    expect((await drover(["move", "--task", "cli.moved", "--to-priority", "1"])).out).toBe("move: 3 jobs\n");
    expect((await drover(["move", "cli.add~twice", "--to", "fast"])).code).toBe(1);
    expect(await drover(["move", "cli.moved~m1"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("say --to, --to-priority or both"),
    });
  });

  test("jobs of one concurrency key run so many at a time", async () => {
    await drover(["task", "limit", "cli.hold", "--per-key", "1"]);
    expect((await drover(["task", "show", "cli.hold"])).out).toMatch(/at a time per key\s+1/);
    for (const key of ["runs", "parked"]) {
      await drover(["submit", "cli.hold", "--key", key, "--concurrency-key", "acme"]);
      const state = key === "runs" ? "RUNNING" : "BLOCKED";
      await until(
        `${key} to be ${state}`,
        async () => (await client.job(`cli.hold~${key}`).status()).state === state,
      );
    }
    expect((await drover(["status", "cli.hold~parked"])).out).toMatch(/concurrency key\s+acme/);
    expect((await drover(["explain", "cli.hold~parked"])).out).toMatch(
      /concurrency key\s+1 of 1 of key acme run, 0 wait before it/,
    );
    go();
    await until("it to run", async () => (await client.job("cli.hold~parked").status()).state === "RUNNING");
    go();
    await client.job("cli.hold~parked").wait();
    await drover(["task", "limit", "cli.hold", "--none"]);
  });

  test("a submit may have a unique key, and may be debounced", async () => {
    const once = ["submit", "cli.never", "1", "--unique", "customer-7"];
    const { id } = await json(once);
    expect(await json(once)).toMatchObject({ id, deduplicated: true });
    const typed = (said: string) => ["submit", "cli.never", said, "-k", "draft", "--debounce", "1h"];
    await json(typed("1"));
    await json(typed("2"));
    expect((await client.job("cli.never~draft").status({ includePayload: true })).payload).toBe(2);
    expect(await drover(["submit", "cli.never", "1", "--debounce-max", "1h"])).toMatchObject({ code: 2 });
    expect(await drover(["submit", "cli.never", "1", "--debounce", "1h"])).toMatchObject({ code: 2 });
  });

  test("queues and tasks are limited, shown with it, and freed again", async () => {
    const limited = ["--rate", "10/m", "--burst", "3", "--concurrency", "4"];
    expect((await drover(["queue", "limit", "slow", ...limited])).out).toMatch(/rate +10\/m, 3 at once/);
    expect((await json(["queue", "show", "slow"])).limits).toEqual({
      rate: { count: 10, period: 60_000, burst: 3 },
      tokens: 3,
      nextTokenAt: expect.any(String),
      concurrency: 4,
      running: 0,
    });
    expect((await drover(["queue", "limit", "slow", "--none"])).out).toMatch(/limits +none/);
    expect((await drover(["task", "limit", "cli.slow", "--rate", "500/h"])).out).toMatch(/rate +500\/h/);
    expect((await json(["task", "show", "cli.slow"])).limits.rate.count).toBe(500);
    const wrong = await drover(["task", "limit", "cli.slow", "--rate", "10/fortnight"]);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("limits.rate") });
    expect(await drover(["queue", "limit", "slow"])).toMatchObject({ code: 2 });
  });

  test("a queue is paused and resumed", async () => {
    expect((await drover(["queue", "pause", "quiet"])).out).toBe("quiet is paused\n");
    expect((await drover(["queue", "ls"])).out).toMatch(/quiet +paused/);
    expect((await drover(["queue", "resume", "quiet"])).code).toBe(0);
    expect((await drover(["queue", "show", "never-heard-of"])).code).toBe(1);
  });
});

describe("schedules", () => {
  test("are put, shown, paused, triggered, previewed and removed", async () => {
    const put = ["schedule", "put", "nightly", "report.make", '{"of":"sales"}', "--owner", "shop"];
    expect((await drover([...put, "--cron", "0 3 * * *", "--zone", "Europe/Berlin", "--dry-run"])).out).toBe(
      "added: nightly\n",
    );
    expect((await drover([...put, "--cron", "0 3 * * *", "--zone", "Europe/Berlin"])).out).toBe(
      "added: nightly\n",
    );
    expect((await drover([...put, "--every", "1h", "--queue", "slow"])).out).toBe("changed: nightly\n");
    expect((await drover(["schedule", "ls"])).out).toMatch(/nightly +shop +report.make +every 1h/);
    expect((await drover(["schedule", "pause", "nightly"])).out).toContain("paused");
    const { out } = await drover(["schedule", "trigger", "nightly"]);
    expect(out).toMatch(/^report.make~nightly\./);
    expect((await drover(["schedule", "show", "nightly"])).out).toMatch(/triggered/);
    expect(
      await json([
        "schedule",
        "preview",
        "--cron",
        "30 2 * * *",
        "--from",
        "2027-01-01T00:00:00Z",
        "--count",
        "2",
      ]),
    ).toEqual(["2027-01-01T02:30:00.000Z", "2027-01-02T02:30:00.000Z"]);
    expect(await json(["schedule", "rm", "nightly", "--dry-run"])).toEqual({
      schedule: "nightly",
      dryRun: true,
    });
    expect((await drover(["schedule", "rm", "nightly"])).out).toBe("removed nightly\n");
    expect((await drover(["schedule", "show", "nightly"])).code).toBe(1);
    const never = await drover([...put, "--cron", "0 0 30 2 *"]);
    expect(never.code).toBe(2);
    expect(never.err).toContain("never comes");
  });
});

describe("routes", () => {
  const routes = JSON.stringify([
    { name: "mails", task: "mail.*", queue: "mail", priority: 3 },
    { name: "german", task: "*", labels: { country: "de" }, queue: "de" },
  ]);

  test("are put from a file after a dry run, listed and tried", async () => {
    const dry = await drover(["route", "put", "shop", "-", "--dry-run"], routes);
    expect(dry).toMatchObject({ code: 0, out: "added: mails, german\n" });
    expect((await drover(["route", "ls"])).err).toContain("no routes");
    expect((await drover(["route", "put", "shop", "-"], routes)).out).toBe("added: mails, german\n");
    expect((await drover(["route", "put", "shop", "-"], routes)).out).toBe("no changes\n");
    expect((await drover(["route", "ls"])).out).toMatch(/shop +german +\* +country=de +de/);
    expect(await json(["route", "test", "mail.send"])).toMatchObject({ queue: "mail", priority: 3 });
    expect(await json(["route", "test", "x", "-l", "country=de"])).toMatchObject({
      queue: "de",
      priority: 5,
    });
    expect(await json(["route", "test", "mail.send", "-q", "own"])).toMatchObject({ queue: "own" });
    const job = await client.submit("mail.send", null, { delay: 3_600_000 });
    expect(await job.status()).toMatchObject({ queue: "mail", priority: 3 });
    const refused = await drover(["route", "put", "other", "-"], routes);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("OWNED_BY_ANOTHER") });
    expect((await drover(["route", "put", "shop", "-"], "[]")).out).toBe("removed: mails, german\n");
  });

  test.each([
    ["{", "is not JSON"],
    ["{}", "is no JSON array"],
    ['[{"name": "a"}]', "route 1 of - needs a name and a task"],
    ['[{"name": "a", "task": "b", "que": "c"}]', "has no field que"],
    ['[{"name": "a", "task": "b", "labels": {"c": 1}}]', "its labels are no object of texts"],
    ['[{"name": "a", "task": "b"}]', "routes[0]"],
  ])("%s is refused with 2", async (text, said) => {
    expect(await drover(["route", "put", "shop", "-"], text)).toMatchObject({
      code: 2,
      err: expect.stringContaining(said),
    });
  });
});

describe("flows", () => {
  test("are listed, shown, redriven and cancelled", async () => {
    const node = chain(step("cli.add", { a: 1, b: 2 }), step("cli.fail"), step("cli.add", { a: 1, b: 1 }));
    const flow = await client.flows.submit(node, { name: "cli" });
    await flow.wait({ timeout: 30_000 });
    expect((await drover(["flow", "ls", "--state", "failed"])).out).toMatch(
      new RegExp(`${flow.key} +cli +failed +3/3 +1`),
    );
    const shown = await drover(["flow", "show", flow.key]);
    expect(shown.out).toContain("member 1: PERMANENT");
    expect(shown.out).not.toContain("\u001b");
    expect((await json(["flow", "show", flow.key])).members).toMatchObject([{ result: 3 }, {}, {}]);
    expect(await json(["flow", "redrive", flow.key, "--dry-run"])).toEqual({ matched: 2, dryRun: true });
    expect((await drover(["flow", "cancel", flow.key, "--dry-run"])).out).toBe(
      "cancel would meet 0 members; nothing was changed\n",
    );
    expect((await drover(["flow", "redrive", flow.key])).out).toBe("2 members run or wait again\n");
    await flow.wait({ timeout: 30_000 });
    expect(await drover(["flow", "cancel", flow.key])).toMatchObject({ code: 1 });
    expect((await drover(["flow", "show", "none"])).code).toBe(1);
  });
});

describe("as a process", () => {
  const exec = promisify(execFile);

  test("it takes the address from the environment, and its exit code is the shell's", async () => {
    const env = { PATH: process.env.PATH, DROVER_ADDRESS: broker.address };
    const { stdout } = await exec(process.execPath, [main, "run", "cli.add", '{"a":1,"b":2}'], { env });
    expect(stdout).toBe("3\n");
    const refused = await exec(process.execPath, [main, "status", "cli.add~none"], { env }).catch(
      (error) => error,
    );
    expect(refused.code).toBe(1);
  });

  test("a broker that is not there is one line with its address, and 3", async () => {
    const args = [main, "--address", "127.0.0.1:1", "--timeout", "1s", "list"];
    const { code, stderr } = await exec(process.execPath, args).catch((error) => error);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^drover: no broker answers at 127\.0\.0\.1:1 [^\n]*\n$/);
  });

  test.each([
    ["help", ["--help"], []],
    ["wrong usage", ["list", "--state", "asleep"], ["cli/job-looks.js"]],
    ["a look at a job", ["status", "cli.add~none"], ["cli/job-looks.js", "client.js", "@grpc/grpc-js"]],
  ])("%s loads what it needs: most of the time of a short command is that", async (what, args, needed) => {
    const folder = mkdtempSync(join(tmpdir(), "drover-loaded-"));
    try {
      // Node.js writes down here which scripts it has loaded.
      const env = { PATH: process.env.PATH, DROVER_ADDRESS: broker.address, NODE_V8_COVERAGE: folder };
      await exec(process.execPath, [main, ...args], { env }).catch(() => undefined);
      const [file = ""] = readdirSync(folder);
      const { result } = JSON.parse(readFileSync(join(folder, file), "utf8")) as {
        result: { url: string }[];
      };
      const loaded = (part: string) => result.some(({ url }) => url.includes(part));
      expect(needed.filter((part) => !loaded(part))).toEqual([]);
      if (!needed.includes("client.js")) expect(loaded("@grpc/grpc-js")).toBe(false);
      if (what !== "help") expect(loaded("cli/flow-commands.js")).toBe(false);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
