import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../../broker/src/app/telemetry.js";
import { createLogger, type LogOptions } from "../../../broker/src/ops/logger.js";
import { until } from "../../support/until.js";

function logger(options: LogOptions, isTTY = false) {
  const writes: string[] = [];
  const log = createLogger(options, { write: (text: string) => writes.push(text), isTTY });
  /** What was written by the end of this turn, a line each; of outcomes, once they have gone out. */
  const lines = async (told?: "outcomes") => {
    await setImmediate();
    if (told === "outcomes") await until("the outcomes to be written", () => writes.length > 0);
    return writes.join("").split("\n").slice(0, -1);
  };
  return { log, writes, lines };
}

const outcome: Outcome = {
  job: "mail.send~k1",
  task: "mail.send",
  queue: "default",
  attempt: 2,
  outcome: "failed",
  reason: "TIME_LIMIT",
  ran: 12,
  dueAt: 0,
};

test("machines get one JSON object a line", async () => {
  const { log, lines } = logger({ level: "info", format: "auto" });
  log.info({ grpcPort: 1 }, "ready");
  const written = await lines();
  expect(written).toHaveLength(1);
  const line = JSON.parse(written[0] ?? "");
  expect(line).toMatchObject({ level: "info", msg: "ready", grpcPort: 1 });
  expect(new Date(line.time).getTime()).toBeGreaterThan(0);
});

test("a terminal gets a line to read, with the stack of an error below", async () => {
  const { log, writes, lines } = logger({ level: "info", format: "auto" }, true);
  log.warn({ worker: "host:17", leases: 3, err: new Error("no luck") }, "worker lost");
  await lines();
  expect(writes[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} WARN {2}worker lost {2}worker=host:17 {2}leases=3\n {2}Error: no luck\n {6}at /,
  );
});

test("a terminal gets no control character that somebody put into a name or an error", async () => {
  const { log, writes, lines } = logger({ level: "info", format: "text" });
  log.warn({ worker: "w\u001b[2J\u009b1m\u202e", err: new Error("a\u0007b") }, "worker lost");
  await lines();
  expect(writes.join("")).toContain("worker=w\\u001b[2J\\u009b1m\\u202e");
  expect(writes.join("")).toContain("Error: a\\u0007b");
  expect(writes.join("").replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
});

describe("levels", () => {
  test.each([
    ["debug", 5],
    ["info", 4],
    ["warn", 2],
    ["error", 1],
    ["silent", 0],
  ] as const)("at %s there are %d lines", async (level, count) => {
    const { log, lines } = logger({ level, format: "json" });
    log.debug({}, "a");
    log.info({}, "b");
    log.outcome(outcome);
    log.warn({}, "c");
    log.error({}, "d");
    expect(await lines()).toHaveLength(count);
  });
});

test("payloads, results, tokens and passwords are cut out", async () => {
  const { log, lines } = logger({ level: "info", format: "json" });
  log.info({ payload: "secret", job: { result: "secret", id: "a~b" }, token: "secret" }, "a slip");
  const [line = ""] = await lines();
  expect(line).not.toContain("secret");
  expect(JSON.parse(line)).toMatchObject({ payload: "[cut]", job: { result: "[cut]", id: "a~b" } });
});

describe("an outcome is a line of its own", () => {
  test("for machines, with what there is", async () => {
    const { log, lines } = logger({ level: "info", format: "json" });
    log.outcome(outcome);
    log.outcome({ ...outcome, outcome: "cancelled", attempt: 0, reason: "", ran: undefined });
    const [failed, cancelled] = (await lines("outcomes")).map((line) => JSON.parse(line));
    const { job, task, queue } = outcome;
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
    const common = { level: "info", time, job, task, queue };
    const reason = "TIME_LIMIT";
    expect(failed).toEqual({
      ...common,
      attempt: 2,
      outcome: "failed",
      reason,
      durationMs: 12,
      msg: "job failed",
    });
    expect(cancelled).toEqual({ ...common, attempt: 0, outcome: "cancelled", msg: "job cancelled" });
  });

  test("and for people", async () => {
    const { log, lines } = logger({ level: "info", format: "text" });
    log.outcome(outcome);
    expect((await lines("outcomes"))[0]).toMatch(
      / INFO {2}job failed {2}job=mail.send~k1 {2}task=mail.send {2}queue=default {2}attempt=2 {2}outcome=failed {2}reason=TIME_LIMIT {2}durationMs=12$/,
    );
  });
});

test("outcomes by the thousand are written as they come, not kept", async () => {
  const { log, writes } = logger({ level: "info", format: "json" });
  for (let attempt = 1; attempt <= 1_000; attempt++) log.outcome({ ...outcome, attempt });
  expect(writes.length).toBeGreaterThan(0);
});

test("what is logged in one moment is written in one go, in its order", async () => {
  const { log, writes, lines } = logger({ level: "info", format: "json" });
  for (let attempt = 1; attempt <= 100; attempt++) log.outcome({ ...outcome, attempt });
  log.warn({}, "last");
  expect(writes).toHaveLength(0);
  const written = (await lines()).map((line) => JSON.parse(line));
  expect(writes).toHaveLength(1);
  expect(written.slice(0, 100).map(({ attempt }) => attempt)).toEqual(
    [...Array(100).keys()].map((i) => i + 1),
  );
  expect(written.at(-1)).toMatchObject({ msg: "last" });
});
