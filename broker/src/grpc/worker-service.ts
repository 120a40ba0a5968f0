// drover.v1.WorkerService: the single calls here, the session in work-stream.ts.

import type { AckResult, ExtendResult, LeaseExtension, Outcome, WorkerServiceServer } from "@drover/proto/v1";
import type { Clock } from "../app/ports.js";
import type { OutcomeReport, WorkersApi } from "../app/worker-api.js";
import { Checks } from "../core/check.js";
import { invalid, Refusal } from "../core/errors.js";
import type { Progress } from "../core/job.js";
import { defaultQueue, sizes, times } from "../core/limits.js";
import { type Calls, draining } from "./calls.js";
import { fromProgress, toWireState } from "./convert-job.js";
import { toLease, toReport } from "./convert-work.js";
import { itemStatusOf } from "./status.js";
import { fromDuration, toTimestamp } from "./time.js";
import { WorkStream } from "./work-stream.js";

const most = { worker: 128, tasks: 1_000, queues: 100, jobs: 1_000 };
const waits = { unset: 20_000, longest: 60_000 };

export function workerService(workers: WorkersApi, clock: Clock, calls: Calls): WorkerServiceServer {
  return {
    lease: calls.unary("WorkerService/Lease", async (request, call) => {
      const checks = new Checks();
      checks.requiredText("worker", request.worker, most.worker);
      checks.size("tasks", request.tasks.length, 1, most.tasks);
      checks.size("queues", request.queues.length, 0, most.queues);
      for (const [i, task] of request.tasks.slice(0, most.tasks).entries()) checks.name(`tasks[${i}]`, task);
      for (const [i, queue] of request.queues.slice(0, most.queues).entries())
        checks.name(`queues[${i}]`, queue);
      const maxJobs = request.maxJobs || 1;
      checks.integer("max_jobs", maxJobs, 1, most.jobs);
      const wait = fromDuration(request.wait) ?? waits.unset;
      checks.duration("wait", wait, 0, waits.longest);
      const leaseDuration = fromDuration(request.leaseDuration) ?? times.unaryLease;
      checks.duration("lease_duration", leaseDuration, times.shortestLease, times.longestLease);
      checks.done();
      if (calls.stopping) throw draining();
      const grants = await workers.lease({
        worker: request.worker,
        tasks: [...new Set(request.tasks)],
        queues: request.queues.length === 0 ? [defaultQueue] : [...new Set(request.queues)],
        maxJobs,
        wait,
        leaseDuration,
        gone: call.gone,
      });
      return { leases: grants.map(toLease) };
    }),

    ack: calls.unary("WorkerService/Ack", async ({ outcomes }) => {
      checkSize("outcomes", outcomes.length);
      const checked = outcomes.map(toAck);
      const valid = checked.filter((outcome): outcome is OutcomeReport => !(outcome instanceof Refusal));
      const answers = valid.length === 0 ? [] : await workers.ack(valid);
      let next = 0;
      return {
        results: checked.map((outcome): AckResult => {
          const answer = outcome instanceof Refusal ? outcome : answers[next++];
          if (answer === undefined) throw new Error("an outcome had no answer");
          return answer instanceof Refusal
            ? { error: itemStatusOf(answer), state: 0 }
            : { error: undefined, state: toWireState(answer) };
        }),
      };
    }),

    extend: calls.unary("WorkerService/Extend", async ({ leases }) => {
      checkSize("leases", leases.length);
      const now = clock.now();
      const checked = leases.map((lease, i) => toExtension(lease, i, now));
      const valid = checked.filter((lease): lease is Extension => !(lease instanceof Refusal));
      const answers = valid.length === 0 ? [] : await workers.extend(valid);
      let next = 0;
      return {
        results: checked.map((lease): ExtendResult => {
          const answer = lease instanceof Refusal ? lease : answers[next++];
          if (answer === undefined) throw new Error("an extension had no answer");
          return answer instanceof Refusal
            ? {
                error: itemStatusOf(answer),
                expiresAt: undefined,
                cancelRequested: false,
                drain: calls.stopping,
              }
            : { ...answer, error: undefined, expiresAt: toTimestamp(answer.expiresAt) };
        }),
      };
    }),

    work: (stream) => {
      new WorkStream(stream, workers, clock, calls);
    },
  };
}

interface Extension {
  token: string;
  duration: number;
  progress: Progress | undefined;
}

function toAck(outcome: Outcome, i: number): OutcomeReport | Refusal {
  if (outcome.token === "") {
    const description = "is required: the token of the lease, as Lease answered it";
    return invalid([{ field: `outcomes[${i}].token`, description }]);
  }
  const report = toReport(outcome);
  return report instanceof Refusal ? report : { leaseId: 0, token: outcome.token, report };
}

function toExtension(
  { token, duration, progress }: LeaseExtension,
  i: number,
  now: number,
): Extension | Refusal {
  const checks = new Checks();
  const field = `leases[${i}]`;
  if (token === "") checks.add(`${field}.token`, "is required: the token of the lease, as Lease answered it");
  const ms = fromDuration(duration) ?? times.unaryLease;
  checks.duration(`${field}.duration`, ms, times.shortestLease, times.longestLease);
  const told = progress && fromProgress(checks, `${field}.progress`, progress, now);
  return checks.failed ? invalid(checks.violations) : { token, duration: ms, progress: told };
}

function checkSize(field: string, length: number): void {
  const checks = new Checks();
  checks.size(field, length, 1, sizes.batch);
  checks.done();
}
