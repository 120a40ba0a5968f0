// drover.v1.JobService.

import {
  CancelOutcome,
  ConflictPolicy,
  type JobServiceServer,
  type JobSpec,
  type StatusResult,
  type SubmitResult,
  WaitMode,
} from "@drover/proto/v1";
import type { JobsApi, JobView, Submitted } from "../app/api.js";
import type { Clock } from "../app/ports.js";
import type { RoutesApi } from "../app/queue-api.js";
import { Checks } from "../core/check.js";
import { invalid, jobNotFound, Refusal } from "../core/errors.js";
import type { JobRef, Spec } from "../core/job.js";
import { sizes } from "../core/limits.js";
import { jobId, parseJobId } from "../core/names.js";
import { below, specOfDraft } from "../core/spec.js";
import type { Call, Calls } from "./calls.js";
import { toExplanation } from "./convert-explain.js";
import { fromWireState, toDraft, toJob, toWireState } from "./convert-job.js";
import { itemStatusOf } from "./status.js";
import { fromDuration } from "./time.js";

const waits = { unset: 30_000, longest: 60_000 };
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
> {
  /** The spec of a job, or what is wrong with it. */
  function check(job: JobSpec, prefix: string): Spec | Refusal {
    const checked = specOfDraft(toDraft(job), clock.now(), routes);
    return "spec" in checked ? checked.spec : invalid(below(prefix, checked.violations));
  }

  async function one(ref: JobRef, includePayload: boolean): Promise<JobView> {
    const [view] = await jobs.status([ref], includePayload);
    if (view === undefined) throw jobNotFound(jobId(ref));
    return view;
  }

  return {
    submit: calls.unary("JobService/Submit", async ({ job, onConflict }) => {
      const policy = toPolicy(onConflict);
      if (job === undefined) throw invalid([{ field: "job", description: "is required" }]);
      const spec = check(job, "job.");
      if (spec instanceof Refusal) throw spec;
      const [answer] = await jobs.submit([spec], policy);
      if (answer === undefined) throw new Error("a submit had no answer");
      if (answer instanceof Refusal) throw answer;
      return {
        id: jobId(answer.ref),
        deduplicated: answer.deduplicated,
        state: toWireState(answer.state),
        replaced: false,
      };
    }),

    submitBatch: calls.unary("JobService/SubmitBatch", async (request) => {
      const policy = toPolicy(request.onConflict);
      checkSize("jobs", request.jobs.length);
      const checked = request.jobs.map((job, i) => check(job, `jobs[${i}].`));
      const specs = checked.filter((spec): spec is Spec => !(spec instanceof Refusal));
      const answers = specs.length === 0 ? [] : await jobs.submit(specs, policy);
      let next = 0;
      return {
        results: checked.map((spec) => toSubmitResult(spec instanceof Refusal ? spec : answers[next++])),
      };
    }),

    status: calls.unary("JobService/Status", async ({ id, includePayload }) => {
      return { job: toJob(await one(toRef(id), includePayload)) };
    }),

    statusBatch: calls.unary("JobService/StatusBatch", async ({ ids, includePayload }) => {
      checkSize("ids", ids.length);
      const refs = ids.map(parseJobId);
      const known = refs.filter((ref) => ref !== undefined);
      const views = known.length === 0 ? [] : await jobs.status(known, includePayload);
      let next = 0;
      return {
        results: ids.map((id, i) =>
          refs[i] === undefined
            ? { job: undefined, error: malformed(id, i) }
            : toStatusResult(id, views[next++]),
        ),
      };
    }),

    wait: calls.unary("JobService/Wait", async (request, call) => {
      const checks = new Checks();
      checks.size("ids", request.ids.length, 1, sizes.batch);
      const refs = request.ids.slice(0, sizes.batch).map((id, i) => checks.jobId(`ids[${i}]`, id));
      const mode = request.mode === WaitMode.WAIT_MODE_ANY ? "any" : "all";
      if (!(request.mode in WaitMode)) checks.add("mode", `${request.mode} is no WaitMode: use ALL or ANY`);
      const timeout = fromDuration(request.timeout) ?? waits.unset;
      checks.duration("timeout", timeout, 0, waits.longest);
      checks.done();
      const answer = await jobs.wait(refs, mode, timeout, call.gone);
      return {
        results: request.ids.map((id, i) => toStatusResult(id, answer.jobs[i])),
        done: answer.done,
      };
    }),

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
  };
}

const cancelOutcomes = {
  cancelled: CancelOutcome.CANCEL_OUTCOME_CANCELLED,
  requested: CancelOutcome.CANCEL_OUTCOME_REQUESTED,
  "already-finished": CancelOutcome.CANCEL_OUTCOME_ALREADY_FINISHED,
} as const;

function toPolicy(policy: ConflictPolicy): "return" | "reject" {
  if (policy in ConflictPolicy) return policy === ConflictPolicy.CONFLICT_POLICY_REJECT ? "reject" : "return";
  const description = `${policy} is no ConflictPolicy: use RETURN_EXISTING or REJECT`;
  throw invalid([{ field: "on_conflict", description }]);
}

function toRef(id: string): JobRef {
  const checks = new Checks();
  const ref = checks.jobId("id", id);
  checks.done();
  return ref;
}

function checkSize(field: string, length: number): void {
  const checks = new Checks();
  checks.size(field, length, 1, sizes.batch);
  checks.done();
}

function toSubmitResult(answer: Submitted | Refusal | undefined): SubmitResult {
  if (answer === undefined) throw new Error("a submit had no answer");
  if (answer instanceof Refusal) {
    return { id: "", deduplicated: false, state: 0, error: itemStatusOf(answer), replaced: false };
  }
  return {
    id: jobId(answer.ref),
    deduplicated: answer.deduplicated,
    state: toWireState(answer.state),
    error: undefined,
    replaced: false,
  };
}

function toStatusResult(id: string, view: JobView | undefined): StatusResult {
  return view === undefined
    ? { job: undefined, error: itemStatusOf(jobNotFound(id)) }
    : { job: toJob(view), error: undefined };
}

function malformed(id: string, i: number): StatusResult["error"] {
  const checks = new Checks();
  checks.jobId(`ids[${i}]`, id);
  return itemStatusOf(invalid(checks.violations));
}
