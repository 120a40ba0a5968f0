// Jobs that have run to an end, and what lies of them in the store.

import type { RunningBroker } from "../../broker/src/broker.js";
import { FailureReason, type JobRef, type State } from "../../broker/src/core/job.js";
import { ack, failure, leaseOne, submit } from "./job-calls.js";
import { freshTask, type Scene } from "./scene.js";

export type EndState = "SUCCEEDED" | "FAILED" | "CANCELLED";
export const endStates: readonly EndState[] = ["SUCCEEDED", "FAILED", "CANCELLED"];

/** Submits a job of a task of its own and runs it to this end; what is to be cancelled never reaches a worker. */
export async function finish(broker: RunningBroker, state: EndState, queue = "default"): Promise<JobRef> {
  const task = freshTask();
  const { ref } = await submit(broker, { task, queue });
  if (state === "CANCELLED") await broker.api.jobs.cancel(ref, "");
  else {
    const { token } = await leaseOne(broker, task, { queues: [queue] });
    await ack(broker, token, state === "FAILED" ? failure(FailureReason.PERMANENT) : undefined);
  }
  return ref;
}

/** In order; undefined = there is no such job. */
export async function statesOf(
  broker: RunningBroker,
  refs: readonly JobRef[],
): Promise<(State | undefined)[]> {
  return (await broker.api.jobs.status(refs, false)).map((view) => view?.state);
}

/** How many messages of a task's jobs are stored, whatever they are. */
export function lyingOf(scene: Scene, task: string): Promise<number> {
  return scene.count(task, scene.subjects.phase(scene.subjects.shard(task), "*" as "ready", task));
}
