// The command `drover` as an operator uses it: what changes many jobs, queues, schedules, routes and flows.

import { chain, step } from "@drover/client";
import { describe, expect, test } from "vitest";
import { commandOfFile } from "../support/command.js";
import { until } from "../support/until.js";

const command = commandOfFile();

describe("what changes many", () => {
  test("a purge counts first, and removes only when told to", async () => {
    const lines = "1\n".repeat(1_500);
    await command.drover(["submit", "cli.add", "--lines", "-", "-q", "bulk"], lines);
    expect((await command.drover(["queue", "purge", "bulk", "--dry-run"])).out).toContain(
      "would remove 1,500 ready",
    );
    expect(await command.drover(["queue", "purge", "bulk"])).toMatchObject({ code: 2 });
    expect((await command.drover(["queue", "purge", "bulk", "--yes"])).out).toContain("removed 1,500 ready");
    expect((await command.json(["queue", "show", "bulk"])).ready).toBe(0);
  });

  test("all dead letters of a task are redriven, after a dry run that says how many", async () => {
    const failed = await Promise.all(
      [1, 2, 3].map(() => command.client.submit("cli.fail", null, { queue: "default" })),
    );
    await Promise.all(failed.map((job) => job.wait()));
    const dry = await command.json(["redrive", "--task", "cli.fail", "--dry-run"]);
    expect(dry.matched).toBeGreaterThanOrEqual(3);
    const [job] = failed;
    expect((await job?.status())?.attempt).toBe(1);
    expect(await command.json(["redrive", "--task", "cli.fail"])).toEqual({ done: dry.matched, left: 0 });
    await until("the second run", async () => (await job?.status())?.attempt === 2);
  });

  test("waiting jobs are cancelled by a filter", async () => {
    await command.client.submit("cli.add", { a: 1, b: 1 }, { key: "later", delay: 3_600_000 });
    expect((await command.drover(["cancel", "-t", "cli.add", "-s", "scheduled", "--dry-run"])).out).toContain(
      "1 jobs",
    );
    expect(await command.json(["cancel", "-t", "cli.add", "-s", "scheduled"])).toEqual({ done: 1, left: 0 });
    expect((await command.json(["status", "cli.add~later"])).state).toBe("CANCELLED");
  });

  test("jobs are moved: one by its id, many by a filter after a dry run that says how many", async () => {
    for (let i = 0; i < 3; i++) await command.drover(["submit", "cli.moved", "--key", `m${i}`, "-q", "slow"]);
    expect(
      await command.drover(["move", "cli.moved~m0", "--to", "fast", "--to-priority", "9"]),
    ).toMatchObject({
      code: 0,
      out: expect.stringMatching(/cli\.moved~m0\s+in fast, priority 9/),
    });
    const others = ["move", "--queue", "slow", "--to", "fast"];
    expect(await command.json([...others, "--dry-run"])).toMatchObject({ matched: 2 });
    expect((await command.drover([...others, "--dry-run"])).out).toContain("move would meet 2 jobs");
    expect((await command.json(["status", "cli.moved~m1"])).queue).toBe("slow");
    expect(await command.drover(others)).toMatchObject({ code: 0, out: "move: 2 jobs\n" });
    expect(await command.json(["status", "cli.moved~m1"])).toMatchObject({ queue: "fast", priority: 5 });
    // Within the queue that it lists: none is met twice.
    expect((await command.drover(["move", "--task", "cli.moved", "--to-priority", "1"])).out).toBe(
      "move: 3 jobs\n",
    );
    expect((await command.drover(["move", "cli.add~twice", "--to", "fast"])).code).toBe(1);
    expect(await command.drover(["move", "cli.moved~m1"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("say --to, --to-priority or both"),
    });
  });

  test("jobs of one concurrency key run so many at a time", async () => {
    await command.drover(["task", "limit", "cli.hold", "--per-key", "1"]);
    expect((await command.drover(["task", "show", "cli.hold"])).out).toMatch(/at a time per key\s+1/);
    for (const key of ["runs", "parked"]) {
      await command.drover(["submit", "cli.hold", "--key", key, "--concurrency-key", "acme"]);
      const state = key === "runs" ? "RUNNING" : "BLOCKED";
      await until(
        `${key} to be ${state}`,
        async () => (await command.client.job(`cli.hold~${key}`).status()).state === state,
      );
    }
    expect((await command.drover(["status", "cli.hold~parked"])).out).toMatch(/concurrency key\s+acme/);
    expect((await command.drover(["explain", "cli.hold~parked"])).out).toMatch(
      /concurrency key\s+1 of 1 of key acme run, 0 wait before it/,
    );
    command.letOneEnd();
    await until(
      "it to run",
      async () => (await command.client.job("cli.hold~parked").status()).state === "RUNNING",
    );
    command.letOneEnd();
    await command.client.job("cli.hold~parked").wait();
    await command.drover(["task", "limit", "cli.hold", "--none"]);
  });

  test("a submit may have a unique key, and may be debounced", async () => {
    const once = ["submit", "cli.never", "1", "--unique", "customer-7"];
    const { id } = await command.json(once);
    expect(await command.json(once)).toMatchObject({ id, deduplicated: true });
    const typed = (said: string) => ["submit", "cli.never", said, "-k", "draft", "--debounce", "1h"];
    await command.json(typed("1"));
    await command.json(typed("2"));
    expect((await command.client.job("cli.never~draft").status({ includePayload: true })).payload).toBe(2);
    expect(await command.drover(["submit", "cli.never", "1", "--debounce-max", "1h"])).toMatchObject({
      code: 2,
    });
    expect(await command.drover(["submit", "cli.never", "1", "--debounce", "1h"])).toMatchObject({ code: 2 });
  });

  test("queues and tasks are limited, shown with it, and freed again", async () => {
    const limited = ["--rate", "10/m", "--burst", "3", "--concurrency", "4"];
    expect((await command.drover(["queue", "limit", "slow", ...limited])).out).toMatch(
      /rate +10\/m, 3 at once/,
    );
    expect((await command.json(["queue", "show", "slow"])).limits).toEqual({
      rate: { count: 10, period: 60_000, burst: 3 },
      tokens: 3,
      nextTokenAt: expect.any(String),
      concurrency: 4,
      running: 0,
    });
    expect((await command.drover(["queue", "limit", "slow", "--none"])).out).toMatch(/limits +none/);
    expect((await command.drover(["task", "limit", "cli.slow", "--rate", "500/h"])).out).toMatch(
      /rate +500\/h/,
    );
    expect((await command.json(["task", "show", "cli.slow"])).limits.rate.count).toBe(500);
    const wrong = await command.drover(["task", "limit", "cli.slow", "--rate", "10/fortnight"]);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("limits.rate") });
    expect(await command.drover(["queue", "limit", "slow"])).toMatchObject({ code: 2 });
  });

  test("a queue is paused and resumed", async () => {
    expect((await command.drover(["queue", "pause", "quiet"])).out).toBe("quiet is paused\n");
    expect((await command.drover(["queue", "ls"])).out).toMatch(/quiet +paused/);
    expect((await command.drover(["queue", "resume", "quiet"])).code).toBe(0);
    expect((await command.drover(["queue", "show", "never-heard-of"])).code).toBe(1);
  });
});

describe("schedules", () => {
  test("are put, shown, paused, triggered, previewed and removed", async () => {
    const put = ["schedule", "put", "nightly", "report.make", '{"of":"sales"}', "--owner", "shop"];
    expect(
      (await command.drover([...put, "--cron", "0 3 * * *", "--zone", "Europe/Berlin", "--dry-run"])).out,
    ).toBe("added: nightly\n");
    expect((await command.drover([...put, "--cron", "0 3 * * *", "--zone", "Europe/Berlin"])).out).toBe(
      "added: nightly\n",
    );
    expect((await command.drover([...put, "--every", "1h", "--queue", "slow"])).out).toBe(
      "changed: nightly\n",
    );
    expect((await command.drover(["schedule", "ls"])).out).toMatch(/nightly +shop +report.make +every 1h/);
    expect((await command.drover(["schedule", "pause", "nightly"])).out).toContain("paused");
    const { out } = await command.drover(["schedule", "trigger", "nightly"]);
    expect(out).toMatch(/^report.make~nightly\./);
    expect((await command.drover(["schedule", "show", "nightly"])).out).toMatch(/triggered/);
    expect(
      await command.json([
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
    expect(await command.json(["schedule", "rm", "nightly", "--dry-run"])).toEqual({
      schedule: "nightly",
      dryRun: true,
    });
    expect((await command.drover(["schedule", "rm", "nightly"])).out).toBe("removed nightly\n");
    expect((await command.drover(["schedule", "show", "nightly"])).code).toBe(1);
    const never = await command.drover([...put, "--cron", "0 0 30 2 *"]);
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
    const dry = await command.drover(["route", "put", "shop", "-", "--dry-run"], routes);
    expect(dry).toMatchObject({ code: 0, out: "added: mails, german\n" });
    expect((await command.drover(["route", "ls"])).err).toContain("no routes");
    expect((await command.drover(["route", "put", "shop", "-"], routes)).out).toBe("added: mails, german\n");
    expect((await command.drover(["route", "put", "shop", "-"], routes)).out).toBe("no changes\n");
    expect((await command.drover(["route", "ls"])).out).toMatch(/shop +german +\* +country=de +de/);
    expect(await command.json(["route", "test", "mail.send"])).toMatchObject({ queue: "mail", priority: 3 });
    expect(await command.json(["route", "test", "x", "-l", "country=de"])).toMatchObject({
      queue: "de",
      priority: 5,
    });
    expect(await command.json(["route", "test", "mail.send", "-q", "own"])).toMatchObject({ queue: "own" });
    const job = await command.client.submit("mail.send", null, { delay: 3_600_000 });
    expect(await job.status()).toMatchObject({ queue: "mail", priority: 3 });
    const refused = await command.drover(["route", "put", "other", "-"], routes);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("OWNED_BY_ANOTHER") });
    expect((await command.drover(["route", "put", "shop", "-"], "[]")).out).toBe("removed: mails, german\n");
  });

  test.each([
    ["{", "is not JSON"],
    ["{}", "is no JSON array"],
    ['[{"name": "a"}]', "route 1 of - needs a name and a task"],
    ['[{"name": "a", "task": "b", "que": "c"}]', "has no field que"],
    ['[{"name": "a", "task": "b", "labels": {"c": 1}}]', "its labels are no object of texts"],
    ['[{"name": "a", "task": "b"}]', "routes[0]"],
  ])("%s is refused with 2", async (text, said) => {
    expect(await command.drover(["route", "put", "shop", "-"], text)).toMatchObject({
      code: 2,
      err: expect.stringContaining(said),
    });
  });
});

describe("flows", () => {
  test("are listed, shown, redriven and cancelled", async () => {
    const node = chain(step("cli.add", { a: 1, b: 2 }), step("cli.fail"), step("cli.add", { a: 1, b: 1 }));
    const flow = await command.client.flows.submit(node, { name: "cli" });
    await flow.wait({ timeout: 30_000 });
    expect((await command.drover(["flow", "ls", "--state", "failed"])).out).toMatch(
      new RegExp(`${flow.key} +cli +failed +3/3 +1`),
    );
    const shown = await command.drover(["flow", "show", flow.key]);
    expect(shown.out).toContain("member 1: PERMANENT");
    expect(shown.out).not.toContain("\u001b");
    expect((await command.json(["flow", "show", flow.key])).members).toMatchObject([{ result: 3 }, {}, {}]);
    expect(await command.json(["flow", "redrive", flow.key, "--dry-run"])).toEqual({
      matched: 2,
      dryRun: true,
    });
    expect((await command.drover(["flow", "cancel", flow.key, "--dry-run"])).out).toBe(
      "cancel would meet 0 members; nothing was changed\n",
    );
    expect((await command.drover(["flow", "redrive", flow.key])).out).toBe("2 members run or wait again\n");
    await flow.wait({ timeout: 30_000 });
    expect(await command.drover(["flow", "cancel", flow.key])).toMatchObject({ code: 1 });
    expect((await command.drover(["flow", "show", "none"])).code).toBe(1);
  });
});
