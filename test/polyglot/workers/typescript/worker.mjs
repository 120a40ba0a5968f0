// The tasks of workers.test.ts and bad-input.test.ts in TypeScript (as plain JavaScript, so that Node runs it as it stands).
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Permanent, Retry, Worker } from "@drover/worker";

const { FIXTURE_NAME, FIXTURE_QUEUE, FIXTURE_CONCURRENCY, FIXTURE_DRAIN_SECONDS } = process.env;
const { FIXTURE_TLS_CA: ca, FIXTURE_TLS_CERT: cert, FIXTURE_TLS_KEY: key } = process.env;
// One for each time that it is asked for, the last one from then on.
const namespaces = process.env.FIXTURE_NAMESPACES?.split(",");
const namespace = () => (namespaces.length > 1 ? namespaces.shift() : namespaces[0]);

const worker = new Worker({
  name: FIXTURE_NAME,
  queues: FIXTURE_QUEUE.split(",").map((queue) => {
    const [name, weight = "1"] = queue.split("=");
    return { name, weight: Number(weight) };
  }),
  concurrency: Number(FIXTURE_CONCURRENCY),
  drainTimeout: Number(FIXTURE_DRAIN_SECONDS) * 1_000,
  ...(namespaces && { metadata: () => ({ "drover-namespace": namespace() }) }),
  ...(ca && { tls: { ca, ...(cert && { cert, key }) } }),
});

class NoSuchUser extends Error {}

worker.task("echo", ({ value }) => value);

worker.task("measure", ({ value }) => {
  const bytes = Buffer.from(value);
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
});

// Waits for a file, and leaves a line in another one for each thing that befalls it.
worker.task("gate", async ({ gate, diary }, context) => {
  const note = (what) => appendFileSync(diary, `${what} ${context.attempt}\n`);
  note("began");
  context.progress(0.5, { step: "half" });
  try {
    while (!existsSync(gate)) await sleep(20, undefined, { signal: context.signal });
  } catch (error) {
    note("interrupted");
    throw error;
  }
  note("returned");
  return "opened";
});

// Computes, and lets nothing else come in between.
worker.task("busy", ({ milliseconds, diary }, context) => {
  appendFileSync(diary, `began ${context.attempt}\n`);
  for (const end = performance.now() + milliseconds; performance.now() < end; );
  return context.attempt;
});

worker.task("flaky", ({ failures }, { attempt }) => {
  if (attempt <= failures) throw new TypeError("not yet");
  return attempt;
});

worker.task("again", ({ milliseconds }, { attempt }) => {
  if (attempt === 1) throw new Retry(milliseconds, "come back later");
  return attempt;
});

worker.task("marked", () => {
  throw new Permanent("no user 42");
});

worker.task(
  "ruled",
  () => {
    throw new NoSuchUser("no user 42");
  },
  { permanentErrors: [NoSuchUser] },
);

worker.task("sizes", async (_, context) =>
  (await context.inputs()).map(({ result }) => `${result[0]}${result.length}`),
);

// As a schema library would say it: `{ user: { id: number } }`.
const strict = {
  "~standard": {
    version: 1,
    vendor: "fixture",
    validate: (value) =>
      Number.isInteger(value.user?.id)
        ? { value }
        : { issues: [{ message: "a whole number is needed", path: ["user", "id"] }] },
  },
};
worker.task("strict", ({ user }) => user.id, { payload: strict });

worker.task("opaque", () => {
  const result = {};
  result.itself = result;
  return result;
});

worker.task("silent", () => {});

worker.task("odd", () => {
  throw "no error at all";
});

worker.task("exits", ({ code }) => process.exit(code));

// Has started a process that outlives it.
worker.task("forks", () => {
  const child = spawn("sleep", ["60"], { stdio: "ignore", detached: true });
  child.unref();
  return { by: "the worker", pid: child.pid };
});

await worker.run();
