// The golden files, read by the TypeScript SDKs. Python and Go read the same ones.

import { readFileSync } from "node:fs";
import { decode, encode, PayloadError } from "@drover/proto/sdk/payload";
import { toMillis } from "@drover/proto/sdk/time";
import { FailureReason, type Payload } from "@drover/proto/v1";
import { describe, expect, test } from "vitest";
import { detachedContext } from "../../worker-sdk/typescript/src/context.js";
import { Permanent, Retry } from "../../worker-sdk/typescript/src/errors.js";
import { threw } from "../../worker-sdk/typescript/src/outcomes.js";

const folder = new URL("../contract/golden/", import.meta.url);
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const payloads: {
  values: { name: string; text: string }[];
  timestamps: { name: string; unix_ms: number; texts: string[] }[];
  bytes: { name: string; hex: string; base64: string }[];
  refused: { name: string; text: string }[];
} = read("payloads.json");
const { failures }: { failures: Failure[] } = read("failures.json");
const { progress }: { progress: { name: string; value?: number; detail?: string }[] } = read("progress.json");

interface Failure {
  name: string;
  handler: "error" | "permanent" | "retry" | "unserialisable" | "payload_not_json";
  message?: string;
  after_ms?: number;
  reason: "ERROR" | "PERMANENT";
  retry_after_ms?: number;
}

const json = (text: string): Payload => ({ data: Buffer.from(text), contentType: "" });
const textOf = (payload: Payload) => Buffer.from(payload.data).toString();
/** JSON without what may differ between two texts of one value; its numbers as they are written. */
const canonical = (text: string) => {
  const strings: string[] = [];
  const bare = text
    .replace(/"(?:[^"\\]|\\.)*"/g, (string) => `"${strings.push(JSON.stringify(JSON.parse(string))) - 1}"`)
    .replace(/\s+/g, "")
    .replace(/-?\d+(?:\.\d+)?[eE][+-]?\d+/g, (number) => String(Number(number)));
  return bare.replace(/"(\d+)"/g, (_, index) => strings[Number(index)] ?? "");
};

describe("a payload", () => {
  test.each(payloads.values)("reads and writes $name", ({ text }) => {
    expect(canonical(textOf(encode(decode(json(text)))))).toBe(canonical(text));
  });

  test.each(payloads.timestamps)("writes a Date as $name", ({ unix_ms, texts }) => {
    expect(texts).toContain(decode(encode(new Date(unix_ms))));
    for (const text of texts) expect(new Date(text).getTime()).toBe(unix_ms);
  });

  test.each(payloads.bytes)("writes bytes as base64: $name", ({ hex, base64 }) => {
    expect(decode(encode({ bytes: new Uint8Array(Buffer.from(hex, "hex")) }))).toEqual({ bytes: base64 });
    expect(Buffer.from(base64, "base64").toString("hex")).toBe(hex);
  });

  test.each(payloads.refused)("refuses $name", ({ text }) => {
    expect(() => decode(json(text))).toThrow(PayloadError);
  });
});

/** What a handler that ends like this throws. */
function thrown({ handler, message = "", after_ms = 0 }: Failure): unknown {
  if (handler === "error") return new Error(message);
  if (handler === "permanent") return new Permanent(message);
  if (handler === "retry") return new Retry(after_ms, message);
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  try {
    return handler === "unserialisable" ? encode(cycle) : decode(json("{"));
  } catch (error) {
    return error;
  }
}

test.each(failures)("a failure: $name", (failure) => {
  const report = threw(thrown(failure), {}, undefined);
  if (report.$case !== "failure") throw new Error(`reported as ${report.$case}`);
  const { reason, message, retryAfter } = report.value;
  expect(reason).toBe(FailureReason[`FAILURE_REASON_${failure.reason}`]);
  if (failure.message !== undefined) expect(message).toBe(failure.message);
  expect(toMillis(retryAfter)).toBe(failure.retry_after_ms);
});

test.each(progress)("progress: $name", ({ value, detail }) => {
  const told: unknown[] = [];
  const context = detachedContext("demo", { onProgress: (...report) => void told.push(report) });
  const given = detail === undefined ? undefined : decode(json(detail));
  context.progress(value, given);
  expect(told).toEqual([[value, given]]);
});
