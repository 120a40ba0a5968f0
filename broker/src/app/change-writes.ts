// What a change of a job writes, all in one step: the job as it is from then on, tombstones where it was, and what others
// find it by or wait for.

import { type Job, type JobRef, type Stored, specOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import { armedSchedule, type Next } from "../core/standings.js";
import type { Change, Write } from "./ports.js";

const none: readonly Write[] = [];

/** `last`: for the compare-and-set. `extra`: what goes with it. */
export function changeOf(
  ref: JobRef,
  from: Stored,
  last: number,
  next: Next,
  nonce: string,
  extra: readonly Write[],
): Change {
  const { queue, priority } = specOf(next.job);
  const armed = armedSchedule(from);
  const writes: Write[] = [];
  for (const phase of next.tombstones) {
    writes.push({ kind: "tombstone", phase, queue: from.queue, priority: from.priority });
  }
  writes.push({
    kind: "job",
    phase: next.phase,
    job: next.job,
    rev: from.rev + 1,
    queue,
    priority,
    fireAt: next.fireAt,
    keepFor: next.keepFor,
    purges:
      armed === undefined
        ? undefined
        : { phase: armed, queue: from.queue, priority: from.priority, nonce: from.nonce },
  });
  writes.push(...endOfMember(next), ...endOfClaim(next), ...placeInLine(from, next.job));
  if (next.body !== undefined) writes.push({ kind: "body", data: next.body });
  writes.push(...extra);
  return { ref, expected: last, nonce, writes };
}

/** The job once `next` is stored. */
export function storedAfter(before: Stored, next: Next, seq: number, nonce: string): Stored {
  const { queue, priority } = specOf(next.job);
  return { phase: next.phase, queue, priority, rev: before.rev + 1, seq, nonce, job: next.job };
}

/** With the record of a flow's member goes what moves the flow on, in one step. */
function endOfMember({ phase, job, result }: Next): readonly Write[] {
  const { spec } = job;
  if (spec?.flow === undefined || job.finishedAt === 0) return none;
  const { flow, member, run } = spec.flow;
  const { failure } = job;
  const outcome = phase === "kept" ? job.outcome : phase;
  return [{ kind: "flow-end", flow, member, end: { jobId: jobId(spec), outcome, result, failure, run } }];
}

/** A unique key without a period is free when its job has ended. */
function endOfClaim({ job }: Next): readonly Write[] {
  const unique = job.spec?.unique;
  if (unique === undefined || unique.until > 0 || job.finishedAt === 0) return none;
  return [{ kind: "claim", key: unique.key, holder: undefined, expected: undefined, keepFor: 0 }];
}

/** A parked job is found by its concurrency key for as long as it is one. */
function placeInLine(from: Stored, job: Job): readonly Write[] {
  if (!from.job.parked && !job.parked) return none;
  const at = (present: boolean, queue: string, priority: number): Write => {
    return { kind: "parked", key: specOf(job).concurrencyKey, queue, priority, present };
  };
  const { queue, priority } = specOf(job);
  const writes = job.parked ? [at(true, queue, priority)] : [];
  if (from.job.parked && (!job.parked || from.priority !== priority)) {
    writes.push(at(false, from.queue, from.priority));
  }
  return writes;
}
