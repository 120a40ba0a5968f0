// The packages as they are published, in a project that has nothing else: what the READMEs say first, schemas of zod and
// valibot with their types, and the Fastify example.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { endAll } from "../support/child-processes.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const packages = ["proto", "client-sdk/typescript", "worker-sdk/typescript"];
/** npm fetches what the packages depend on. */
const patience = 300_000;

let broker: Broker;
let folder: string;
let env: NodeJS.ProcessEnv;
const processes: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "drover-packages-"));
  broker = await Broker.start();
  env = { ...process.env, DROVER_ADDRESS: broker.address, PORT: "0" };
  const archives: string[] = [];
  for (const name of packages) {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], {
      cwd: join(root, name),
    });
    archives.push(join(folder, (JSON.parse(stdout) as { filename: string }[])[0]?.filename ?? ""));
  }
  for (const file of ["tasks.mjs", "worker.mjs", "server.mjs"])
    cpSync(join(root, "examples/fastify", file), join(folder, file));
  const { dependencies } = JSON.parse(readFileSync(join(root, "examples/fastify/package.json"), "utf8"));
  const others = Object.entries({ ...dependencies, valibot: "^1.5.0" })
    .filter(([name]) => !name.startsWith("@drover/"))
    .map(([name, version]) => `${name}@${version}`);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  await run("npm", ["install", ...flags, ...archives, ...others], { cwd: folder });
}, patience);

afterEach(() => endAll(processes));

afterAll(async () => {
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The first program of a package's README. */
function firstExample(sdk: string): string {
  const readme = readFileSync(join(root, sdk, "typescript/README.md"), "utf8");
  const found = /```[jt]s\n([\s\S]*?)```/.exec(readme)?.[1];
  if (found === undefined) throw new Error(`${sdk} has no example`);
  return found;
}

function start(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  processes.push(child);
  return child;
}

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return name;
}

test("the first worker and the first client of the READMEs find each other", async () => {
  start(write("first-worker.mjs", firstExample("worker-sdk")));
  const client = write("first-client.mjs", firstExample("client-sdk"));
  const { stdout } = await run(process.execPath, [client], { cwd: folder, env });
  expect(stdout).toContain("Hello, Ada!");
});

test("zod's and valibot's schemas give payloads their types", { timeout: patience }, async () => {
  write(
    "typed.ts",
    `import { Client, taskRef } from "@drover/client";
    import { defineTask, Worker } from "@drover/worker";
    import * as v from "valibot";
    import { z } from "zod";
    const client = new Client();
    const resize = taskRef("resize", { payload: z.object({ at: z.coerce.date<string>() }), result: z.number() });
    new Worker().task(resize, ({ at }) => at.getTime());
    const n: Promise<number> = client.submit(resize, { at: "2026-01-01" }).then((job) => job.result());
    // @ts-expect-error: a text is wanted
    void client.submit(resize, { at: 7 });
    const crop = defineTask({ name: "crop", payload: v.object({ width: v.number() }), handler: ({ width }) => width * 2 });
    const m: Promise<number> = client.submit(crop, { width: 1 }).then((job) => job.result());
    // @ts-expect-error: width is missing
    void client.submit(crop, {});
    export { m, n };`,
  );
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const flags = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"];
  const types = ["--types", "node", "--typeRoots", join(root, "node_modules/@types")];
  const checked = run(process.execPath, [tsc, ...flags, ...types, "typed.ts"], { cwd: folder });
  await checked.catch((error: { stdout: string }) => expect.unreachable(error.stdout));
});

test("the Fastify example submits, shows, waits and refuses", { timeout: 120_000 }, async () => {
  start("node_modules/@drover/worker/dist/main.js", "worker.mjs", "--log-level", "warn");
  const server = start("server.mjs");
  const lines = createInterface({ input: server.stdout ?? expect.unreachable("no stdout") });
  const [url] = (await once(lines, "line")) as [string];
  const post = (path: string, key?: string, body = {}) =>
    fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...(key !== undefined && { "idempotency-key": key }) },
      body: JSON.stringify(body),
    });

  const accepted = await post("/users/7/process", "user-7");
  expect(accepted.status).toBe(202);
  const { id, status } = (await accepted.json()) as { id: string; status: string };
  expect(id).toBe("users.process~user-7");
  expect(await (await post("/users/7/process", "user-7")).json()).toMatchObject({ id });
  const waited = await fetch(`${url}${status}/result?wait=30000`);
  expect(await waited.json()).toEqual({ result: { userId: 7, processed: true } });
  expect(await (await fetch(url + status)).json()).toMatchObject({ state: "SUCCEEDED", attempt: 1 });

  const refused = await post("/users/0/process", undefined, { email: "nobody" });
  expect(refused.status).toBe(400);
  const { fields } = (await refused.json()) as { fields: { field: string }[] };
  expect(fields.map(({ field }) => field).sort()).toEqual(["payload.email", "payload.userId"]);
  expect((await fetch(`${url}/jobs/users.process~nobody`)).status).toBe(404);

  server.kill("SIGTERM");
  expect(await once(server, "exit")).toEqual([0, null]);
});
