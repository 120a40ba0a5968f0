// The same jobs through other task queues, in the same run on the same machine: no-op jobs with a payload of 200 bytes,
// results kept, every acknowledged write fsynced, each system as its documentation says is fastest.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { MissingTool, mustRun, run, which } from "../../support/commands.mjs";
import { root } from "../../support/paths.mjs";
import { bold, dim, green, yellow } from "../paint.mjs";
import { median, said } from "../report.mjs";
import { measureBullMq } from "./bullmq.mjs";
import { measureCelery } from "./celery.mjs";
import { Redis } from "./redis.mjs";

const scratch = join(root, ".drover/peers");
const packages = { npm: ["bullmq@6.7.0", "ioredis@6.0.0"], pip: ["celery[redis]==5.7.0"] };

/** What is compared: a name here -> the figure of Drover it is held against, and what it is. */
const compared = {
  submit_inflight1_per_s: { own: "submit_inflight1_per_s", unit: "/s", what: "submits, one at a time" },
  submit_inflight64_per_s: { own: "submit_inflight64_per_s", unit: "/s", what: "submits, 64 in flight" },
  submit_inflight1000_per_s: {
    own: "submit_inflight1000_per_s",
    unit: "/s",
    what: "submits, 1,000 in flight",
  },
  submit_bulk_per_s: { own: "submit_batch500_per_s", unit: "/s", what: "submits in bulk" },
  drain_per_s: { own: "drain_per_s", unit: "/s", what: "jobs run, results kept" },
  roundtrip_p50_ms: { own: "roundtrip_p50_ms", unit: "ms", what: "round trip, median" },
  roundtrip_p99_ms: { own: "roundtrip_p99_ms", unit: "ms", what: "round trip, 99th percentile" },
};
const systems = { bullmq: measureBullMq, celery: measureCelery };

/** Figures by system, medians of the rounds. @throws MissingTool when there is no Redis and none can be installed */
export async function runPeers({ quick, rounds, say }) {
  await install(say);
  const result = {};
  for (const [name, measure] of Object.entries(systems)) {
    const all = [];
    for (let round = 1; round <= rounds; round++) {
      const redis = await Redis.start();
      try {
        const told = (text) => say(`${name}, round ${round} of ${rounds}: ${text}`);
        all.push(await measure({ port: redis.port, scratch, quick, say: told }));
      } finally {
        await redis.stop();
      }
    }
    if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
    console.log(`${green("✓")} ${name} on Redis ${dim(`(${rounds} rounds)`)}`);
    result[name] = Object.fromEntries(
      Object.keys(all[0]).map((figure) => [figure, median(all.map((round) => round[figure]))]),
    );
  }
  return result;
}

export function printPeers(peers, own) {
  const names = Object.keys(peers);
  console.log(`\n${bold("beside others")} ${dim("(the same payload, every acknowledged write fsynced)")}`);
  console.log(["".padEnd(30), "Drover".padStart(10), ...names.map((name) => name.padStart(22))].join(""));
  for (const [figure, { own: ownName, unit, what }] of Object.entries(compared)) {
    const mine = own[ownName];
    const cells = names.map((name) => {
      const theirs = peers[name][figure];
      if (mine === undefined || theirs === undefined) return said(theirs ?? Number.NaN).padStart(22);
      const ratio = unit === "ms" ? theirs / mine : mine / theirs;
      const share = `x${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(1)}`;
      return `${said(theirs).padStart(13)}  ${(ratio >= 1 ? green : yellow)(share.padStart(7))}`;
    });
    const first = mine === undefined ? "" : said(mine);
    console.log([`${what}, ${unit}`.padEnd(30), first.padStart(10), ...cells].join(""));
  }
  console.log(dim("xN: how many times better Drover did"));
}

/** Redis from the system, the libraries into a folder of their own: none of it is a dependency of the project. */
async function install(say) {
  if (!which("redis-server")) {
    say("installing redis-server");
    const installed = await run("apt-get", ["install", "-y", "--no-install-recommends", "redis-server"]);
    if (installed.code !== 0) {
      throw new MissingTool(
        "--peers needs redis-server on PATH (on Debian and Ubuntu: apt-get install redis-server)",
      );
    }
  }
  mkdirSync(scratch, { recursive: true });
  if (!existsSync(join(scratch, "node_modules/ioredis"))) {
    say("installing BullMQ");
    const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
    await mustRun("npm", ["install", "--prefix", scratch, "--no-save", ...quiet, ...packages.npm]);
  }
  if (!existsSync(join(scratch, "venv/bin/celery"))) {
    say("installing Celery");
    await mustRun("python3", ["-m", "venv", join(scratch, "venv")]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    await mustRun(join(scratch, "venv/bin/python"), [...pip, ...packages.pip]);
  }
}
