// The spans of a job: its submit, each attempt, and the writing down of its end. Under the span of the submitter, where
// there is one, stands the submit; under that the attempts, and under each of them the worker's run:
//
//     submit hello.node            the client's
//       submit hello.node          until the job is on disk
//         attempt hello.node       from the lease to the report; one for each
//           run hello.node         the worker's
//           outcome hello.node     of the last one: from its report until the job's outcome is on disk
//
// Ids are made of the job's id and the moment of its submit, so that every broker comes to the same ones.

import { createHash } from "node:crypto";
import type { Changed } from "../app/ledger.js";
import type { Traces } from "../app/traces.js";
import { AttemptOutcome, FailureReason, hasEnded, type Spec, specOf, stateOf } from "../core/job.js";
import { jobId } from "../core/names.js";
import { parseTraceParent, traceHeader, traceParent } from "../core/trace-context.js";

/** A span that has ended. Times are ms since 1970 by the nats-server's clock. */
export interface Span {
  name: string;
  traceId: string;
  spanId: string;
  /** Undefined: it is the first of its trace. */
  parentId: string | undefined;
  /** Whether the parent is somebody else's. */
  remoteParent: boolean;
  kind: "server" | "internal";
  start: number;
  end: number;
  failed: boolean;
  attributes: Record<string, string | number>;
}

/** Where a job stands in its trace. */
interface Place {
  traceId: string;
  sampled: boolean;
  /** The submitter's span. */
  parentId: string | undefined;
  submit: string;
  attempt(number: number): string;
  outcome(attempt: number): string;
}

/** Set in every outcome's id and in no attempt's: the two never meet. */
const outcomeBit = 1n << 63n;
const most = 2 ** 32;

export class JobTraces implements Traces {
  /** `share`: of the jobs that come without a trace, those that get one of their own, 0 to 1. */
  constructor(
    private readonly share: number,
    private readonly collect: (span: Span) => void,
  ) {}

  stored(spec: Spec, at: number): void {
    const place = this.#placeOf(spec);
    if (!place.sampled) return;
    this.#span(place, "submit", spec, {
      spanId: place.submit,
      parentId: place.parentId,
      remoteParent: true,
      kind: "server",
      start: spec.submittedAt,
      end: at,
      failed: false,
      attributes: { "messaging.operation.type": "send" },
    });
  }

  lent(spec: Spec, attempt: number): Spec {
    const place = this.#placeOf(spec);
    // What is not collected keeps the context it came with, so that the worker does not collect it either.
    if (!place.sampled) return spec;
    const context = { traceId: place.traceId, spanId: place.attempt(attempt), sampled: true };
    return { ...spec, headers: { ...spec.headers, [traceHeader]: traceParent(context) } };
  }

  changed({ before, stored }: Changed, at: number): void {
    const { job } = stored;
    const spec = specOf(job);
    const attempt = job.history.at(-1);
    const ran = attempt !== undefined && attempt.number !== before.job.history.at(-1)?.number;
    const state = stateOf(stored);
    if (!ran && !hasEnded(state)) return;
    const place = this.#placeOf(spec);
    if (!place.sampled) return;
    if (ran) {
      this.#span(place, "attempt", spec, {
        spanId: place.attempt(attempt.number),
        parentId: place.submit,
        remoteParent: false,
        kind: "internal",
        start: attempt.startedAt || attempt.endedAt,
        end: attempt.endedAt,
        failed: isFailure(attempt.outcome),
        attributes: {
          "messaging.operation.type": "process",
          "drover.attempt": attempt.number,
          "drover.attempt.outcome": nameOf(AttemptOutcome, attempt.outcome),
          "drover.worker": attempt.worker,
          ...(attempt.failure && { "error.type": errorType(attempt.failure) }),
        },
      });
    }
    if (!hasEnded(state)) return;
    this.#span(place, "outcome", spec, {
      spanId: place.outcome(job.attempt),
      parentId: ran ? place.attempt(attempt.number) : place.submit,
      remoteParent: false,
      kind: "internal",
      start: job.finishedAt,
      end: at,
      failed: state === "FAILED",
      attributes: {
        "messaging.operation.type": "settle",
        "drover.outcome": state.toLowerCase(),
        ...(state === "FAILED" && job.failure && { "error.type": errorType(job.failure) }),
      },
    });
  }

  #span({ traceId }: Place, what: string, spec: Spec, span: Omit<Span, "name" | "traceId">): void {
    this.collect({
      name: `${what} ${spec.task}`,
      traceId,
      ...span,
      end: Math.max(span.start, span.end),
      attributes: {
        "messaging.system": "drover",
        "messaging.destination.name": spec.queue,
        "messaging.message.id": jobId(spec),
        "drover.task": spec.task,
        ...span.attributes,
      },
    });
  }

  #placeOf(spec: Spec): Place {
    const given = parseTraceParent(spec.headers[traceHeader]);
    const made = createHash("sha256")
      .update(`${jobId(spec)} ${spec.submittedAt}`)
      .digest();
    const base = made.readBigUInt64BE(24) & ~outcomeBit;
    return {
      traceId: given?.traceId ?? made.toString("hex", 0, 16),
      sampled: given?.sampled ?? made.readUInt32BE(0) < this.share * most,
      parentId: given?.spanId,
      submit: made.toString("hex", 16, 24),
      attempt: (number) => hex(BigInt.asUintN(63, base + BigInt(number))),
      outcome: (number) => hex(BigInt.asUintN(63, base + BigInt(number)) | outcomeBit),
    };
  }
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, "0");
}

function isFailure(outcome: number): boolean {
  return outcome === AttemptOutcome.FAILED || outcome === AttemptOutcome.CRASHED;
}

function errorType({ type, reason }: { type: string; reason: number }): string {
  return type || nameOf(FailureReason, reason);
}

function nameOf(names: Readonly<Record<string, number>>, number: number): string {
  const name = Object.entries(names).find(([, known]) => known === number)?.[0] ?? String(number);
  return name.toLowerCase();
}
