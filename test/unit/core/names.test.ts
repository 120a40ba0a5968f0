import { describe, expect, test } from "vitest";
import { isMadeKey, isName, jobId, makeKey, parseJobId, shardOf } from "../../../broker/src/core/names.js";

describe("a name", () => {
  test.each(["a", "mail.send_email", "A-Z_0.9", "...", "-", "x".repeat(128)])("may be %j", (name) => {
    expect(isName(name)).toBe(true);
  });

  test.each(["", "x".repeat(129), "a b", "a/b", "a~b", "a*", ">", "é", "a\n", "\na", "a\0", "日本"])(
    "may not be %j",
    (name) => {
      expect(isName(name)).toBe(false);
    },
  );
});

describe("a job id", () => {
  test.each([
    ["mail.send~order-17", "mail.send", "order-17"],
    ["a~b", "a", "b"],
    ["t~0190b2f4-7d1c-7abc-8def-0123456789ab", "t", "0190b2f4-7d1c-7abc-8def-0123456789ab"],
    [`${"t".repeat(128)}~${"k".repeat(128)}`, "t".repeat(128), "k".repeat(128)],
  ])("%s is of this task and key, and back", (id, task, key) => {
    expect(parseJobId(id)).toEqual({ task, key });
    expect(jobId({ task, key })).toBe(id);
    expect(encodeURIComponent(id)).toBe(id);
  });

  test.each(["", "~", "a~", "~b", "ab", "a~b~c", "a b~c", "a~b/c", "a~b ", ` a~b`, `a~${"k".repeat(129)}`])(
    "%j is none",
    (id) => {
      expect(parseJobId(id)).toBeUndefined();
    },
  );
});

describe("the shard of a task never changes: jobs lie where it says", () => {
  // With 2^32 shards it is the bare FNV-1a; the first three are the vectors of its authors.
  test.each([
    ["", 0x811c9dc5],
    ["a", 0xe40c292c],
    ["foobar", 0xbf9cf968],
  ])("the hash of %j is FNV-1a's", (task, hash) => {
    expect(shardOf(task, 2 ** 32)).toBe(hash);
  });

  test.each([
    ["mail.send", 1, 0],
    ["mail.send", 3, 0],
    ["notifications.send_email", 3, 0],
    ["reports.build", 3, 1],
    ["notifications.send_email", 16, 10],
    ["x".repeat(128), 16, 5],
  ])("%s of %d shards lies in %d", (task, shards, shard) => {
    expect(shardOf(task, shards)).toBe(shard);
  });

  test("many tasks spread over all shards", () => {
    const found = new Map<number, number>();
    for (let i = 0; i < 3_000; i++) {
      const shard = shardOf(`app.task_${i}`, 3);
      found.set(shard, (found.get(shard) ?? 0) + 1);
    }
    expect([...found.keys()].sort()).toEqual([0, 1, 2]);
    for (const count of found.values()) expect(count).toBeGreaterThan(800);
  });
});

describe("a key that is made", () => {
  const bytes = (...values: number[]) => new Uint8Array(values);

  test("is the UUIDv7 of RFC 9562's example", () => {
    const random = bytes(0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f);
    expect(makeKey(Date.UTC(2022, 1, 22, 19, 22, 22), random)).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  });

  test.each([
    ["no chance", new Uint8Array(10)],
    ["all of it", new Uint8Array(10).fill(0xff)],
  ])("with %s is a name, has version and variant, and is told from a chosen one", (_, random) => {
    const key = makeKey(Date.UTC(2026, 0, 1), random);
    expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(isName(key)).toBe(true);
    expect(isMadeKey(key)).toBe(true);
  });

  test("sorts by its time", () => {
    const times = [0, 1, 1_000, Date.UTC(2026, 0, 1), Date.UTC(2200, 0, 1)];
    const keys = times.map((time, i) => makeKey(time, new Uint8Array(10).fill(255 - i)));
    expect([...keys].sort()).toEqual(keys);
  });

  test.each([
    "order-17",
    "",
    "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
    "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
    "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
    "x017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
  ])("%j is none", (key) => {
    expect(isMadeKey(key)).toBe(false);
  });
});
