import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

test("reflection tells the contract as it is", () => {
  expect(() =>
    execFileSync("node", ["broker/src/grpc/descriptors.mjs", "--check"], { stdio: "pipe" }),
  ).not.toThrow();
}, 30_000);
