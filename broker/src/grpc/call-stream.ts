// Small calls as messages of one stream. Each is served, counted and refused as a call of its own would be; what is wrong
// with the stream itself ends the stream, and with it all of its calls.

import type { CallRequest, CallResponse } from "@drover/proto/v1";
import { type Metadata, type ServerDuplexStream, type StatusObject, status } from "@grpc/grpc-js";
import { invalid } from "../core/errors.js";
import { SlotMap } from "../core/slot-map.js";
import { type Calls, checkParsed, draining, type Surface } from "./calls.js";
import { type JobCalls, jobCallNames } from "./job-calls.js";

type Stream = ServerDuplexStream<CallRequest, CallResponse>;
type Response = NonNullable<CallResponse["response"]>;
type Kind = keyof JobCalls;

const method = "JobService/Call";
/** Of one stream at a time. */
const mostRunning = 1_000;

/** One request of the stream, as a handler sees it. */
class Part implements Surface {
  cancelled = false;
  #listener: (() => void) | undefined;

  constructor(readonly metadata: Metadata) {}

  once(_event: "cancelled", listener: () => void): void {
    this.#listener = listener;
  }

  leave(): void {
    this.cancelled = true;
    this.#listener?.();
  }
}

export class CallStream {
  /** Requests that somebody waits for. */
  readonly #open = new SlotMap<number, Part>();
  /** Handlers at work, also for nobody any more. */
  #running = 0;
  readonly #ended: (code: status) => void;
  readonly #release: () => void;
  /** Nothing more is read. */
  #closing = false;
  #over = false;
  #full = false;

  constructor(
    private readonly stream: Stream,
    private readonly handlers: JobCalls,
    private readonly calls: Calls,
  ) {
    this.#ended = calls.opened(method);
    this.#release = calls.whenStopping(() => this.#close());
    stream.on("data", (message: CallRequest) => this.#hear(message));
    stream.on("end", () => this.#close());
    stream.on("drain", () => this.#regulate());
    for (const event of ["cancelled", "error", "close"]) stream.on(event, () => this.#hungUp());
    if (calls.stopping) this.#end(calls.statusOf(draining(), method));
  }

  #hear(message: CallRequest): void {
    if (this.#over) return;
    try {
      checkParsed(message);
      const { id, request } = message;
      if (request?.$case === "left") return this.#left(id);
      if (id === 0) throw invalid([{ field: "id", description: "is 0: number requests from 1" }]);
      if (this.#open.has(id)) {
        throw invalid([{ field: "id", description: `${id} is that of a request which is not answered yet` }]);
      }
      this.#serve(id, request);
    } catch (error) {
      this.#end(this.calls.statusOf(error, method));
    }
  }

  #serve(id: number, request: CallRequest["request"]): void {
    if (this.#closing) return this.#fail(id, this.calls.statusOf(draining(), method));
    switch (request?.$case) {
      case "submit":
        return this.#run(id, request.$case, request.value, (value) => ({ $case: "submit", value }));
      case "submitBatch":
        return this.#run(id, request.$case, request.value, (value) => ({ $case: "submitBatch", value }));
      case "status":
        return this.#run(id, request.$case, request.value, (value) => ({ $case: "status", value }));
      case "statusBatch":
        return this.#run(id, request.$case, request.value, (value) => ({ $case: "statusBatch", value }));
      case "wait":
        return this.#run(id, request.$case, request.value, (value) => ({ $case: "wait", value }));
      default:
        return this.#fail(id, { code: status.UNIMPLEMENTED, details: "no request that this broker knows" });
    }
  }

  #run<K extends Kind>(
    id: number,
    kind: K,
    request: Parameters<JobCalls[K]>[0],
    wrap: (response: Awaited<ReturnType<JobCalls[K]>>) => Response,
  ): void {
    const part = new Part(this.stream.metadata);
    this.#open.set(id, part);
    this.#running++;
    this.#regulate();
    // The compiler loses that handler, request and response belong together.
    const handler = this.handlers[kind] as (...args: unknown[]) => Promise<never>;
    this.calls.serve(jobCallNames[kind], part, request, handler, (failure, response) => {
      this.#running--;
      if (part.cancelled) return this.#regulate();
      this.#open.delete(id);
      if (failure !== undefined) this.#fail(id, failure);
      else this.#answer(id, wrap(response as Awaited<ReturnType<JobCalls[K]>>));
    });
  }

  #left(id: number): void {
    this.#open.get(id)?.leave();
    this.#open.delete(id);
  }

  #fail(
    id: number,
    { code, details, metadata }: Pick<StatusObject, "code" | "details"> & Partial<StatusObject>,
  ): void {
    const [bytes] = metadata?.get("grpc-status-details-bin") ?? [];
    const value = { code, message: details, details: bytes instanceof Buffer ? bytes : Buffer.alloc(0) };
    this.#answer(id, { $case: "failure", value });
  }

  #answer(id: number, response: Response): void {
    if (this.#over) return;
    if (!this.stream.write({ id, response })) this.#full = true;
    this.#regulate();
  }

  /** Reads on only while answers are read, and not too many are owed. */
  #regulate(): void {
    if (this.#over) return;
    this.#full &&= this.stream.writableNeedDrain;
    if (this.#closing && this.#running === 0) return this.#end(undefined);
    if (this.#full || this.#running >= mostRunning) this.stream.pause();
    else this.stream.resume();
  }

  #close(): void {
    this.#closing = true;
    this.#regulate();
  }

  #hungUp(): void {
    if (this.#over) return;
    this.#finish(status.CANCELLED);
  }

  /** `failure` undefined: all is answered. */
  #end(failure: StatusObject | undefined): void {
    if (this.#over) return;
    this.#finish(failure?.code ?? status.OK);
    if (failure === undefined) this.stream.end();
    else this.stream.emit("error", failure);
    // What is still sent is read and dropped: unread, it would hold up the connection's other streams.
    this.stream.resume();
  }

  #finish(code: status): void {
    this.#over = true;
    this.#release();
    for (const part of this.#open.values()) part.leave();
    this.#ended(code);
  }
}
