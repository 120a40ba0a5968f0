// Tasks as people handle them: what there is of one, and its limits.

import type { RunLimits } from "../core/run-limits.js";
import type { Inspect } from "./inspect.js";
import type { LimitControl } from "./limits.js";
import type { TasksApi, TaskView } from "./queue-api.js";
import type { Queues } from "./queue-ports.js";

export class TaskControl implements TasksApi {
  constructor(
    readonly queues: Pick<Queues, "lanes">,
    readonly limits: LimitControl,
    readonly inspect: Pick<Inspect, "workers">,
  ) {}

  async get(task: string): Promise<TaskView> {
    const [limits, running, { workers }, lanes] = await Promise.all([
      this.limits.viewOf({ kind: "task", name: task }),
      this.limits.runningOf(task),
      this.inspect.workers(),
      this.queues.lanes(),
    ]);
    const own = lanes.filter(({ key }) => key.task === task);
    return {
      name: task,
      limits,
      queues: [...new Set(own.map(({ key }) => key.queue))].sort(),
      ready: own.reduce((sum, { ready }) => sum + ready, 0),
      running,
      workers: workers.filter(({ tasks }) => tasks.includes(task)).length,
    };
  }

  async update(task: string, limits: RunLimits): Promise<TaskView> {
    await this.limits.setTask(task, limits);
    return this.get(task);
  }
}
