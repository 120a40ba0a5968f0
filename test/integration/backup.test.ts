// A copy of the store, made while jobs are submitted and run, is put in the place of a store that is lost. What was
// acknowledged before the copy was begun is there and runs; what had ended by then does not run again.

import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { readConfig } from "../../broker/src/config.js";
import type { JobRef } from "../../broker/src/core/job.js";
import { backUp, restore } from "../../broker/src/jetstream/backup.js";
import { storeOptions } from "../../broker/src/store-options.js";
import { bytes, submit } from "../support/job-calls.js";
import { freshTask, Scene } from "../support/scene.js";
import { SessionWorker } from "../support/session-worker.js";
import { elapsed, until } from "../support/until.js";

let scene: Scene;
afterEach(() => scene?.close());

/** Enough for a copy to take a while. */
const stored = 2_000;
const payload = () => ({
  data: bytes(JSON.stringify(randomBytes(3_000).toString("base64"))),
  contentType: "",
});

const options = () => storeOptions(readConfig({ DROVER_NATS_URL: scene.url }));

test("a backup made under load brings back every job acknowledged before it", async () => {
  scene = await Scene.open();
  const task = freshTask();
  const delayed = freshTask();
  const unserved = freshTask();
  const before = await scene.broker();
  const submitted = (count: number, fields = {}) =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const { ref } = await submit(before, { task, payload: payload(), ...fields });
        return ref;
      }),
    );
  const ended: JobRef[] = [];
  const ran = (worker: SessionWorker) => until("jobs to end", () => worker.recorded.length >= 300);
  const acked = await submitted(stored);
  const later = await submitted(100, { task: delayed, delay: 2_500 });
  // However fast the copy goes, these have not run before it.
  const untouched = await submitted(300, { task: unserved });
  const run = (grant: { leaseId: number; ref: JobRef }, by: SessionWorker) => by.report(grant.leaseId);
  const early = await SessionWorker.attach(before, task, { credit: 50, run });
  await ran(early);
  early.leave();
  const doneEarly = early.grants
    .filter(({ leaseId }) => early.recorded.includes(leaseId))
    .map(({ ref }) => ref);
  ended.push(...doneEarly);

  // The load: jobs are run and submitted for as long as the copy takes.
  const slowly = (grant: { leaseId: number }, by: SessionWorker) =>
    void elapsed(20).then(() => by.report(grant.leaseId));
  const worker = await SessionWorker.attach(before, task, { credit: 20, run: slowly });
  let copying = true;
  const load = (async () => {
    while (copying) await Promise.all([submitted(10), elapsed(20)]);
  })();
  const file = join(scene.nats.dir, "copy.gz");
  const begun = new Date();
  const copied = await backUp(options(), file, scene.log);
  expect(copied.asOf.getTime()).toBeGreaterThanOrEqual(begun.getTime());
  const during = worker.recorded.length;
  copying = false;
  await load;
  expect(during).toBeGreaterThan(20);
  await scene.stop(before);

  await scene.nats.kill();
  rmSync(join(scene.nats.dir, "data"), { recursive: true });
  await scene.nats.restart();
  await scene.reconnected();
  expect(await restore(options(), file, scene.log)).toEqual({
    messages: copied.messages,
    asOf: copied.asOf.toISOString(),
  });

  const after = await scene.broker();
  const ranAgain = new Set<string>();
  const again = await SessionWorker.attach(after, [task, delayed, unserved], {
    credit: 500,
    run: (grant, by) => {
      ranAgain.add(grant.ref.key);
      by.report(grant.leaseId);
    },
  });
  let open = [...acked, ...later, ...untouched];
  await until(
    "all that was acknowledged to have ended",
    async () => {
      const asked = open.slice(0, 500);
      const views = await after.api.jobs.status(asked, false);
      open = [...asked.filter((_, i) => views[i]?.state !== "SUCCEEDED"), ...open.slice(500)];
      return open.length === 0;
    },
    60_000,
  );
  expect(ended.filter(({ key }) => ranAgain.has(key))).toEqual([]);
  expect(untouched.filter(({ key }) => !ranAgain.has(key))).toEqual([]);
  expect(ranAgain.size).toBeGreaterThan(100);
  again.leave();
});

test("a copy that those who write stay ahead of ends with how far it is behind, and leaves no file", async () => {
  scene = await Scene.open();
  const task = freshTask();
  const broker = await scene.broker();
  const many = () =>
    Promise.all(Array.from({ length: 100 }, () => submit(broker, { task, payload: payload() })));
  await many();
  let copying = true;
  const load = (async () => {
    while (copying) await many();
  })();
  const file = join(scene.nats.dir, "copy.gz");
  try {
    // Nothing is enough time, so that it needs no machine that is slow.
    const rules = { overtake: 0, tell: 0, silence: 1_000 };
    await expect(backUp(options(), file, scene.log, rules)).rejects.toThrow(
      /^the copy of DROVER_default_0 is \d+ messages behind those who write.*pause those who submit/,
    );
    const told = scene.log.lines.filter(({ message }) => message === "the backup is under way");
    expect(told.length).toBeGreaterThan(100);
    expect(told[0]?.fields).toMatchObject({ stream: "DROVER_default_0", messages: 1 });
  } finally {
    copying = false;
    await load;
  }
  expect(readdirSync(scene.nats.dir).filter((name) => name.startsWith("copy"))).toEqual([]);
  // With them gone it ends at once.
  expect((await backUp(options(), file, scene.log)).messages).toBeGreaterThan(100);
});

test("what is no whole backup of this namespace, or has no room, is refused before anything is written", async () => {
  scene = await Scene.open();
  const broker = await scene.broker();
  const { ref } = await submit(broker, { task: freshTask() });
  await scene.stop(broker);
  const file = join(scene.nats.dir, "copy.gz");
  await backUp(options(), file, scene.log);
  await expect(restore(options(), file, scene.log)).rejects.toThrow(/is not empty/);
  const elsewhere = { ...options(), namespace: "other" };
  await expect(restore(elsewhere, file, scene.log)).rejects.toThrow(/is of namespace default with 1 shards/);
  const cut = join(scene.nats.dir, "cut.gz");
  const lines = gunzipSync(readFileSync(file)).toString().trimEnd().split("\n");
  writeFileSync(cut, gzipSync(lines.slice(0, -1).join("\n")));
  await expect(restore(options(), cut, scene.log)).rejects.toThrow(/not whole/);
  writeFileSync(cut, readFileSync(file).subarray(0, -20));
  await expect(restore(options(), cut, scene.log)).rejects.toThrow(/cannot be read as a backup/);
  writeFileSync(cut, "hello");
  await expect(restore(options(), cut, scene.log)).rejects.toThrow(/cannot be read as a backup/);
  expect((await scene.lying(ref)).length).toBe(1);
});
