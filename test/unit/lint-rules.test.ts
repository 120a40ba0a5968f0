import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

// The architecture is a set of lint rules, and a rule that catches nothing looks like one that is kept:
// so a copy of the layout gets one file per import, all are linted at once, and each must come out as told here.

const root = fileURLToPath(new URL("../..", import.meta.url));
const biome = createRequire(import.meta.url).resolve("@biomejs/biome/bin/biome");

const forbidden: [folder: string, ...imports: string[]][] = [
  ["broker/src/core", "pino", "nats", "node:fs", "@drover/proto/v1", "../app/submit.js", "../grpc/server.js"],
  ["broker/src/core", "../jetstream/journal.js", "../ops/metrics.js", "../main.js"],
  ["broker/src/core/flow", "../../app/submit.js"],
  ["broker/src/app", "pino", "nats", "node:crypto", "@grpc/grpc-js", "@drover/proto/v1", "../main.js"],
  ["broker/src/app", "../jetstream/journal.js", "../grpc/server.js", "../ops/metrics.js"],
  ["broker/src/app/flows", "../../jetstream/journal.js"],
  ["broker/src/jetstream", "@grpc/grpc-js", "grpc-health-check", "../grpc/server.js", "../ops/metrics.js"],
  ["broker/src/jetstream", "@opentelemetry/api", "@opentelemetry/sdk-trace"],
  ["broker/src/jetstream/embedded", "../../grpc/server.js", "../../main.js"],
  ["broker/src/grpc", "nats", "@nats-io/jetstream", "@drover/proto/storage", "../jetstream/journal.js"],
  ["broker/src/grpc", "../ops/metrics.js", "../main.js", "@opentelemetry/exporter-trace-otlp-http"],
  ["broker/src/ops", "nats", "@nats-io/nats-core/internal", "@grpc/grpc-js", "../grpc/server.js"],
  ["broker/src/ops", "../jetstream/journal.js"],
  ["broker/src", "nats", "@nats-io/jetstream", "@grpc/grpc-js", "@drover/proto/storage"],
  ["broker/src", "@opentelemetry/api"],
  ["proto/sdk", "nats", "@nats-io/jetstream", "@drover/broker", "@drover/worker", "@drover/client"],
  ["proto/sdk", "../../broker/src/core/job.js", "@drover/proto/storage"],
  ["worker-sdk/typescript/src", "nats", "@nats-io/jetstream", "@drover/broker", "@drover/client"],
  ["worker-sdk/typescript/src", "../../../broker/src/core/job.js", "@drover/proto/storage"],
  ["client-sdk/typescript/src", "nats", "@nats-io/jetstream", "@drover/broker", "@drover/worker"],
  ["client-sdk/typescript/src/cli", "../../../../broker/src/core/job.js", "@drover/proto/storage"],
];

const allowed: typeof forbidden = [
  ["broker/src/core", "./job.js"],
  ["broker/src/core/flow", "../job.js"],
  ["broker/src/app", "./submit.js", "../core/job.js"],
  ["broker/src/app/flows", "../submit.js", "../../core/job.js"],
  ["broker/src/jetstream", "nats", "@nats-io/jetstream", "@drover/proto/storage", "../app/ports.js", "pino"],
  ["broker/src/grpc", "@grpc/grpc-js", "grpc-health-check", "@drover/proto/v1", "../app/submit.js"],
  ["broker/src/ops", "pino", "prom-client", "node:http", "../app/submit.js", "../core/job.js"],
  ["broker/src/ops", "@opentelemetry/sdk-trace", "@opentelemetry/exporter-trace-otlp-http"],
  ["broker/src", "./jetstream/journal.js", "./grpc/server.js", "./ops/metrics.js", "pino"],
  ["proto/sdk", "@grpc/grpc-js", "@drover/proto/v1", "@drover/proto/rpc/status", "./time.js"],
  ["worker-sdk/typescript/src", "@grpc/grpc-js", "@drover/proto/v1", "@drover/proto/sdk/time", "./worker.js"],
  ["client-sdk/typescript/src/cli", "@grpc/grpc-js", "@drover/proto/rpc", "../client.js"],
];

/** Every way to import, as the source of one file. */
const spellings: Record<string, (from: string) => string> = {
  import: (from) => `import * as x from "${from}";\nexport const y = x;\n`,
  type: (from) => `import type { X } from "${from}";\nexport type Y = X;\n`,
  reexport: (from) => `export { x } from "${from}";\n`,
  dynamic: (from) => `export const x = await import("${from}");\n`,
};

interface Case {
  folder: string;
  from: string;
  /** One file for each spelling. */
  files: Record<string, string>;
}

function casesOf(table: typeof forbidden, name: string): Case[] {
  const imports = table.flatMap(([folder, ...all]) => all.map((from) => ({ folder, from })));
  return imports.map(({ folder, from }, number) => {
    const spelled = Object.entries(spellings).map(([spelling, source]) => [
      `${folder}/${name}-${number}-${spelling}.ts`,
      source(from),
    ]);
    return { folder, from, files: Object.fromEntries(spelled) };
  });
}

const bad = casesOf(forbidden, "bad");
const good = casesOf(allowed, "good");
let copy: string;
let caught: Set<string>;

beforeAll(async () => {
  copy = mkdtempSync(join(tmpdir(), "drover-lint-"));
  for (const file of [".biome.jsonc", ".gitignore"]) cpSync(join(root, file), join(copy, file));
  for (const [path, source] of [...bad, ...good].flatMap(({ files }) => Object.entries(files))) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    writeFileSync(join(copy, path), source);
  }
  caught = await lint(copy);
});

afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** The files in which the linter saw a forbidden import. */
async function lint(folder: string): Promise<Set<string>> {
  const rule = ["--only=style/noRestrictedImports", "--max-diagnostics=none", "--reporter=json"];
  const output = await new Promise<string>((resolve) => {
    // It exits with 1 whenever it has found something, so what it says is all that counts.
    execFile(process.execPath, [biome, "lint", ...rule], { cwd: folder, maxBuffer: 2 ** 26 }, (_, stdout) =>
      resolve(stdout),
    );
  });
  const report = JSON.parse(output) as { diagnostics: { category: string; location: { path: string } }[] };
  return new Set(report.diagnostics.map(({ location }) => location.path));
}

describe("a forbidden import is caught", () => {
  test.each(bad)("$folder: $from", ({ files }) => {
    expect(Object.keys(files).filter((path) => !caught.has(path))).toEqual([]);
  });
});

describe("an allowed import is not", () => {
  test.each(good)("$folder: $from", ({ files }) => {
    expect(Object.keys(files).filter((path) => caught.has(path))).toEqual([]);
  });
});
