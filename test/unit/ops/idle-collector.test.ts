import { expect, test } from "vitest";
import { collectWhenIdle } from "../../../broker/src/ops/idle-collector.js";
import { until } from "../../support/until.js";

const MiB = 1024 * 1024;

test("what a burst has left is given back once nobody is at work", async () => {
  const stop = collectWhenIdle(200);
  try {
    let burst = Array.from({ length: 200 }, () => new Array<number>(100_000).fill(1));
    expect(burst).toHaveLength(200);
    burst = [];
    const before = process.memoryUsage.rss();
    await until("the memory to be given back", () => before - process.memoryUsage.rss() > 64 * MiB);
  } finally {
    stop();
  }
});
