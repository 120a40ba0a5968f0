// Numbers that people and other programs rely on: changing one is a change of the contract, or of what fits into a
// message of the nats-server.

import { describe, expect, test } from "vitest";
import {
  counts,
  defaultPriority,
  defaultQueue,
  retryDefaults,
  sizes,
  times,
} from "../../../broker/src/core/limits.js";

const KiB = 1024;
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

test("what a job may carry is as designed", () => {
  expect(sizes).toMatchObject({
    name: 128,
    payload: 512 * KiB,
    result: 256 * KiB,
    inlinePayload: 16 * KiB,
    stack: 8 * KiB,
    history: 20,
    labels: 16,
    labelValue: 256,
    batch: 1_000,
  });
});

test("times and counts are as designed", () => {
  expect(times).toMatchObject({
    idempotencyWindow: 10 * minute,
    keepSucceeded: hour,
    keepFailed: 7 * day,
    keepCancelled: hour,
    holdAfter: 10 * second,
    lease: 28 * second,
    renewEvery: 9 * second,
    cancelGrace: 10 * second,
    buffered: 5 * second,
    never: Date.parse("2200-01-01T00:00:00Z"),
    net: 5 * second,
    netIsNear: 4 * second,
  });
  expect(counts).toMatchObject({
    keepSucceeded: 1_000_000,
    redeliveries: 20,
    agenda: 150_000,
    routes: 1_000,
  });
});

test("what a submit leaves open is as designed", () => {
  expect([defaultQueue, defaultPriority]).toEqual(["default", 5]);
  expect(retryDefaults).toEqual({
    maxAttempts: 4,
    maxCrashes: 3,
    initialDelay: second,
    factor: 2,
    maxDelay: 10 * minute,
    jitter: 0.1,
  });
});

describe("limits that hang together", () => {
  test("a lease outlives two lost renewals", () => {
    expect(times.lease).toBeGreaterThanOrEqual(3 * times.renewEvery);
  });

  test("no record goes before a repeated submit or report could meet it", () => {
    for (const kept of [times.keepSucceeded, times.keepFailed, times.keepCancelled]) {
      expect(kept).toBeGreaterThanOrEqual(times.idempotencyWindow);
    }
  });

  test("the largest record fits into a message of the nats-server (1 MiB)", () => {
    const failure = sizes.stack + sizes.errorMessage + sizes.errorType;
    const headers = 2 * (sizes.labels * (sizes.labelValue + sizes.name) + sizes.headerBytes);
    const record = sizes.result + sizes.inlinePayload + (sizes.history - 1) * failure + headers;
    expect(record).toBeLessThan(1024 * KiB);
  });

  test("what has no deadline waits until before the nats-server's clock overflows", () => {
    expect(times.never).toBeLessThan(Date.UTC(2262, 3, 11));
  });
});
