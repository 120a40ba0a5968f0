import { describe, expect, test } from "vitest";
import { retryDefaults, sizes, times } from "../../../broker/src/core/limits.js";
import { below, type Draft, specOfDraft } from "../../../broker/src/core/spec.js";

const now = Date.UTC(2026, 0, 1);
const hour = 3_600_000;
const day = 24 * hour;

function draft(fields: Partial<Draft> = {}): Draft {
  return { task: "mail.send", key: "", labels: {}, headers: {}, ...fields };
}

function specOf(fields: Partial<Draft> = {}) {
  const checked = specOfDraft(draft(fields), now);
  if ("violations" in checked) throw new Error(JSON.stringify(checked.violations));
  return checked.spec;
}

function violationsOf(fields: Partial<Draft>) {
  const checked = specOfDraft(draft(fields), now);
  return "violations" in checked ? checked.violations : [];
}

function entries(count: number, value = "x"): { [name: string]: string } {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`name${i}`, value]));
}

function payload(length: number, contentType = "") {
  return { payload: { data: new Uint8Array(length), contentType } };
}

describe("what a draft leaves open has a default", () => {
  test("every field", () => {
    expect(specOf()).toMatchObject({
      task: "mail.send",
      key: "",
      queue: "default",
      priority: 5,
      payload: undefined,
      retry: retryDefaults,
      softLimit: 0,
      hardLimit: 0,
      startBy: 0,
      retention: undefined,
      runAt: 0,
    });
  });

  test("what is set stays as it is", () => {
    const fields = { key: "k.1", queue: "bulk", priority: 0, softLimit: 1, hardLimit: 2, labels: { a: "b" } };
    expect(specOf(fields)).toMatchObject(fields);
  });

  test("each field of a retry policy has its own", () => {
    expect(specOf({ retry: { maxAttempts: 1 } }).retry).toEqual({ ...retryDefaults, maxAttempts: 1 });
    expect(specOf({ retry: { maxCrashes: 0 } }).retry).toEqual({ ...retryDefaults, maxCrashes: 0 });
  });
});

describe("the due time", () => {
  test.each([
    ["no delay", {}, 0],
    ["a delay of nothing", { delay: 0 }, 0],
    ["a delay", { delay: 1_500 }, now + 1_500],
    ["a time to come", { runAt: now + 1 }, now + 1],
    ["this very moment", { runAt: now }, 0],
    ["a time past", { runAt: now - day }, 0],
    ["a time before 1970", { runAt: -5 }, 0],
  ])("of %s", (_, fields, runAt) => {
    expect(specOf(fields).runAt).toBe(runAt);
  });
});

describe("at its limits a draft is taken", () => {
  test.each<[string, Partial<Draft>]>([
    ["a task of 128 characters", { task: "t".repeat(128) }],
    ["a key of 128 characters", { key: "k".repeat(128) }],
    ["priority 9", { priority: 9 }],
    ["a full payload", payload(sizes.payload)],
    ["a payload of another type", payload(1, "application/vnd.custom+cbor; version=1")],
    ["a delay of ten years", { delay: 3650 * day }],
    ["the last moment of 2199", { runAt: times.never - 1 }],
    ["start_by right after now", { startBy: now + 1 }],
    ["start_by right after the due time", { delay: hour, startBy: now + hour + 1 }],
    ["soft = hard", { softLimit: hour, hardLimit: hour }],
    ["runs of 30 days", { softLimit: 30 * day, hardLimit: 30 * day }],
    ["1,000 attempts", { retry: { maxAttempts: 1_000, maxCrashes: 100, factor: 100, jitter: 1 } }],
    ["a cap at the first delay", { retry: { initialDelay: hour, maxDelay: hour } }],
    ["retries without a wait", { retry: { initialDelay: 0, maxDelay: 0, jitter: 0, factor: 1 } }],
    ["no retention", { retention: 0 }],
    ["the shortest retention", { retention: 600_000 }],
    ["a year of retention", { retention: 365 * day }],
    ["16 labels of 256 bytes", { labels: entries(16, "x".repeat(256)) }],
    ["labels of 128 wide characters", { labels: { a: "é".repeat(128) } }],
    ["64 headers", { headers: entries(64) }],
  ])("%s", (_, fields) => {
    expect(violationsOf(fields)).toEqual([]);
  });
});

describe("beyond them it is refused, naming field, limit and mend", () => {
  test.each<[string, Partial<Draft>, string, RegExp]>([
    ["no task", { task: "" }, "task", /is required: 1 to 128 characters of A-Z/],
    ["a task of 129 characters", { task: "t".repeat(129) }, "task", /1 to 128/],
    ["a task with a space", { task: "mail send" }, "task", /"mail send" is not a name/],
    ["a task with a tilde", { task: "a~b" }, "task", /is not a name/],
    ["a task with a newline at its end", { task: "a\n" }, "task", /is not a name/],
    ["a key with a slash", { key: "a/b" }, "key", /is not a name/],
    ["an empty queue", { queue: "" }, "queue", /is required/],
    ["a queue with a wildcard", { queue: "a.*" }, "queue", /is not a name/],
    ["priority 10", { priority: 10 }, "priority", /is 10, must be 0 to 9/],
    [
      "a payload too large",
      payload(sizes.payload + 1),
      "payload.data",
      /524289 bytes, the limit is 524288.*reference/,
    ],
    ["a content type that is none", payload(1, "json"), "payload.content_type", /not a media type/],
    ["a content type too long", payload(1, `a/${"b".repeat(127)}`), "payload.content_type", /limit is 128/],
    ["a negative delay", { delay: -1 }, "delay", /is -1 ms, must be 0 ms to 3650 days/],
    ["a delay over ten years", { delay: 3650 * day + 1 }, "delay", /must be 0 ms to 3650 days/],
    ["a broken delay", { delay: Number.NaN }, "delay", /not a valid duration/],
    ["both delay and run_at", { delay: 1, runAt: now + 1 }, "run_at", /together with delay: keep one/],
    ["run_at in 2200", { runAt: times.never }, "run_at", /after the year 2200/],
    ["a broken run_at", { runAt: Number.NaN }, "run_at", /not a valid timestamp/],
    [
      "start_by in the past",
      { startBy: now },
      "start_by",
      /not after the time the job is due \(2026-01-01T00:00:00/,
    ],
    ["start_by before the due time", { delay: hour, startBy: now + hour }, "start_by", /it could never run/],
    ["start_by in 2200", { startBy: times.never }, "start_by", /after the year 2200/],
    [
      "soft above hard",
      { softLimit: 2_000, hardLimit: 1_000 },
      "soft_time_limit",
      /is 2 s, more than hard_time_limit \(1 s\)/,
    ],
    ["a soft limit of nothing", { softLimit: 0 }, "soft_time_limit", /must be 1 ms to 30 days/],
    ["a hard limit over 30 days", { hardLimit: 30 * day + 1 }, "hard_time_limit", /must be 1 ms to 30 days/],
    ["attempts 0", { retry: { maxAttempts: 0 } }, "retry.max_attempts", /is 0, must be 1 to 1,000/],
    ["attempts 1,001", { retry: { maxAttempts: 1_001 } }, "retry.max_attempts", /must be 1 to 1,000/],
    ["crashes 101", { retry: { maxCrashes: 101 } }, "retry.max_crashes", /is 101, must be 0 to 100/],
    [
      "a first delay over 30 days",
      { retry: { initialDelay: 30 * day + 1, maxDelay: 31 * day } },
      "retry.initial_delay",
      /must be/,
    ],
    [
      "a cap below the first delay",
      { retry: { initialDelay: 2_000, maxDelay: 1_000 } },
      "retry.max_delay",
      /is 1 s below initial_delay \(2 s\): raise/,
    ],
    [
      "a first delay above the default cap",
      { retry: { initialDelay: hour } },
      "retry.max_delay",
      /is 10 min, its default, below initial_delay \(1 h\)/,
    ],
    ["a factor below 1", { retry: { factor: 0.5 } }, "retry.factor", /is 0.5, must be 1 to 100/],
    ["a factor that is no number", { retry: { factor: Number.NaN } }, "retry.factor", /is NaN/],
    ["an endless factor", { retry: { factor: Number.POSITIVE_INFINITY } }, "retry.factor", /is Infinity/],
    ["negative jitter", { retry: { jitter: -0.1 } }, "retry.jitter", /must be 0 to 1/],
    [
      "a retention of a minute",
      { retention: 60_000 },
      "result_retention",
      /is 1 min, must be 0 or 10 min to 365 days/,
    ],
    ["a retention of two years", { retention: 730 * day }, "result_retention", /must be 0 or/],
    ["a broken retention", { retention: Number.NaN }, "result_retention", /not a valid duration/],
    ["17 labels", { labels: entries(17) }, "labels", /are 17, the limit is 16/],
    ["a label with a space", { labels: { "a b": "" } }, "labels", /"a b" is not a name/],
    [
      "a label's value of 257 bytes",
      { labels: { a: "x".repeat(257) } },
      'labels["a"]',
      /257 bytes, the limit is 256/,
    ],
    [
      "a label's value of 129 wide characters",
      { labels: { a: "é".repeat(129) } },
      'labels["a"]',
      /258 bytes/,
    ],
    ["65 headers", { headers: entries(65) }, "headers", /are 65, the limit is 64/],
    ["headers over 8 KiB", { headers: entries(9, "x".repeat(1_000)) }, "headers", /the limit is 8192/],
  ])("%s", (_, fields, field, description) => {
    expect(violationsOf(fields)).toContainEqual({ field, description: expect.stringMatching(description) });
  });
});

test("all that is wrong is said at once", () => {
  const wrong = violationsOf({ task: "", priority: 12, delay: -5, retry: { maxAttempts: 0, jitter: 2 } });
  expect(wrong.map(({ field }) => field)).toEqual([
    "task",
    "priority",
    "delay",
    "retry.max_attempts",
    "retry.jitter",
  ]);
});

test("foreign text is quoted short and on one line", () => {
  const [violation] = violationsOf({ task: `a\n${"b".repeat(1_000)}` });
  expect(violation?.description).toMatch(/^"a\\nb+\.\.\." is not a name/);
  expect(violation?.description.length).toBeLessThan(160);
});

test("paths are put below what the job is part of", () => {
  expect(below("jobs[3].", violationsOf({ priority: 10 }))).toMatchObject([{ field: "jobs[3].priority" }]);
});
