// What callers and single-call workers do with a broker, in a line each.

import type { JobView, Submitted } from "../../broker/src/app/api.js";
import type { Grant, Report } from "../../broker/src/app/worker-api.js";
import type { RunningBroker } from "../../broker/src/broker.js";
import { Refusal } from "../../broker/src/core/errors.js";
import { FailureReason, type JobRef, type Spec, type State } from "../../broker/src/core/job.js";
import { type Draft, specOfDraft } from "../../broker/src/core/spec.js";

export type Asked = Partial<Draft> & { task: string };
type Api = Pick<RunningBroker, "api">;

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(data: Uint8Array | undefined): string {
  return new TextDecoder().decode(data);
}

/** @throws Error naming what is wrong with it */
export function specOf(asked: Asked): Spec {
  const made = specOfDraft({ key: "", labels: {}, headers: {}, ...asked }, Date.now());
  if ("violations" in made) throw new Error(JSON.stringify(made.violations));
  return made.spec;
}

/** The name alone, to be compared: what a broker keeps in one beside it is its own. */
export function plain({ task, key }: JobRef): JobRef {
  return { task, key };
}

export async function submit(on: Api, asked: Asked): Promise<Submitted> {
  const submitted = succeeded((await on.api.jobs.submit([specOf(asked)], "return"))[0]);
  return { ...submitted, ref: plain(submitted.ref) };
}

/** @throws the Refusal that an item was answered with */
export function succeeded<T>(answer: T | Refusal | undefined): T {
  if (answer === undefined) throw new Error("no answer");
  if (answer instanceof Refusal) throw answer;
  return answer;
}

export async function status(on: Api, ref: JobRef, includePayload = false): Promise<JobView> {
  const [view] = await on.api.jobs.status([ref], includePayload);
  if (view === undefined) throw new Error(`no job ${ref.task}~${ref.key}`);
  return view;
}

export async function stateOf(on: Api, ref: JobRef): Promise<State> {
  return (await status(on, ref)).state;
}

export interface Leasing {
  maxJobs?: number;
  /** ms. */
  wait?: number;
  leaseDuration?: number;
  queues?: readonly string[];
  worker?: string;
  gone?: AbortSignal;
}

export async function lease(on: Api, tasks: string | readonly string[], how: Leasing = {}): Promise<Grant[]> {
  const grants = await on.api.workers.lease({
    worker: "w1",
    tasks: typeof tasks === "string" ? [tasks] : tasks,
    queues: ["default"],
    maxJobs: 1,
    wait: 15_000,
    leaseDuration: 9_000,
    gone: new AbortController().signal,
    ...how,
  });
  return grants.map((grant) => ({ ...grant, ref: plain(grant.ref) }));
}

/** @throws Error when none comes in time */
export async function leaseOne(on: Api, task: string, how: Leasing = {}): Promise<Grant> {
  const [grant] = await lease(on, task, how);
  if (grant === undefined) throw new Error(`no job of ${task} came`);
  return grant;
}

/** The state that the job took, or the reason that the report was refused with. */
export async function ack(on: Api, token: string, report: Report = success()): Promise<string> {
  const [answer] = await on.api.workers.ack([{ leaseId: 0, token, report }]);
  if (answer === undefined) throw new Error("no answer");
  return answer instanceof Refusal ? answer.reason : answer;
}

export function success(result?: string): Report {
  return {
    type: "success",
    result: result === undefined ? undefined : { data: bytes(result), type: "", externalSize: 0 },
  };
}

export function failure(
  reason: FailureReason = FailureReason.ERROR,
  retryAfter: number | undefined = undefined,
): Report {
  return {
    type: "failure",
    failure: { reason, type: "Boom", message: "it broke", stack: "at line 1" },
    retryAfter,
  };
}

/** The reason of a refusal. @throws Error when it is none */
export async function refused(call: Promise<unknown>): Promise<string> {
  const answer = await call.catch((error: unknown) => error);
  if (answer instanceof Refusal) return answer.reason;
  throw new Error(`not refused: ${String(answer)}`);
}
