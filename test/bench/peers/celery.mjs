// Celery: its worker as a process of its own, its client as a Python program (celery_peer.py), both from a scratch folder.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Running } from "../processes.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));

export async function measureCelery({ port, scratch, quick, say }) {
  const env = { PEER_REDIS: `redis://127.0.0.1:${port}/0`, PEER_QUICK: quick ? "1" : "", PYTHONPATH: here };
  const bin = (name) => join(scratch, "venv/bin", name);
  const client = new Running(bin("python"), [join(here, "celery_peer.py")], env);
  say("submits");
  await client.says("submitted", 600_000);
  const options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=error"];
  const pool = ["--pool=prefork", "--concurrency=2", "--prefetch-multiplier=128"];
  const worker = new Running(bin("celery"), ["-A", "celery_peer", "worker", ...pool, ...options], env);
  try {
    say("draining, round trips");
    return JSON.parse((await client.says("figures ", 600_000)).slice("figures ".length));
  } finally {
    await client.stop();
    await worker.stop();
  }
}
