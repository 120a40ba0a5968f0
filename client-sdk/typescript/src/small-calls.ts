// Small calls in quick succession go as messages over one stream, which takes client and broker less than half of the
// work of a call each. The first of them is a call of its own: who makes only one has no use for a stream. It is ended
// once nothing has been asked for a moment, so that it keeps no process from ending.

import { type CallRequest, type CallResponse, JobServiceService } from "@drover/proto/v1/job_service";
import { type Client, type ClientDuplexStream, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Method } from "./call.js";

export type SmallRequest = NonNullable<CallRequest["request"]>;
type Stream = ClientDuplexStream<CallRequest, CallResponse>;

/** How the stream calls these methods. */
const CASES: Readonly<Record<string, SmallRequest["$case"]>> = {
  [JobServiceService.submit.path]: "submit",
  [JobServiceService.submitBatch.path]: "submitBatch",
  [JobServiceService.status.path]: "status",
  [JobServiceService.statusBatch.path]: "statusBatch",
  [JobServiceService.wait.path]: "wait",
};

export interface SmallCallRules {
  /** A call so long after the last one, in ms, is one in quick succession; and so long the stream stays without any. */
  readonly quick: number;
  /** A stream serves so long, in ms: then the way to the broker is chosen anew. */
  readonly oldest: number;
}

const RULES: SmallCallRules = { quick: 250, oldest: 60_000 };
/** Bytes of a request: what is larger gains nothing, and would hold up the others. */
const SMALL = 64 * 1024;
/** Jobs waited for by one request: their results may be large. */
const FEW = 16;

export type Done = (error: ServiceError | null, answer?: unknown) => void;

interface Pending {
  done: Done;
  timer: NodeJS.Timeout;
}

export class SmallCalls {
  readonly #client: Client;
  readonly #metadata: () => Metadata;
  readonly #rules: SmallCallRules;
  #line: Line | undefined;
  #lastAt = Number.NEGATIVE_INFINITY;
  /** A broker, or something before it, that knows no such stream. */
  #unknown = false;

  /** `metadata`: of a stream that is opened now. */
  constructor(client: Client, metadata: () => Metadata, rules: SmallCallRules = RULES) {
    this.#client = client;
    this.#metadata = metadata;
    this.#rules = rules;
  }

  /** The call as the stream has it; undefined: it is to be made by itself. */
  requestOf<Q>({ path }: Pick<Method<Q, unknown>, "path">, value: Q): SmallRequest | undefined {
    const quick = performance.now() - this.#lastAt < this.#rules.quick;
    this.#lastAt = performance.now();
    const $case = CASES[path];
    if (!quick || this.#unknown || $case === undefined) return undefined;
    const request = { $case, value } as SmallRequest;
    return isSmall(request) ? request : undefined;
  }

  /** `done` is called once, with the answer of the request's own case; what is returned gives the call up. */
  call(request: SmallRequest, timeout: number, done: Done): () => void {
    if (this.#line?.open !== true) {
      const stream: Stream = this.#client.makeBidiStreamRequest(
        JobServiceService.call.path,
        JobServiceService.call.requestSerialize,
        JobServiceService.call.responseDeserialize,
        this.#metadata(),
      );
      this.#line = new Line(stream, this.#rules, () => {
        this.#unknown = true;
      });
    }
    return this.#line.call(request, timeout, done);
  }
}

/** One such stream. */
class Line {
  readonly #stream: Stream;
  readonly #pending = new Map<number, Pending>();
  readonly #quick: number;
  readonly #until: number;
  #next = 1;
  #open = true;
  #idle: NodeJS.Timeout | undefined;

  constructor(stream: Stream, { quick, oldest }: SmallCallRules, unknown: () => void) {
    this.#stream = stream;
    this.#quick = quick;
    this.#until = performance.now() + oldest;
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

  call(request: SmallRequest, timeout: number, done: Done): () => void {
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

  /** False: it is answered already. */
  #leave(id: number): boolean {
    if (!this.#pending.has(id)) return false;
    // Before the stream may be ended: the broker keeps it until all that it was asked is over.
    if (this.#open) this.#stream.write({ id, request: { $case: "left", value: {} } });
    this.#take(id);
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
    this.#idle ??= setTimeout(() => this.#hangUp(), this.#quick);
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

function isSmall(request: SmallRequest): boolean {
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
