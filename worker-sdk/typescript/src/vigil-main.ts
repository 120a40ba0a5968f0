// The thread that keeps vigil: looks whether the worker's event loop still beats, and speaks for its leases while not.

import { parentPort, workerData } from "node:worker_threads";
import { Roster } from "./roster.js";
import type { Voucher } from "./voucher.js";
import { shares, type Watch } from "./watch.js";

const roster = new Roster(workerData as SharedArrayBuffer);
let timer: NodeJS.Timeout | undefined;
let beat = roster.beat;
let beatAt = 0;
let spokeAt = Number.NEGATIVE_INFINITY;
let speaking = false;
let voucher: Voucher | undefined;

parentPort?.on("message", (watch: Watch) => {
  clearInterval(timer);
  beatAt = performance.now();
  if (!speaking) fallSilent();
  timer = setInterval(() => look(watch), watch.silence * shares.look);
});

function look(watch: Watch): void {
  if (speaking) return;
  const now = performance.now();
  const patience = watch.silence * shares.patience;
  if (roster.beat !== beat) {
    beat = roster.beat;
    beatAt = now;
    fallSilent();
  } else if (now - beatAt > patience && now - spokeAt > patience) {
    spokeAt = now;
    speaking = true;
    void speak(watch).finally(() => {
      speaking = false;
    });
  }
}

async function speak(watch: Watch): Promise<void> {
  const tokens = roster.tokens();
  if (tokens.length === 0) return;
  if (voucher === undefined) {
    const { Voucher } = await import("./voucher.js");
    voucher = new Voucher(watch);
  }
  await voucher.vouch(tokens);
}

function fallSilent(): void {
  voucher?.close();
  voucher = undefined;
}
