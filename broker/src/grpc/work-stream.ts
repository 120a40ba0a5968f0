// One worker's Work stream: what it says goes to the session, what the broker says goes down. Whatever is wrong with a
// stream ends that stream and nothing else.

import { CancelReason, type Lease, type WorkRequest, type WorkResponse } from "@drover/proto/v1";
import { Metadata, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { Clock } from "../app/ports.js";
import type { Grant, Session, SessionSink, WorkersApi } from "../app/worker-api.js";
import { Checks } from "../core/check.js";
import { invalid } from "../core/errors.js";
import { type Calls, checkParsed, draining } from "./calls.js";
import { fromProgress } from "./convert-job.js";
import { sizeOfGrant, toCredit, toHello, toLease, toSessionOutcomes } from "./convert-work.js";
import { callerOf } from "./identity.js";
import { itemStatusOf } from "./status.js";
import { toDuration, toTimestamp } from "./time.js";

type Stream = ServerDuplexStream<WorkRequest, WorkResponse>;
type Say = NonNullable<WorkResponse["message"]>;

const method = "WorkerService/Work";
const MiB = 1024 * 1024;
const bounds = {
  attachWithin: 10_000,
  /** Leases of one message: clients refuse messages above 4 MiB unless told otherwise. */
  message: 2 * MiB,
  /** What may wait for a worker that does not read, beyond the leases that it said it can hold. */
  unread: 16 * MiB,
  creditBytes: 256 * MiB,
  cancelWithin: 25,
  /** For a worker that does not read even its status. */
  endWithin: 5_000,
} as const;

export class WorkStream implements SessionSink {
  readonly #ended: (code: status) => void;
  readonly #attachTimer: NodeJS.Timeout;
  #state: "new" | "attaching" | "attached" | "over" = "new";
  #session: Session | undefined;
  #unread = 0;
  #creditBytes = 0;

  constructor(
    private readonly stream: Stream,
    private readonly workers: WorkersApi,
    private readonly clock: Clock,
    private readonly calls: Calls,
  ) {
    this.#ended = calls.opened(method);
    this.#attachTimer = setTimeout(
      () =>
        this.#fail(invalid([{ field: "attach", description: "did not come within 10 s: send it first" }])),
      bounds.attachWithin,
    );
    stream.on("data", (message: WorkRequest) => this.#hear(message));
    // A stream that is cancelled, or whose connection breaks, looks half-closed for a moment [tried: up to 1 ms].
    stream.on("end", () => setTimeout(() => this.#hungUp(true), bounds.cancelWithin));
    stream.on("cancelled", () => this.#hungUp(false));
    stream.on("error", () => this.#hungUp(false));
    stream.on("close", () => this.#hungUp(false));
    if (calls.stopping) this.#fail(draining());
  }

  // What the broker says.

  attached(hello: Parameters<SessionSink["attached"]>[0]): void {
    this.#say(
      {
        $case: "attached",
        value: {
          broker: hello.broker,
          pingInterval: toDuration(hello.pingInterval),
          sessionTimeout: toDuration(hello.sessionTimeout),
          held: [...hello.held],
          lost: [...hello.lost],
        },
      },
      (hello.held.length + hello.lost.length) * 512,
    );
  }

  leases(grants: readonly Grant[]): void {
    let leases: Lease[] = [];
    let size = 0;
    for (const grant of grants) {
      leases.push(toLease(grant));
      size += sizeOfGrant(grant);
      if (size < bounds.message) continue;
      this.#say({ $case: "leases", value: { leases } }, size);
      leases = [];
      size = 0;
    }
    if (leases.length > 0) this.#say({ $case: "leases", value: { leases } }, size);
  }

  settled(
    recorded: readonly number[],
    refused: readonly { leaseId: number; token: string; refusal: Parameters<typeof itemStatusOf>[0] }[],
  ): void {
    const refusals = refused.map(({ leaseId, token, refusal }) => ({
      leaseId,
      token,
      error: itemStatusOf(refusal),
    }));
    this.#say(
      { $case: "settled", value: { recorded: recorded as number[], refused: refusals } },
      recorded.length * 8 + refused.length * 1024,
    );
  }

  cancel(leases: Parameters<SessionSink["cancel"]>[0]): void {
    this.#say(
      {
        $case: "cancel",
        value: { leases: leases.map(({ leaseId, reason }) => ({ leaseId, reason: cancelReasons[reason] })) },
      },
      leases.length * 16,
    );
  }

  ping(serverTime: number): void {
    this.#say({ $case: "ping", value: { serverTime: toTimestamp(serverTime) } }, 32);
  }

  drain(): void {
    this.#say({ $case: "drain", value: {} }, 16);
  }

  close(reason: string): void {
    this.#session = undefined;
    this.#end(status.UNAVAILABLE, reason, new Metadata());
  }

  // What the worker says.

  #hear(message: WorkRequest): void {
    if (this.#state === "over") return;
    try {
      checkParsed(message);
      if (this.#session === undefined) this.#attach(message);
      else this.#tell(this.#session, message);
    } catch (error) {
      this.#fail(error);
    }
  }

  #attach({ message }: WorkRequest): void {
    if (this.#state !== "new" || message?.$case !== "attach") {
      throw invalid([{ field: "message", description: "the first message of a session is attach, alone" }]);
    }
    const hello = toHello(message.value, callerOf(this.stream.metadata).peer);
    this.#state = "attaching";
    clearTimeout(this.#attachTimer);
    this.#setCredit(hello.credit.bytes);
    // What the worker says meanwhile waits in its connection.
    this.stream.pause();
    this.workers.attach(hello, this).then(
      (session) => this.#begin(session),
      (error: unknown) => this.#fail(error),
    );
  }

  #begin(session: Session): void {
    if (this.#state === "over") return session.closed(false);
    this.#state = "attached";
    this.#session = session;
    this.stream.resume();
  }

  #tell(session: Session, { message }: WorkRequest): void {
    switch (message?.$case) {
      case "outcomes":
        return session.outcomes(toSessionOutcomes(message.value.outcomes));
      case "pong":
        return session.pong();
      case "credit": {
        const checks = new Checks();
        const { jobs, bytes } = toCredit(checks, "credit", message.value);
        checks.done();
        this.#setCredit(bytes);
        return session.credit(jobs, bytes);
      }
      case "progress":
        return session.progress(this.#toProgress(message.value.reports));
      case "drain":
        return session.drain();
      case "attach":
        throw invalid([
          { field: "attach", description: "comes once, as the first message: open a new stream" },
        ]);
      default:
        throw invalid([{ field: "message", description: "is none that this broker knows" }]);
    }
  }

  #toProgress(
    reports: Extract<NonNullable<WorkRequest["message"]>, { $case: "progress" }>["value"]["reports"],
  ) {
    const checks = new Checks();
    const now = this.clock.now();
    const told = reports.map(({ leaseId, progress }, i) => ({
      leaseId,
      progress: fromProgress(checks, `progress.reports[${i}].progress`, progress ?? noProgress, now),
    }));
    checks.done();
    return told;
  }

  #setCredit(bytes: number): void {
    this.#creditBytes = Math.min(bytes, bounds.creditBytes);
  }

  // The stream itself.

  #say(message: Say, size: number): void {
    if (this.#state === "over") return;
    this.#unread += size;
    if (this.#unread > this.#creditBytes + bounds.unread) {
      const session = this.#session;
      this.#session = undefined;
      this.#end(status.RESOURCE_EXHAUSTED, "the worker does not read what it is sent", new Metadata());
      session?.closed(false);
      return;
    }
    this.stream.write({ message }, () => {
      this.#unread -= size;
    });
  }

  #hungUp(clean: boolean): void {
    if (this.#state === "over") return;
    const session = this.#session;
    this.#session = undefined;
    if (clean) this.#end(status.OK, "OK", new Metadata());
    else this.#over(status.CANCELLED);
    session?.closed(clean);
  }

  #fail(error: unknown): void {
    if (this.#state === "over") return;
    const session = this.#session;
    this.#session = undefined;
    const { code, details, metadata } = this.calls.statusOf(error, method);
    this.#end(code, details, metadata);
    session?.closed(false);
  }

  #end(code: status, details: string, metadata: Metadata): void {
    if (this.#state === "over") return;
    this.#over(code);
    if (code === status.OK) this.stream.end();
    else this.stream.emit("error", { code, details, metadata });
    // What is still sent is read and dropped: unread, it would hold up the connection's other streams.
    this.stream.resume();
    // Frees what waits for a worker that does not read; one that does has long closed the stream by then.
    const timer = setTimeout(() => this.stream.destroy(), bounds.endWithin).unref();
    this.stream.once("close", () => clearTimeout(timer));
  }

  #over(code: status): void {
    this.#state = "over";
    clearTimeout(this.#attachTimer);
    this.#ended(code);
  }
}

const noProgress = { value: undefined, detail: new Uint8Array(0), reportedAt: undefined };

const cancelReasons = {
  requested: CancelReason.CANCEL_REASON_REQUESTED,
  "time-limit": CancelReason.CANCEL_REASON_TIME_LIMIT,
  "lease-lost": CancelReason.CANCEL_REASON_LEASE_LOST,
} as const;
