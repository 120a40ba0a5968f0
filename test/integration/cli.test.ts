// The command `drover` as a person uses it for jobs: against a real broker with a real worker, its words and its exit codes.

import { describe, expect, test } from "vitest";
import { commandOfFile } from "../support/command.js";
import { until } from "../support/until.js";

const command = commandOfFile();

describe("run", () => {
  test("prints the result and nothing else", async () => {
    expect(await command.drover(["run", "cli.add", '{"a": 2, "b": 3}'])).toEqual({
      code: 0,
      out: "5\n",
      err: "",
    });
  });

  test("of a job that fails says why, with 1, and no control character of it reaches the terminal", async () => {
    const { code, out, err } = await command.drover(["run", "cli.fail"]);
    expect(code).toBe(1);
    expect(out).toContain("PERMANENT");
    expect(out).toContain("no \\x1b[31mcolours\\x1b[0m here");
    expect(out + err).not.toContain("\u001b");
    expect(err).toMatch(/^drover: cli\.fail~\S+ failed\n$/);
  });

  test("ends with 4 when the time is over; the job goes on", async () => {
    const { code, err } = await command.drover(["run", "cli.hold", "--key", "late", "--wait", "300ms"]);
    expect(code).toBe(4);
    expect(err).toContain("cli.hold~late has not ended within 300 ms; it goes on");
    await until(
      "it to run",
      async () => (await command.client.job("cli.hold~late").status()).state === "RUNNING",
    );
    command.letOneEnd();
    expect((await command.client.job("cli.hold~late").wait()).state).toBe("SUCCEEDED");
  });
});

describe("submit", () => {
  test("takes the payload from standard input", async () => {
    const { code, out } = await command.drover(["run", "cli.add", "-"], '{"a": 20, "b": 1}');
    expect({ code, out }).toEqual({ code: 0, out: "21\n" });
  });

  test("prints the id, and a repeated key is said to be one", async () => {
    expect(await command.drover(["submit", "cli.add", '{"a":1,"b":1}', "--key", "twice"])).toMatchObject({
      code: 0,
      out: "cli.add~twice\n",
    });
    expect((await command.drover(["submit", "cli.add", "null", "--key", "twice"])).err).toContain(
      "was there already",
    );
    expect((await command.drover(["submit", "cli.add", "--key", "twice", "--reject-existing"])).code).toBe(1);
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
    expect((await command.drover(["submit", "cli.add", ...flags, ...limits, "--header", "h=x"])).code).toBe(
      0,
    );
    expect(await command.json(["status", "cli.add~full", "--payload"])).toMatchObject({
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
    const { code, out } = await command.drover(
      ["submit", "cli.add", "--lines", "-", "-q", "bulk"],
      `${lines}\n\n`,
    );
    expect({ code, out }).toEqual({ code: 0, out: "1,500 submitted\n" });
    expect((await command.json(["queue", "show", "bulk"])).ready).toBe(1_500);
    expect(await command.drover(["submit", "cli.add", "--lines", "-"], "1\n{\n")).toMatchObject({
      code: 2,
      err: expect.stringContaining("line 2 is not JSON"),
    });
  });
});

describe("looking", () => {
  test("status shows a job, and of an unknown one says so with 1", async () => {
    expect((await command.drover(["status", "cli.add~full"])).out).toMatch(/state +scheduled/);
    expect(await command.drover(["status", "cli.add~none"])).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("no job cli.add~none"),
    });
  });

  test("explain says why a job does not run, in a table or as JSON", async () => {
    await command.drover(["submit", "cli.nobody", "--key", "waits", "-q", "resting"]);
    await command.drover(["queue", "pause", "resting"]);
    const { code, out } = await command.drover(["explain", "cli.nobody~waits"]);
    expect(code).toBe(0);
    expect(out).toMatch(
      /queue paused\s+queue resting is paused\nno worker\s+no worker that is attached serves/,
    );
    expect(await command.json(["explain", "cli.nobody~waits"])).toMatchObject({
      id: "cli.nobody~waits",
      state: "READY",
      obstacles: [{ kind: "QUEUE_PAUSED", subject: "resting" }, { kind: "NO_WORKER" }],
    });
    await command.drover(["submit", "cli.nobody", "--key", "due", "--delay", "1h"]);
    expect((await command.drover(["explain", "cli.nobody~due"])).out).toMatch(/not due\s+due at /);
    expect((await command.drover(["explain", "cli.add~never"])).code).toBe(1);
  });

  test("watch tells each change until the end", async () => {
    const watching = command.drover(["watch", "cli.hold~seen"]);
    await command.client.submit("cli.hold", null, { key: "seen" });
    // The watch may have come first and found no job.
    const first = await Promise.race([
      watching,
      until("it to run", running("cli.hold~seen")).then(() => undefined),
    ]);
    const told = first === undefined ? watching : command.drover(["watch", "cli.hold~seen"]);
    await until("it to run", running("cli.hold~seen"));
    command.letOneEnd();
    const { code, out } = await told;
    expect(code).toBe(0);
    expect(out).toMatch(/succeeded/);
  });

  test("list filters, stops at its limit, and gives programs a job a line", async () => {
    const { out } = await command.drover([
      "-o",
      "json",
      "list",
      "-s",
      "ready",
      "-q",
      "bulk",
      "--limit",
      "1200",
    ]);
    const jobs = out.trim().split("\n");
    expect(jobs).toHaveLength(1_200);
    expect(JSON.parse(jobs[0] ?? "")).toMatchObject({ state: "READY", queue: "bulk" });
    expect((await command.drover(["list", "-q", "bulk", "--limit", "3"])).err).toContain("the first 3");
  });

  test("inspect says who works, on what, and what they serve", async () => {
    await command.client.submit("cli.hold", null, { key: "active" });
    await until("it to run", running("cli.hold~active"));
    expect((await command.drover(["inspect", "active"])).out).toContain("cli.hold~active");
    expect(await command.json(["inspect", "workers"])).toMatchObject([{ name: "cli-worker", running: 1 }]);
    expect((await command.drover(["inspect", "registered"])).out).toMatch(/cli\.add +default +cli-worker/);
    expect((await command.json(["inspect", "server"])).namespace).toBe("default");
    expect((await command.drover(["top"])).out).toContain("cli-worker");
    expect((await command.drover(["cancel", "cli.hold~active"])).out).toContain("requested");
  });

  const running = (id: string) => () =>
    command.client
      .job(id)
      .status()
      .then(({ state }) => state === "RUNNING");
});
