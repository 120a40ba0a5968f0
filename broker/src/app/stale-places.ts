// Which places of a concurrency key are worth nothing any more: those of leases that are over, and those that were promised
// to jobs which do not come for them. A broker that died gave nothing back; what it took is found out from the jobs.

import type { Stored } from "../core/job.js";
import type { Taken } from "../core/key-use.js";
import { runLimits } from "../core/limits.js";
import { jobId } from "../core/names.js";
import { isHolder } from "./fences.js";
import type { HeldAnswer } from "./held-answer.js";
import type { ConcurrencyKey } from "./key-ports.js";
import type { Clock, Jobs, Peers } from "./ports.js";

export interface StalePlacesParts {
  jobs: Pick<Jobs, "read">;
  peers: Pick<Peers, "ask">;
  clock: Clock;
}

/** @throws Refusal STORE_UNAVAILABLE */
export async function stalePlaces(
  { task }: ConcurrencyKey,
  taken: readonly Taken[],
  parts: StalePlacesParts,
): Promise<readonly Taken[]> {
  if (taken.length === 0) return taken;
  const snapshots = await parts.jobs.read(taken.map(({ key }) => ({ task, key })));
  const current = new Map(taken.map(({ key }, i) => [key, snapshots[i]?.current]));
  const coming = await jobsToCome(task, taken, current, parts);
  return taken.filter((each) => !isGood(each, current.get(each.key), coming));
}

/** Keys of the jobs that will come for their places: admitted lately, or longer ago and some broker has them, or may have. */
async function jobsToCome(
  task: string,
  taken: readonly Taken[],
  current: ReadonlyMap<string, Stored | undefined>,
  { peers, clock }: StalePlacesParts,
): Promise<ReadonlySet<string>> {
  const latest = clock.now() - runLimits.keyPromised;
  const ready = taken.filter(({ key, origin }) => origin === 0 && current.get(key)?.phase === "ready");
  const old = ready.filter(({ since }) => since < latest);
  const coming = new Set(ready.filter((each) => !old.includes(each)).map(({ key }) => key));
  if (old.length === 0) return coming;
  const ids = old.map(({ key }) => jobId({ task, key }));
  const { answers, silent } = await peers.ask("holders", { ids });
  const had = new Set(answers.flatMap(({ body }) => (body as HeldAnswer[]).map(({ id }) => id)));
  for (const { key } of old) if (silent > 0 || had.has(jobId({ task, key }))) coming.add(key);
  return coming;
}

function isGood({ key, origin }: Taken, current: Stored | undefined, coming: ReadonlySet<string>): boolean {
  if (current === undefined) return false;
  if (origin === 0) return current.job.parked || coming.has(key);
  return isHolder(current, { ref: { task: "", key }, attempt: 0, origin });
}
