// What drover.v1.QueueService says of limits and retention, of queues and of tasks.

import type { QueueServiceServer, Task } from "@drover/proto/v1";
import type { QueuesApi, TasksApi, TaskView } from "../app/queue-api.js";
import { Checks } from "../core/check.js";
import type { Calls } from "./calls.js";
import { fromRetention, fromRunLimits, toRunLimits } from "./limit-values.js";
import { toQueue } from "./queue-service.js";

export function limitMethods(
  queues: QueuesApi,
  tasks: TasksApi,
  calls: Calls,
): Pick<QueueServiceServer, "update" | "getTask" | "updateTask"> {
  return {
    update: calls.unary("QueueService/Update", async ({ queue, limits, retention }) => {
      const checks = new Checks();
      checks.name("queue", queue);
      if (limits === undefined && retention === undefined) {
        checks.add("limits", "is unset and so is retention: there is nothing to change");
      }
      const change = {
        limits: limits && fromRunLimits(checks, limits),
        retention: retention && fromRetention(checks, retention),
      };
      checks.done();
      return { queue: toQueue(await queues.update(queue, change)) };
    }),

    getTask: calls.unary("QueueService/GetTask", async ({ task }) => {
      const checks = new Checks();
      checks.name("task", task);
      checks.done();
      return { task: toTask(await tasks.get(task)) };
    }),

    updateTask: calls.unary("QueueService/UpdateTask", async ({ task, limits }) => {
      const checks = new Checks();
      checks.name("task", task);
      if (limits === undefined) checks.add("limits", "is required: an empty message takes all limits back");
      const set = fromRunLimits(checks, limits ?? { rate: undefined, use: undefined });
      checks.done();
      return { task: toTask(await tasks.update(task, set)) };
    }),
  };
}

function toTask(view: TaskView): Task {
  return { ...view, limits: toRunLimits(view.limits, view.running) };
}
