// A worker's process: it attaches, runs nothing, and reports on anything it was ever given, however late.

import type { Grant, Report, Session, SessionSink } from "../../../broker/src/app/worker-api.js";
import { FailureReason } from "../../../broker/src/core/job.js";
import type { ModelBroker } from "./broker.js";
import { plainTokens, theLane } from "./ports.js";
import type { JobWitness } from "./witness.js";

export interface Given {
  readonly token: string;
  readonly leaseId: number;
  readonly broker: ModelBroker;
  /** Undefined: leased in a single call. */
  session: Session | undefined;
  /** What was said on it in its session. */
  readonly sent: Report[];
}

const nothing = () => undefined;

export class ModelWorker {
  readonly leases: Given[] = [];

  constructor(
    readonly instance: string,
    readonly witness: JobWitness,
  ) {}

  attach(broker: ModelBroker, held: readonly string[]): void {
    let session: Session | undefined;
    const sink: SessionSink = {
      attached: (hello) => {
        for (const { token, leaseId } of hello.held) {
          this.leases.push({ token, leaseId, broker, session, sent: [] });
        }
      },
      leases: (grants) => this.given(broker, session, grants),
      settled: (recorded) => {
        for (const lease of this.leases) if (lease.session === session) this.#told(lease, recorded);
      },
      cancel: nothing,
      ping: nothing,
      drain: nothing,
      close: nothing,
    };
    const hello = {
      worker: this.instance,
      instance: this.instance,
      sdk: "",
      peer: "",
      tasks: [{ task: theLane.task, concurrency: 0 }],
      queues: [{ queue: theLane.queue, weight: 1 }],
      credit: { jobs: 2, bytes: 1e9 },
      held,
    };
    void broker.sessions.attach(hello, sink).then((attached) => {
      session = attached;
      // What it was told on the way here came on this session.
      for (const lease of this.leases)
        if (lease.broker === broker && lease.leaseId > 0) lease.session ??= attached;
    });
  }

  given(broker: ModelBroker, session: Session | undefined, grants: readonly Grant[]): void {
    for (const { token, leaseId, spec, attempt } of grants) {
      this.leases.push({ token, leaseId, broker, session, sent: [] });
      const origin = plainTokens.verify(token)?.origin ?? 0;
      const redelivered = (broker.came.get(origin) ?? 1) > 1;
      this.witness.granted({
        ref: spec,
        origin,
        attempt,
        redelivered,
        atMostOnce: spec.retry?.maxCrashes === 0,
      });
    }
  }

  /** On the session it came on while that is there, else by its token at any broker. */
  report({ token, leaseId, session, broker, sent }: Given, elsewhere: ModelBroker, report: Report): void {
    if (session !== undefined && broker.alive) {
      sent.push(report);
      session.outcomes([{ leaseId, token: "", report }]);
      return;
    }
    void elsewhere.unary.ack([{ leaseId: 0, token, report }]).then(([answer]) => {
      if (typeof answer === "string" && isTold(report)) this.witness.told(token);
    });
  }

  /** Of several reports on one lease it is not said which was recorded. */
  #told({ token, leaseId, sent }: Given, recorded: readonly number[]): void {
    const [report] = sent;
    if (sent.length === 1 && report !== undefined && isTold(report) && recorded.includes(leaseId)) {
      this.witness.told(token);
    }
  }
}

/** Whether the witness can tell that it was recorded. */
function isTold({ type }: Report): boolean {
  return type === "success" || type === "failure";
}

/** Says in its result which lease it is of. */
export function success(token: string): Report {
  const data = new TextEncoder().encode(token);
  return { type: "success", result: { data, type: "", externalSize: 0 } };
}

/** All sorts, mostly such that leave the job alive. */
export function reportOf(token: string, kind: number): Report {
  const failure = { reason: FailureReason.ERROR as number, type: "", message: token, stack: "" };
  if (kind < 2) return success(token);
  if (kind < 6) return { type: "failure", failure, retryAfter: undefined };
  if (kind < 10) return { type: "release" };
  if (kind < 13) return { type: "snooze", delay: 15_000 };
  if (kind < 14) {
    return {
      type: "failure",
      failure: { ...failure, reason: FailureReason.PERMANENT },
      retryAfter: undefined,
    };
  }
  return { type: "cancelled" };
}
