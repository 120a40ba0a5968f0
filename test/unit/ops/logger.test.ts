import { describe, expect, test } from "vitest";
import { createLogger, type LogOptions } from "../../../broker/src/ops/logger.js";

function lines(options: LogOptions, isTTY = false) {
  const written: string[] = [];
  const log = createLogger(options, { write: (text: string) => written.push(text), isTTY });
  return { log, written };
}

test("machines get one JSON object a line", () => {
  const { log, written } = lines({ level: "info", format: "auto" });
  log.info({ grpcPort: 1 }, "ready");
  expect(written).toHaveLength(1);
  const line = JSON.parse(written[0] ?? "");
  expect(line).toMatchObject({ level: "info", msg: "ready", grpcPort: 1 });
  expect(new Date(line.time).getTime()).toBeGreaterThan(0);
});

test("a terminal gets a line to read, with the stack of an error below", () => {
  const { log, written } = lines({ level: "info", format: "auto" }, true);
  log.warn({ worker: "host:17", leases: 3, err: new Error("no luck") }, "worker lost");
  expect(written[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} WARN {2}worker lost {2}worker=host:17 {2}leases=3\n {2}Error: no luck\n {6}at /,
  );
});

describe("levels", () => {
  test.each([
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1],
    ["silent", 0],
  ] as const)("at %s there are %d lines", (level, count) => {
    const { log, written } = lines({ level, format: "json" });
    log.debug({}, "a");
    log.info({}, "b");
    log.warn({}, "c");
    log.error({}, "d");
    expect(written).toHaveLength(count);
  });
});

test("payloads, results, tokens and passwords are cut out", () => {
  const { log, written } = lines({ level: "info", format: "json" });
  log.info({ payload: "secret", job: { result: "secret", id: "a~b" }, token: "secret" }, "a slip");
  expect(written[0]).not.toContain("secret");
  expect(JSON.parse(written[0] ?? "")).toMatchObject({
    payload: "[cut]",
    job: { result: "[cut]", id: "a~b" },
  });
});
