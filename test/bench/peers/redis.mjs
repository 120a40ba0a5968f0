// A Redis that acknowledges nothing before it is on disk: appendfsync always.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../nats.mjs";

export class Redis {
  static async start() {
    const redis = new Redis();
    redis.port = await freePort();
    redis.dir = mkdtempSync(join(tmpdir(), "drover-bench-redis-"));
    const settings = {
      bind: "127.0.0.1",
      port: String(redis.port),
      dir: redis.dir,
      appendonly: "yes",
      appendfsync: "always",
      save: "",
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    redis.process = spawn("redis-server", args, { stdio: "ignore" });
    for (let i = 0; i < 200 && !(await answers(redis.port)); i++) await sleep(25);
    return redis;
  }

  async stop() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    await ended;
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => socket.end(() => resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
