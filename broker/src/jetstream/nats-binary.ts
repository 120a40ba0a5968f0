// Finds a nats-server to embed: what the operator named, else what is on the PATH, else what the project's bootstrap
// fetched into .drover/tools/bin. Nothing is fetched here: a production image ships its own.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { atLeast, oldestServer, versionIn } from "./server-version.js";
import { StartupError } from "./startup-error.js";

export interface NatsBinary {
  path: string;
  version: string;
}

export interface BinarySearch {
  /** DROVER_NATS_SERVER: if it is set, nothing else will do. */
  named?: string | undefined;
  /** The PATH to look in. */
  path?: string | undefined;
  /** Folders from which on upwards `.drover/tools/bin` is looked for. */
  from?: readonly string[];
}

/** @throws StartupError that names everything that was tried */
export async function findNatsServer({
  named,
  path = process.env.PATH,
  from = [process.cwd(), dirname(fileURLToPath(import.meta.url))],
}: BinarySearch = {}): Promise<NatsBinary> {
  if (named !== undefined && named !== "") {
    const found = await inspect(resolve(named));
    if (found.path !== undefined) return found;
    throw new StartupError(`DROVER_NATS_SERVER=${named} will not do: ${found.why}`);
  }
  const tried: string[] = [];
  for (const candidate of [...onPath(path), ...cached(from)]) {
    const found = await inspect(candidate);
    if (found.path !== undefined) return found;
    if (found.there) tried.push(`${candidate}: ${found.why}`);
  }
  const seen = tried.length === 0 ? "" : ` (${tried.join("; ")})`;
  throw new StartupError(
    `no nats-server ${oldestServer} or later is on the PATH or in .drover/tools/bin${seen}: ` +
      "set DROVER_NATS_URL to use one that runs elsewhere, DROVER_NATS_SERVER to the path of a binary, put one on the " +
      "PATH, or in a checkout of Drover run `node test/support/bootstrap.mjs nats-server`",
  );
}

function onPath(path: string | undefined): string[] {
  const folders = (path ?? "").split(delimiter).filter(isAbsolute);
  return folders.map((folder) => join(folder, "nats-server"));
}

function cached(from: readonly string[]): string[] {
  const found = new Set<string>();
  for (const start of from) {
    for (let folder = resolve(start); ; folder = dirname(folder)) {
      found.add(join(folder, ".drover", "tools", "bin", "nats-server"));
      if (folder === dirname(folder)) break;
    }
  }
  return [...found];
}

type Inspected = NatsBinary | { path?: undefined; there: boolean; why: string };

async function inspect(path: string): Promise<Inspected> {
  try {
    await access(path, constants.X_OK);
  } catch {
    return { there: false, why: "there is no such program" };
  }
  const output = await new Promise<string>((done) => {
    execFile(path, ["--version"], { timeout: 10_000 }, (_, stdout) => done(stdout));
  });
  const version = output.includes("nats-server") ? versionIn(output) : undefined;
  if (version === undefined) return { there: true, why: "it is no nats-server that runs" };
  if (!atLeast(version, oldestServer)) {
    return { there: true, why: `it is version ${version}, and ${oldestServer} or later is needed` };
  }
  return { path, version };
}
