// What a payload or a result has to look like, said by a schema of any library that speaks Standard Schema (zod, valibot,
// arktype and others). Only its types are imported.

import type { StandardSchemaV1 } from "@standard-schema/spec";

/** Any Standard Schema: what goes in, what comes out of it (defaults filled in, texts turned into dates). */
export type Schema<In = unknown, Out = unknown> = StandardSchemaV1<In, Out>;
export type InputOf<S extends Schema> = StandardSchemaV1.InferInput<S>;
export type OutputOf<S extends Schema> = StandardSchemaV1.InferOutput<S>;

/** One thing that does not fit, and where: `payload.items[1].price`. */
export interface Misfit {
  readonly path: string;
  readonly message: string;
}

const MOST_TOLD = 20;

/** The value as its schema gives it back. Asynchronous only where the schema is. `misfit` makes the error out of what
 *  does not fit; `what` is the first word of each path. */
export function conform(
  schema: Schema,
  value: unknown,
  what: "payload" | "result",
  misfit: (misfits: readonly Misfit[]) => Error,
): unknown {
  const take = (checked: StandardSchemaV1.Result<unknown>): unknown => {
    if (checked.issues === undefined) return checked.value;
    throw misfit(checked.issues.slice(0, MOST_TOLD).map((issue) => misfitOf(what, issue)));
  };
  const checked = schema["~standard"].validate(value);
  return checked instanceof Promise ? checked.then(take) : take(checked);
}

/** On one line. */
export function told(misfits: readonly Misfit[]): string {
  return misfits.map(({ path, message }) => `${path}: ${message}`).join("; ");
}

function misfitOf(what: string, { path = [], message }: StandardSchemaV1.Issue): Misfit {
  let text = what;
  for (const segment of path) {
    const key = typeof segment === "object" ? segment.key : segment;
    text += typeof key === "number" ? `[${key}]` : `.${String(key)}`;
  }
  return { path: text, message };
}
