// One call of a handler with all that belongs around it: the payload made to fit, what the run needs opened and closed, the
// result made to fit. Synchronous wherever all of it is, since a worker starts tens of thousands of runs a second.

import { PayloadError } from "@drover/proto/sdk/payload";
import { conform, type Schema, told } from "@drover/proto/sdk/schema";
import type { TaskContext } from "./context.js";
import type { AnyTask } from "./task.js";

/** Runs around each handler: opens what a run needs and closes it whatever happens. Has to give back what `run`
 *  gives, and to let its errors through. */
export type Around = (context: TaskContext, run: () => Promise<unknown>) => Promise<unknown>;

/** @throws PayloadError for a payload or result that does not fit its schema; what the handler throws */
export function invoke(task: AnyTask, payload: unknown, context: TaskContext, around?: Around): unknown {
  const { schemas } = task;
  const input = schemas.payload === undefined ? payload : fit(schemas.payload, payload, "payload");
  const result = isPromise(input)
    ? input.then((value) => call(task, value, context, around))
    : call(task, input, context, around);
  const { result: schema } = schemas;
  if (schema === undefined) return result;
  return isPromise(result)
    ? result.then((value) => fit(schema, value, "result"))
    : fit(schema, result, "result");
}

function call(task: AnyTask, payload: unknown, context: TaskContext, around: Around | undefined): unknown {
  if (around === undefined) return task.handler(payload, context);
  return around(context, async () => task.handler(payload, context));
}

function fit(schema: Schema, value: unknown, what: "payload" | "result"): unknown {
  return conform(schema, value, what, (misfits) => new PayloadError(told(misfits)));
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
