// Who works on what: each broker knows its own part, and all are asked.

import { specOf } from "../core/job.js";
import type { ActiveView, WorkerView } from "./api.js";
import type { Dispatcher } from "./dispatcher.js";
import { answerOf, type HeldAnswer } from "./held-answer.js";
import type { Holdings } from "./holdings.js";
import type { Keeper } from "./keeper.js";
import type { Peers } from "./ports.js";
import type { Sessions } from "./sessions.js";

export class Inspect {
  constructor(
    readonly peers: Peers,
    readonly holdings: Holdings,
    readonly sessions: Sessions,
    readonly dispatcher: Dispatcher,
    readonly keeper: Keeper,
  ) {
    peers.answer("holders", (body) => this.#held(body as { ids: string[]; renew?: boolean }));
    peers.answer("workers", () => this.#workers());
    peers.answer("active", (body) => this.#active((body as { limit: number }).limit));
  }

  async workers(): Promise<{ workers: WorkerView[]; silentBrokers: number }> {
    const { answers, silent } = await this.peers.ask("workers", {});
    return { workers: answers.flatMap(({ body }) => body as WorkerView[]), silentBrokers: silent };
  }

  async active(limit: number): Promise<{ jobs: ActiveView[]; truncated: boolean; silentBrokers: number }> {
    const { answers, silent } = await this.peers.ask("active", { limit });
    const parts = answers.map(({ body }) => body as { jobs: ActiveView[]; truncated: boolean });
    return {
      jobs: parts.flatMap(({ jobs }) => jobs),
      truncated: parts.some(({ truncated }) => truncated),
      silentBrokers: silent,
    };
  }

  async registered(): Promise<{
    tasks: { task: string; workers: string[]; queues: string[] }[];
    silentBrokers: number;
  }> {
    const { workers, silentBrokers } = await this.workers();
    const byTask = new Map<string, { workers: Set<string>; queues: Set<string> }>();
    for (const worker of workers) {
      for (const task of worker.tasks) {
        const entry = byTask.get(task) ?? { workers: new Set(), queues: new Set() };
        byTask.set(task, entry);
        entry.workers.add(worker.name);
        for (const queue of worker.queues) entry.queues.add(queue);
      }
    }
    const tasks = [...byTask].map(([task, { workers: by, queues }]) => ({
      task,
      workers: [...by].sort(),
      queues: [...queues].sort(),
    }));
    return { tasks: tasks.sort((a, b) => a.task.localeCompare(b.task)), silentBrokers };
  }

  /** Which of these jobs this broker holds or has in its buffer. */
  #held({ ids, renew }: { ids: string[]; renew?: boolean }): HeldAnswer[] {
    const answers: HeldAnswer[] = [];
    for (const id of ids) {
      const holding = this.holdings.get(id);
      if (holding !== undefined) {
        answers.push(answerOf(holding));
        if (renew === true && !holding.renewing && !holding.settling) void this.keeper.renew(holding);
      } else if (this.dispatcher.isBuffered(id)) {
        answers.push({
          id,
          worker: "",
          instance: "",
          startedAt: 0,
          cancelRequested: false,
          progress: undefined,
          buffered: true,
        });
      }
    }
    return answers;
  }

  #workers(): WorkerView[] {
    return this.sessions.attached().map((session) => ({
      name: session.worker,
      instance: session.hello.instance,
      broker: this.peers.self,
      sdk: session.hello.sdk,
      peer: session.hello.peer,
      attachedAt: session.attachedAt,
      tasks: session.hello.tasks.map(({ task }) => task),
      queues: [...session.queues.keys()],
      credit: session.creditJobs,
      running: session.running,
      draining: session.draining,
    }));
  }

  #active(limit: number): { jobs: ActiveView[]; truncated: boolean } {
    const jobs: ActiveView[] = [];
    for (const holding of this.holdings.all()) {
      if (jobs.length === limit) return { jobs, truncated: true };
      jobs.push({
        id: holding.id,
        queue: specOf(holding.stored.job).queue,
        attempt: holding.claim.attempt,
        worker: holding.holder.worker,
        broker: this.peers.self,
        startedAt: holding.startedAt,
        cancelRequested: holding.cancelRequested,
      });
    }
    return { jobs, truncated: false };
  }
}
