// The Python packages as strangers get them: wheels, installed into an empty environment, in which the READMEs' first
// programs and examples/fastapi run against a real broker.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Broker } from "../support/broker.js";
import { endAll } from "../support/child-processes.js";
import { freePort } from "../support/nats.js";
import { until } from "../support/until.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
const projects = ["proto/gen/python", "worker-sdk/python", "client-sdk/python"];
const example = join(root, "examples/fastapi");
/** The environment is downloaded where pip has it in no cache. */
const patience = 300_000;

let folder: string;
let bin: string;
let broker: Broker;
let env: NodeJS.ProcessEnv;
const processes: ChildProcess[] = [];

beforeAll(async () => {
  mkdirSync(join(root, ".drover"), { recursive: true });
  folder = mkdtempSync(join(root, ".drover/wheels-"));
  const wheels = join(folder, "wheels");
  const python = join(root, ".drover/venv/bin/python");
  const build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", wheels];
  await run(python, [...build, ...projects], { cwd: root });
  const venv = join(folder, "venv");
  await run("python3", ["-m", "venv", venv]);
  bin = join(venv, "bin");
  // By file: a registry may have a package of the same name.
  const built = readdirSync(wheels).map((name) => join(wheels, name));
  const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...built];
  await run(join(bin, "python"), [...install, "-r", join(example, "requirements.txt")]);
  broker = await Broker.start();
  const inherited = Object.entries(process.env).filter(([name]) => !/^(DROVER_|PYTHON)/.test(name));
  env = {
    ...Object.fromEntries(inherited),
    PATH: [bin, process.env.PATH].join(delimiter),
    DROVER_ADDRESS: broker.address,
  };
}, patience);

afterEach(() => endAll(processes));

afterAll(async () => {
  await broker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(command: string, args: string[], cwd: string): ChildProcess {
  const started = spawn(join(bin, command), args, { cwd, env, stdio: ["ignore", "ignore", "inherit"] });
  processes.push(started);
  return started;
}

/** The first program of a README. */
function firstProgram(readme: string): string {
  const found = /```python\n([\s\S]*?)```/.exec(readFileSync(join(root, readme), "utf8"))?.[1];
  if (found === undefined) throw new Error(`${readme} has no program`);
  return found;
}

test("the wheels carry their types and the command", async () => {
  const program =
    "import drover.sdk, drover_client, drover_worker, pathlib\n" +
    "for module in (drover.sdk, drover_client, drover_worker): print(pathlib.Path(module.__file__).with_name('py.typed').exists())";
  const { stdout } = await run(join(bin, "python"), ["-c", program], { cwd: folder, env });
  expect(stdout.trim().split("\n")).toEqual(["True", "True", "True"]);
  expect(readdirSync(bin)).toContain("drover-worker");
});

test(
  "the READMEs' first worker and first client work together",
  async () => {
    const project = join(folder, "project");
    mkdirSync(join(project, "shop"), { recursive: true });
    writeFileSync(join(project, "shop/__init__.py"), "");
    writeFileSync(join(project, "shop/tasks.py"), firstProgram("worker-sdk/python/README.md"));
    writeFileSync(join(project, "hello.py"), firstProgram("client-sdk/python/README.md"));
    start("drover-worker", ["shop.tasks:app", "--log-level", "warn", "--queues", "default,reports"], project);
    const { stdout } = await run(join(bin, "python"), ["hello.py"], { cwd: project, env });
    expect(stdout.trim()).toBe("sent plain to 1");
  },
  patience,
);

test("the worker command ends with 2 and says what is wrong with what it was told", async () => {
  const wrong = run(join(bin, "drover-worker"), ["shop.tasks:app", "--concurrency", "none"], {
    cwd: join(folder, "project"),
    env,
  });
  await expect(wrong).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("concurrency") });
});

test(
  "the FastAPI example accepts work, says how it stands, and waits for the end",
  async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    start("uvicorn", ["web:api", "--port", String(port), "--log-level", "warning"], example);
    const worker = start("drover-worker", ["tasks:app", "--log-level", "warn"], example);
    await until(
      "the web service",
      async () => (await fetch(`${url}/docs`).catch(() => undefined))?.ok,
      60_000,
    );

    const accepted = await fetch(`${url}/users/7/process?order=1`, { method: "POST" });
    expect(accepted.status).toBe(202);
    const { id, status } = (await accepted.json()) as { id: string; status: string };
    const again = await fetch(`${url}/users/7/process?order=1`, { method: "POST" });
    expect(await again.json()).toMatchObject({ id });
    expect(await (await fetch(`${url}${status}/result`)).json()).toEqual({
      result: { user_id: 7, score: 14 },
    });
    expect(await (await fetch(url + status)).json()).toMatchObject({
      state: "succeeded",
      attempt: 1,
      error: null,
    });

    expect((await fetch(`${url}/jobs/users.process~nobody`)).status).toBe(404);
    // Nobody is there any more who could be faster than the question.
    await endAll([worker]);
    const late = (await (await fetch(`${url}/users/8/process`, { method: "POST" })).json()) as {
      status: string;
    };
    expect((await fetch(`${url}${late.status}/result?timeout=0`)).status).toBe(202);
  },
  patience,
);

test(
  "submit and run make linked spans where OpenTelemetry is installed, and work where it is not",
  async () => {
    const program = join(root, "test/polyglot/python_spans.py");
    const told = async (...args: string[]) => {
      const { stdout } = await run(join(bin, "python"), args, { cwd: folder, env });
      return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
    };
    // Something else may have brought it: here it is not to be had.
    const without = `import runpy, sys; sys.modules["opentelemetry"] = None; runpy.run_path("${program}")`;
    expect(await told("-c", without)).toEqual(["opentelemetry"]);
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    await run(join(bin, "python"), [...install, "opentelemetry-sdk>=1.27,<2"]);
    const spans = (await told(program, "spans")) as Span[];
    const of = (name: string) => spans.find((span) => span.name === name) ?? expect.unreachable(name);
    for (const [task, status] of [
      ["spans.greet", "UNSET"],
      ["spans.fail", "ERROR"],
    ] as const) {
      const [submit, ran] = [of(`submit ${task}`), of(`run ${task}`)];
      expect([submit.kind, ran.kind, ran.status]).toEqual(["PRODUCER", "CONSUMER", status]);
      expect(ran.links).toEqual([[submit.trace, submit.id]]);
      expect(ran.job).toMatch(new RegExp(`^${task}~`));
    }
  },
  patience,
);

interface Span {
  name: string;
  kind: string;
  id: string;
  trace: string;
  status: string;
  job: string | null;
  /** Trace and span. */
  links: [string, string][];
}
