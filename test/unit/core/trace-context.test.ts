import { describe, expect, test } from "vitest";
import { parseTraceParent, traceParent } from "../../../broker/src/core/trace-context.js";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";

describe("what W3C takes for a traceparent is read", () => {
  test.each([
    [`00-${traceId}-${spanId}-01`, true],
    [`00-${traceId}-${spanId}-00`, false],
    [`00-${traceId}-${spanId}-03`, true],
    [`cc-${traceId}-${spanId}-01-what-comes-later`, true],
  ])("%s", (text, sampled) => {
    expect(parseTraceParent(text)).toEqual({ traceId, spanId, sampled });
  });
});

describe("anything else counts as none", () => {
  test.each([
    [undefined],
    [""],
    ["00"],
    [`00-${traceId}-${spanId}`],
    [`00-${traceId}-${spanId}-01-more`],
    [`ff-${traceId}-${spanId}-01`],
    [`00-${traceId.toUpperCase()}-${spanId}-01`],
    [`00-${"0".repeat(32)}-${spanId}-01`],
    [`00-${traceId}-${"0".repeat(16)}-01`],
    [`00-${traceId}-${spanId}-0x`],
    [`00-${traceId}-${spanId}-01\n`],
  ])("%s", (text) => {
    expect(parseTraceParent(text)).toBeUndefined();
  });
});

test.each([true, false])("what is written is read again, sampled: %s", (sampled) => {
  const context = { traceId, spanId, sampled };
  expect(parseTraceParent(traceParent(context))).toEqual(context);
});
