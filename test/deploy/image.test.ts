// The images, as far as they can be had without a Docker engine: the files are linted, and the broker's build stage is
// carried out in a folder; what it leaves runs as the image's user on a root that it cannot write to.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const dockerfile = join(root, "deploy/docker/Dockerfile");
const hadolint = join(root, ".drover/venv/bin/hadolint");
const natsServer = join(root, ".drover/tools/bin/nats-server");
const user = 65_532;
/** Only root may make a root folder of its own. */
const mayJail = process.getuid?.() === 0 || process.env.CI !== undefined;

const lint = (file: string): Promise<string> =>
  exec(hadolint, ["--no-color", file]).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "drover-image-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a Dockerfile", () => {
  test.each(["deploy/docker/Dockerfile", "deploy/docker/workers/Dockerfile"])("%s is clean", async (file) => {
    expect(await lint(join(root, file))).toBe("");
  });

  test.each([
    ["an image without a version", "FROM node\n", "DL3006"],
    ["a relative work folder", "FROM node:24\nWORKDIR app\n", "DL3000"],
    ["root at the end", "FROM node:24\nUSER root\n", "DL3002"],
  ])("with %s is found", async (_what, text, rule) => {
    const file = join(folder, "Dockerfile");
    writeFileSync(file, text);
    expect(await lint(file)).toContain(rule);
  });
});

/** Instructions with their continued lines, of one stage; without a name of the last, which is the image. */
function stage(name?: string): { verb: string; rest: string }[] {
  const text = readFileSync(dockerfile, "utf8")
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n")
    .replaceAll("\\\n", " ");
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const froms = lines.flatMap((line, at) => (line.startsWith("FROM ") ? [at] : []));
  const from = name === undefined ? froms.at(-1) : froms.find((at) => lines[at]?.endsWith(` AS ${name}`));
  const after = lines.slice((from ?? lines.length) + 1);
  const end = after.findIndex((line) => line.startsWith("FROM "));
  return after.slice(0, end === -1 ? undefined : end).map((line) => {
    const space = line.indexOf(" ");
    return { verb: line.slice(0, space), rest: line.slice(space + 1).trim() };
  });
}

/** What the image says of itself: how it is started, as whom, how its health is asked. */
function image() {
  const said = (wanted: string) => stage().flatMap(({ verb, rest }) => (verb === wanted ? [rest] : []));
  const [entry = "[]"] = said("ENTRYPOINT");
  const [, health = "[]"] = (said("HEALTHCHECK")[0] ?? "").split(" CMD ");
  const env = said("ENV")
    .flatMap((rest) => rest.split(/\s+/))
    .map((pair) => pair.split("=") as [string, string]);
  return {
    user: said("USER")[0],
    env: Object.fromEntries(env),
    entrypoint: JSON.parse(entry) as string[],
    health: JSON.parse(health) as string[],
    copied: said("COPY").map((rest) => rest.split(/\s+/).at(-1)),
  };
}

/** Carries the build stage out with `src` for /src and `out` for /out. */
async function build(src: string, out: string): Promise<void> {
  for (const { verb, rest } of stage("build")) {
    if (verb === "WORKDIR") mkdirSync(src, { recursive: true });
    else if (verb === "RUN") {
      const command = rest.replaceAll("/out", out);
      await exec("sh", ["-ec", command], { cwd: src, maxBuffer: 16 * 1024 * 1024 });
    } else if (verb === "COPY") {
      const parts = rest.split(/\s+/);
      const target = join(src, parts.pop() ?? "");
      for (const from of parts)
        copyIn(join(root, from), from, target, parts.length > 1 || rest.endsWith("/"));
    } else throw new Error(`${verb} in the build stage: teach this test what it means`);
  }
}

function copyIn(source: string, name: string, target: string, isFolder: boolean): void {
  const to = isFolder ? join(target, name.split("/").at(-1) ?? "") : target;
  mkdirSync(dirname(to), { recursive: true });
  // What Dockerfile.dockerignore keeps out of the context.
  const kept = (path: string) => !/\/(node_modules|dist)(\/|$)|\.tsbuildinfo$/.test(path.slice(root.length));
  cpSync(source, to, { recursive: true, filter: kept });
}

describe("what the broker's image holds", () => {
  test.runIf(mayJail)(
    "starts as its user on a read-only root, is healthy by its own command, and stops with 0",
    async () => {
      const [src, out] = [join(folder, "src"), join(folder, "out")];
      await build(src, out);
      for (const path of [
        "broker/dist/main.js",
        "broker/src/grpc/descriptors.binpb",
        "node_modules/@grpc/grpc-js",
      ]) {
        expect(existsSync(join(out, path)), path).toBe(true);
      }
      expect(existsSync(join(out, "node_modules/vitest"))).toBe(false);

      const jail = join(folder, "root");
      const data = join(folder, "data");
      mkdirSync(data);
      chownSync(data, user, user);
      const { user: declared, env: own, entrypoint, health, copied } = image();
      expect(declared).toBe(`${user}:${user}`);
      expect(copied).toContain(own.DROVER_NATS_SERVER);
      expect(copied).toContain(own.DROVER_DATA_DIR);
      const env = {
        ...own,
        PATH: "/usr/bin:/bin",
        DROVER_GRPC_PORT: "0",
        DROVER_HTTP_PORT: "0",
        // /usr is the machine's here, and nothing can be put into it.
        DROVER_NATS_SERVER: "/nats-server",
      };
      const script = [
        `mkdir -p ${jail} && mount -t tmpfs tmpfs ${jail} && cd ${jail}`,
        "mkdir -p app data tmp proc dev etc nodejs/bin && touch nats-server nodejs/bin/node",
        "for d in usr bin sbin lib lib64; do [ -e /$d ] && mkdir -p $d && mount --bind /$d $d && mount -o remount,ro,bind $d; done",
        `mount --bind ${out} app && mount -o remount,ro,bind app`,
        `mount --bind ${natsServer} nats-server && mount -o remount,ro,bind nats-server`,
        `mount --bind ${process.execPath} nodejs/bin/node && mount -o remount,ro,bind nodejs/bin/node`,
        `mount --bind ${data} data && mount -t tmpfs tmpfs tmp && chmod 1777 tmp`,
        "mount --rbind /dev dev && mount -t proc proc proc",
        `mount -o remount,ro ${jail}`,
        `exec chroot --userspec=${user}:${user} ${jail} /usr/bin/env -i "$@"`,
      ].join("\n");
      const vars = (extra: object = {}) =>
        Object.entries({ ...env, ...extra }).map(([name, value]) => `${name}=${value}`);
      const inJail = (words: string[]) => [
        "-m",
        "--propagation",
        "private",
        "sh",
        "-ec",
        script,
        "sh",
        ...words,
      ];
      const started = spawn("unshare", inJail([...vars(), ...entrypoint]), {
        stdio: ["ignore", "pipe", "pipe"],
      });
      const said: string[] = [];
      const exit = once(started, "exit");
      createInterface({ input: started.stderr }).on("line", (line) => said.push(line));
      const ready = new Promise<{ httpPort: number }>((resolve) => {
        createInterface({ input: started.stdout }).on("line", (line) => {
          said.push(line);
          if (line.includes('"msg":"ready"')) resolve(JSON.parse(line));
        });
      });
      const failed = exit.then(() => Promise.reject(new Error(`it ended:\n${said.join("\n")}`)));
      failed.catch(() => undefined);
      const { httpPort } = await Promise.race([ready, failed]);
      const asked = inJail([...vars({ DROVER_HTTP_PORT: httpPort }), ...health]);
      expect((await exec("unshare", asked)).stdout).toBe("ready\n");
      const status = readFileSync(`/proc/${started.pid}/status`, "utf8");
      expect(status).toMatch(new RegExp(`^Uid:\\s+${user}\\s`, "m"));
      started.kill("SIGTERM");
      expect((await exit)[0]).toBe(0);
    },
    300_000,
  );
});
