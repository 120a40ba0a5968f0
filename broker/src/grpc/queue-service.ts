// drover.v1.QueueService.

import type { Queue, QueueServiceServer } from "@drover/proto/v1";
import type { QueuesApi, QueueView } from "../app/queue-api.js";
import { Checks } from "../core/check.js";
import type { Calls } from "./calls.js";
import { toRetention, toRunLimits } from "./limit-values.js";
import { toDuration } from "./time.js";

export function queueService(
  queues: QueuesApi,
  calls: Calls,
): Pick<QueueServiceServer, "list" | "get" | "pause" | "resume" | "purge"> {
  return {
    list: calls.unary("QueueService/List", async () => ({ queues: (await queues.list()).map(toQueue) })),

    get: calls.unary("QueueService/Get", async ({ queue }) => {
      return { queue: toQueue(await queues.get(checked(queue))) };
    }),

    pause: calls.unary("QueueService/Pause", async ({ queue }) => {
      await queues.pause(checked(queue));
      return {};
    }),

    resume: calls.unary("QueueService/Resume", async ({ queue }) => {
      await queues.resume(checked(queue));
      return {};
    }),

    purge: calls.unary("QueueService/Purge", async ({ queue, task, includeScheduled, dryRun }) => {
      const checks = new Checks();
      checks.name("queue", queue);
      if (task !== "") checks.name("task", task);
      checks.done();
      return await queues.purge({ queue, task: task || undefined, includeScheduled, dryRun });
    }),
  };
}

function checked(queue: string): string {
  const checks = new Checks();
  checks.name("queue", queue);
  checks.done();
  return queue;
}

export function toQueue({ rates, oldestReadyAge, ...view }: QueueView): Queue {
  return {
    ...view,
    limits: toRunLimits(view.limits, view.running),
    retention: toRetention(view.retention),
    oldestReadyAge: oldestReadyAge === undefined ? undefined : toDuration(oldestReadyAge),
    submittedPerSecond: rates.submitted,
    finishedPerSecond: rates.finished,
  };
}
