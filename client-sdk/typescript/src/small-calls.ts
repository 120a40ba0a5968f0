// Small calls in quick succession go as messages over one stream, which takes client and broker less than half of the
// work of a call each. The first of them is a call of its own: who makes only one has no use for a stream. It is ended
// once nothing has been asked for a moment, so that it keeps no process from ending.

import { type CallRequest, type CallResponse, JobServiceService } from "@drover/proto/v1/job_service";
import { type Client, type ClientDuplexStream, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Method } from "./call.js";

type Request = NonNullable<CallRequest["request"]>;
type Stream = ClientDuplexStream<CallRequest, CallResponse>;

/** How the stream calls these methods. */
const CASES: Readonly<Record<string, Request["$case"]>> = {
  [JobServiceService.submit.path]: "submit",
  [JobServiceService.submitBatch.path]: "submitBatch",
  [JobServiceService.status.path]: "status",
  [JobServiceService.statusBatch.path]: "statusBatch",
  [JobServiceService.wait.path]: "wait",
};

/** A call this long after the last one, in ms, is one in quick succession; and so long the stream stays without any. */
const QUICK = 250;
/** A stream serves so long, in ms: then the way to the broker is chosen anew. */
const OLDEST = 60_000;
/** Bytes of a request: what is larger gains nothing, and would hold up the others. */
const SMALL = 64 * 1024;
/** Jobs waited for by one request: their results may be large. */
const FEW = 16;

export type Done<A> = (error: ServiceError | null, answer?: A) => void;

interface Pending {
  done: Done<unknown>;
  timer: NodeJS.Timeout;
}

export class SmallCalls {
  readonly #client: Client;
  readonly #metadata: () => Metadata;
  #line: Line | undefined;
  #lastAt = Number.NEGATIVE_INFINITY;
  /** A broker, or something before it, that knows no such stream. */
  #unknown = false;

  /** `metadata`: of a stream that is opened now. */
  constructor(client: Client, metadata: () => Metadata) {
    this.#client = client;
    this.#metadata = metadata;
  }

  /** Whether this call may go over the stream now. */
  fits<Q>({ path }: Pick<Method<Q, unknown>, "path">, request: Q): boolean {
    const quick = performance.now() - this.#lastAt < QUICK;
    this.#lastAt = performance.now();
    const kind = CASES[path];
    return (
      quick && !this.#unknown && kind !== undefined && isSmall({ $case: kind, value: request } as Request)
    );
  }

  /** Makes a call that fits; what is returned gives it up. `done` is called once. */
  call<Q, A>({ path }: Method<Q, A>, request: Q, timeout: number, done: Done<A>): () => void {
    if (this.#line?.open !== true) {
      const stream: Stream = this.#client.makeBidiStreamRequest(
        JobServiceService.call.path,
        JobServiceService.call.requestSerialize,
        JobServiceService.call.responseDeserialize,
        this.#metadata(),
      );
      this.#line = new Line(stream, () => {
        this.#unknown = true;
      });
    }
    const wire = { $case: CASES[path], value: request } as Request;
    return this.#line.call(wire, timeout, done as Done<unknown>);
  }
}

/** One such stream. */
class Line {
  readonly #stream: Stream;
  readonly #pending = new Map<number, Pending>();
  readonly #until = performance.now() + OLDEST;
  #next = 1;
  #open = true;
  #idle: NodeJS.Timeout | undefined;

  constructor(stream: Stream, unknown: () => void) {
    this.#stream = stream;
    stream.on("data", (response: CallResponse) => this.#answered(response));
    stream.on("error", (error: ServiceError) => {
      if (error.code === status.UNIMPLEMENTED) unknown();
      this.#ended(error);
    });
    stream.on("end", () => this.#ended(ended()));
  }

  get open(): boolean {
    return this.#open && performance.now() < this.#until;
  }

  call(request: Request, timeout: number, done: Done<unknown>): () => void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    const id = this.#next++;
    const timer = setTimeout(() => {
      this.#leave(id);
      done(failure(status.DEADLINE_EXCEEDED, `no answer within ${Math.round(timeout)} ms`));
    }, timeout);
    this.#pending.set(id, { done, timer });
    this.#stream.write({ id, request });
    return () => {
      if (!this.#leave(id)) return;
      done(failure(status.CANCELLED, "the call was given up"));
    };
  }

  #leave(id: number): boolean {
    if (this.#take(id) === undefined) return false;
    if (this.#open) this.#stream.write({ id, request: { $case: "left", value: {} } });
    return true;
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (this.#pending.size === 0 && this.#open) this.#rest();
    return pending;
  }

  /** Without anything to wait for. */
  #rest(): void {
    if (performance.now() >= this.#until) return this.#hangUp();
    this.#idle ??= setTimeout(() => this.#hangUp(), QUICK);
  }

  #hangUp(): void {
    this.#open = false;
    this.#stream.end();
  }

  #answered({ id, response }: CallResponse): void {
    const pending = this.#take(id);
    if (pending === undefined || response === undefined) return;
    if (response.$case !== "failure") return pending.done(null, response.value);
    const { code, message, details } = response.value;
    pending.done(failure(code, message, details));
  }

  #ended(error: ServiceError): void {
    this.#open = false;
    clearTimeout(this.#idle);
    for (const [id, pending] of [...this.#pending]) {
      this.#take(id);
      pending.done(error);
    }
  }
}

function isSmall(request: Request): boolean {
  switch (request.$case) {
    case "submit":
      return bytesOf(request.value.job) <= SMALL;
    case "submitBatch":
      return request.value.jobs.reduce((sum, job) => sum + bytesOf(job), 0) <= SMALL;
    case "statusBatch":
    case "wait":
      return request.value.ids.length <= FEW;
    default:
      return true;
  }
}

/** About; what people write beside the payload is bounded. */
function bytesOf(job: { payload: { data: Uint8Array } | undefined } | undefined): number {
  return 512 + (job?.payload?.data.length ?? 0);
}

/** The broker stops, or has restarted: whether what is unanswered was done is not known. */
function ended(): ServiceError {
  return failure(status.UNAVAILABLE, "the broker ended the stream of calls before it answered");
}

function failure(code: number, details: string, bytes?: Uint8Array): ServiceError {
  const metadata = new Metadata();
  if (bytes !== undefined && bytes.length > 0) metadata.set("grpc-status-details-bin", Buffer.from(bytes));
  return Object.assign(new Error(details), { code, details, metadata });
}
