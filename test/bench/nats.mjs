// A nats-server alone, with the settings that the broker gives its embedded one.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "nats";
import { toolsBin } from "../support/paths.mjs";

export class NatsForBench {
  get pid() {
    return this.process.pid;
  }

  /** Bytes that are in use in the server, garbage collected first. */
  async liveBytes() {
    const profile = await (
      await fetch(`http://127.0.0.1:${this.profPort}/debug/pprof/heap?gc=1&debug=1`)
    ).text();
    return Number(/# HeapInuse = (\d+)/.exec(profile)?.[1] ?? 0);
  }

  /** Bytes of its files. */
  diskBytes() {
    const folder = join(this.dir, "data");
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) =>
      each.isFile(),
    );
    return files.reduce((sum, { parentPath, name }) => sum + sizeOf(join(parentPath, name)), 0);
  }

  static async start() {
    const nats = new NatsForBench();
    nats.dir = mkdtempSync(join(tmpdir(), "drover-bench-nats-"));
    const port = await freePort();
    nats.profPort = await freePort();
    const conf = join(nats.dir, "nats.conf");
    writeFileSync(
      conf,
      [
        `listen: "127.0.0.1:${port}"`,
        `prof_port: ${nats.profPort}`,
        `jetstream { store_dir: "${nats.dir}/data", sync_interval: always`,
        "  limits { batch { max_inflight_per_stream: 1000, max_inflight_total: 10000 }, default_max_consumers: -1 } }",
      ].join("\n"),
    );
    const binary = process.env.DROVER_NATS_SERVER || join(toolsBin, "nats-server");
    nats.process = spawn(binary, ["-c", conf], { stdio: "ignore" });
    nats.url = `nats://127.0.0.1:${port}`;
    await nats.#ready();
    return nats;
  }

  async #ready() {
    for (let i = 0; i < 200; i++) {
      try {
        const nc = await connect({ servers: this.url, reconnect: false });
        await nc.close();
        return;
      } catch {
        await sleep(50);
      }
    }
    throw new Error("nats-server does not start");
  }

  async stop() {
    this.process.kill("SIGTERM");
    await once(this.process, "exit");
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Of a file that the server may have removed since it was listed: 0. */
function sizeOf(file) {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
