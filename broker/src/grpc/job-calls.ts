// Submitting, asking and waiting: what clients do all the time, by calls of their own or as messages of one stream.

import {
  ConflictPolicy,
  type JobSpec,
  type StatusBatchRequest,
  type StatusBatchResponse,
  type StatusRequest,
  type StatusResponse,
  type StatusResult,
  type SubmitBatchRequest,
  type SubmitBatchResponse,
  type SubmitRequest,
  type SubmitResponse,
  type SubmitResult,
  WaitMode,
  type WaitRequest,
  type WaitResponse,
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
import type { Handler } from "./calls.js";
import { toDraft, toJob, toWireState } from "./convert-job.js";
import { itemStatusOf } from "./status.js";
import { fromDuration } from "./time.js";

const waits = { unset: 30_000, longest: 60_000 };

export interface JobCalls {
  submit: Handler<SubmitRequest, SubmitResponse>;
  submitBatch: Handler<SubmitBatchRequest, SubmitBatchResponse>;
  status: Handler<StatusRequest, StatusResponse>;
  statusBatch: Handler<StatusBatchRequest, StatusBatchResponse>;
  wait: Handler<WaitRequest, WaitResponse>;
}

/** As calls of their own. */
export const jobCallNames = {
  submit: "JobService/Submit",
  submitBatch: "JobService/SubmitBatch",
  status: "JobService/Status",
  statusBatch: "JobService/StatusBatch",
  wait: "JobService/Wait",
} as const satisfies Record<keyof JobCalls, string>;

export function jobCalls(jobs: JobsApi, routes: RoutesApi, clock: Clock): JobCalls {
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
    async submit({ job, onConflict }) {
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
    },

    async submitBatch(request) {
      const policy = toPolicy(request.onConflict);
      checkSize("jobs", request.jobs.length);
      const checked = request.jobs.map((job, i) => check(job, `jobs[${i}].`));
      const specs = checked.filter((spec): spec is Spec => !(spec instanceof Refusal));
      const answers = specs.length === 0 ? [] : await jobs.submit(specs, policy);
      let next = 0;
      return {
        results: checked.map((spec) => toSubmitResult(spec instanceof Refusal ? spec : answers[next++])),
      };
    },

    async status({ id, includePayload }) {
      return { job: toJob(await one(toRef(id), includePayload)) };
    },

    async statusBatch({ ids, includePayload }) {
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
    },

    async wait(request, call) {
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
    },
  };
}

function toPolicy(policy: ConflictPolicy): "return" | "reject" {
  if (policy in ConflictPolicy) return policy === ConflictPolicy.CONFLICT_POLICY_REJECT ? "reject" : "return";
  const description = `${policy} is no ConflictPolicy: use RETURN_EXISTING or REJECT`;
  throw invalid([{ field: "on_conflict", description }]);
}

/** @throws Refusal INVALID_ARGUMENT for what is no job id */
export function toRef(id: string): JobRef {
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
