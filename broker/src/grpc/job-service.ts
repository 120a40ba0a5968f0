// drover.v1.JobService.

import { CancelOutcome, type JobServiceServer } from "@drover/proto/v1";
import type { JobsApi } from "../app/api.js";
import type { Clock } from "../app/ports.js";
import type { RoutesApi } from "../app/queue-api.js";
import { Checks } from "../core/check.js";
import { sizes } from "../core/limits.js";
import { CallStream } from "./call-stream.js";
import type { Call, Calls } from "./calls.js";
import { toExplanation } from "./convert-explain.js";
import { fromWireState, toJob, toWireState } from "./convert-job.js";
import { jobCallNames, jobCalls, toRef } from "./job-calls.js";

const pages = { unset: 100, largest: 1_000 };

export function jobService(
  jobs: JobsApi,
  routes: RoutesApi,
  clock: Clock,
  calls: Calls,
): Pick<
  JobServiceServer,
  | "submit"
  | "submitBatch"
  | "status"
  | "statusBatch"
  | "wait"
  | "watch"
  | "list"
  | "cancel"
  | "redrive"
  | "move"
  | "explain"
  | "call"
> {
  const small = jobCalls(jobs, routes, clock);
  return {
    submit: calls.unary(jobCallNames.submit, small.submit),
    submitBatch: calls.unary(jobCallNames.submitBatch, small.submitBatch),
    status: calls.unary(jobCallNames.status, small.status),
    statusBatch: calls.unary(jobCallNames.statusBatch, small.statusBatch),
    wait: calls.unary(jobCallNames.wait, small.wait),

    watch: calls.serverStream("JobService/Watch", async function* ({ id }, call: Call) {
      for await (const view of jobs.watch(toRef(id), call.gone)) yield { job: toJob(view) };
    }),

    list: calls.unary("JobService/List", async (request) => {
      const checks = new Checks();
      const state = fromWireState(checks, "state", request.state);
      if (request.task !== "") checks.name("task", request.task);
      if (request.queue !== "") checks.name("queue", request.queue);
      const pageSize = request.pageSize || pages.unset;
      checks.integer("page_size", pageSize, 1, pages.largest);
      checks.done();
      const page = await jobs.list({
        state,
        task: request.task || undefined,
        queue: request.queue || undefined,
        pageSize,
        pageToken: request.pageToken,
        includePayload: request.includePayload,
      });
      return { jobs: page.jobs.map(toJob), nextPageToken: page.nextPageToken };
    }),

    cancel: calls.unary("JobService/Cancel", async ({ id, reason }) => {
      const checks = new Checks();
      const ref = checks.jobId("id", id);
      checks.bytes("reason", reason, sizes.cancelReason);
      checks.done();
      const { outcome, previous } = await jobs.cancel(ref, reason);
      return { outcome: cancelOutcomes[outcome], previousState: toWireState(previous) };
    }),

    redrive: calls.unary("JobService/Redrive", async ({ id }) => {
      return { job: toJob(await jobs.redrive(toRef(id))) };
    }),

    move: calls.unary("JobService/Move", async ({ id, queue, priority }) => {
      const checks = new Checks();
      const ref = checks.jobId("id", id);
      if (queue !== undefined) checks.name("queue", queue);
      if (priority !== undefined) checks.integer("priority", priority, 0, 9);
      if (queue === undefined && priority === undefined) {
        checks.add("queue", "and priority are both unset: say where the job is to go");
      }
      checks.done();
      return { job: toJob(await jobs.move(ref, { queue, priority })) };
    }),

    explain: calls.unary("JobService/Explain", async ({ id }) =>
      toExplanation(await jobs.explain(toRef(id))),
    ),

    call: (stream) => void new CallStream(stream, small, calls),
  };
}

const cancelOutcomes = {
  cancelled: CancelOutcome.CANCEL_OUTCOME_CANCELLED,
  requested: CancelOutcome.CANCEL_OUTCOME_REQUESTED,
  "already-finished": CancelOutcome.CANCEL_OUTCOME_ALREADY_FINISHED,
} as const;
