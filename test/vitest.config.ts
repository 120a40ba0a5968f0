import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// Unit tests run side by side. Integration tests have a server each and mostly wait, so a few run at a time. What drives
// many processes at once has the machine for itself.
const some = { maxWorkers: 4, hookTimeout: 60_000, teardownTimeout: 30_000 };
const oneByOne = { fileParallelism: false, maxWorkers: 1, hookTimeout: 60_000, teardownTimeout: 30_000 };

export default defineConfig({
  test: {
    root: fileURLToPath(new URL("..", import.meta.url)),
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 10_000 } },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts", "test/contract/**/*.test.ts"],
          testTimeout: 60_000,
          ...some,
        },
      },
      {
        test: { name: "polyglot", include: ["test/polyglot/**/*.test.ts"], testTimeout: 60_000, ...oneByOne },
      },
      { test: { name: "deploy", include: ["test/deploy/**/*.test.ts"], testTimeout: 120_000, ...some } },
      { test: { name: "chaos", include: ["test/chaos/**/*.test.ts"], testTimeout: 180_000, ...oneByOne } },
    ],
  },
});
