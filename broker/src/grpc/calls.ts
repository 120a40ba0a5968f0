// What every call has in common, whatever its service: its errors become statuses, it is counted and timed, its handler
// learns when the caller has gone, and a stopping server waits for it.

import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerWritableStream,
  type ServiceDefinition,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import type { Log, Telemetry } from "../app/telemetry.js";
import { invalid, Refusal } from "../core/errors.js";
import { flowLimits } from "../core/limits.js";
import { type Caller, callerOf } from "./identity.js";
import { statusOf } from "./status.js";

/** What a call is made of, be it one of HTTP/2 or a message of a stream of calls. */
export interface Surface {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  once(event: "cancelled", listener: () => void): unknown;
}

/** The method itself: what it answers, or throws. */
export type Handler<Request, Response> = (request: Request, call: Call) => Promise<Response>;

/** A call as its handler sees it. */
export class Call {
  #gone: AbortController | undefined;

  constructor(
    private readonly call: Surface,
    private readonly waiting: Set<AbortController>,
  ) {}

  get caller(): Caller {
    return callerOf(this.call.metadata);
  }

  /** Whether nobody will see the answer. */
  get vanished(): boolean {
    return this.call.cancelled;
  }

  /** Aborted when the caller has gone or the server stops. Made when asked for: most calls are over before. */
  get gone(): AbortSignal {
    if (this.#gone === undefined) {
      const controller = new AbortController();
      this.#gone = controller;
      this.waiting.add(controller);
      if (this.call.cancelled) controller.abort();
      // grpc-js says so of calls that were answered as well: nobody is left there to be told.
      else this.call.once("cancelled", () => this.waiting.has(controller) && controller.abort());
    }
    return this.#gone.signal;
  }

  over(): void {
    if (this.#gone !== undefined) this.waiting.delete(this.#gone);
  }
}

/** Of every method but the one that takes a whole flow. */
const requestBytes = 4 * 1024 * 1024;

/** Takes the place of a message that is too large or could not be parsed; grpc-js would answer with a bare INTERNAL. */
class Malformed {
  constructor(readonly problem: string) {}
}

/** A service whose unparsable messages reach `checkParsed` instead of ending the call unexplained. */
export function guarded<S extends ServiceDefinition>(service: S): S {
  const methods = Object.entries(service).map(([name, method]) => {
    const parse = method.requestDeserialize;
    const most = method.path.endsWith("FlowService/Submit") ? flowLimits.submit : requestBytes;
    const requestDeserialize = (bytes: Buffer): unknown => {
      if (bytes.length > most) {
        return new Malformed(`has ${bytes.length} bytes, the limit is ${most}: send less at once`);
      }
      try {
        return parse(bytes);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        return new Malformed(`cannot be parsed as the method's type: ${why}`);
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(methods);
}

/** @throws Refusal INVALID_ARGUMENT for a message that is too large or could not be parsed */
export function checkParsed(message: unknown): void {
  if (!(message instanceof Malformed)) return;
  throw invalid([{ field: "message", description: message.problem }]);
}

export class Calls {
  readonly #waiting = new Set<AbortController>();
  #active = 0;
  #stopping = false;
  #idle: (() => void) | undefined;

  constructor(
    private readonly telemetry: Telemetry,
    private readonly log: Log,
  ) {}

  get stopping(): boolean {
    return this.#stopping;
  }

  /** A unary method: its handler returns the answer or throws. */
  unary<Request, Response>(
    method: string,
    handler: Handler<Request, Response>,
  ): handleUnaryCall<Request, Response> {
    return (surface, respond) =>
      this.serve(method, surface, surface.request, handler, (failure, response) =>
        respond(failure ?? null, response),
      );
  }

  /** Has a handler answer one request; `respond` is called once. */
  serve<Request, Response>(
    method: string,
    surface: Surface,
    request: Request,
    handler: Handler<Request, Response>,
    respond: (failure: StatusObject | undefined, response?: Response) => void,
  ): void {
    const call = new Call(surface, this.#waiting);
    const ended = this.opened(method);
    const over = (code: status) => {
      call.over();
      ended(code);
    };
    this.#run(request, call, handler).then(
      (response) => {
        respond(undefined, response);
        over(call.vanished ? status.CANCELLED : status.OK);
      },
      (error: unknown) => {
        const failure = this.#failure(error, method, call);
        respond(failure);
        over(failure.code);
      },
    );
  }

  /** A method that answers with a stream. It is not asked for more than the caller reads. */
  serverStream<Request, Response>(
    method: string,
    handler: (request: Request, call: Call) => AsyncIterable<Response>,
  ): handleServerStreamingCall<Request, Response> {
    return (stream) => {
      const call = new Call(stream, this.#waiting);
      const ended = this.opened(method);
      const over = (code: status) => {
        call.over();
        ended(code);
      };
      this.#pump(stream, call, handler).then(
        () => {
          stream.end();
          over(call.vanished ? status.CANCELLED : status.OK);
        },
        (error: unknown) => {
          const failure = this.#failure(error, method, call);
          stream.emit("error", failure);
          over(failure.code);
        },
      );
    };
  }

  /** Counts a call from now until what is returned is called with its status code. */
  opened(method: string): (code: status) => void {
    const started = performance.now();
    this.#active++;
    return (code) => {
      this.telemetry.rpc(method, code, (performance.now() - started) / 1_000);
      this.#active--;
      if (this.#active === 0) this.#idle?.();
    };
  }

  /** The status of what a handler of a stream threw. */
  statusOf(error: unknown, method: string): StatusObject {
    return statusOf(error, method, this.log);
  }

  /** Has `stopping` called when the server stops, unless what is returned is called before. */
  whenStopping(stopping: () => void): () => void {
    const controller = new AbortController();
    controller.signal.addEventListener("abort", stopping);
    this.#waiting.add(controller);
    return () => this.#waiting.delete(controller);
  }

  /** Ends every long poll and watch, and settles when no call is left. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const controller of this.#waiting) controller.abort();
    if (this.#active === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  async #run<Request, Response>(
    request: Request,
    call: Call,
    handler: Handler<Request, Response>,
  ): Promise<Response> {
    checkParsed(request);
    return await handler(request, call);
  }

  async #pump<Request, Response>(
    stream: ServerWritableStream<Request, Response>,
    call: Call,
    handler: (request: Request, call: Call) => AsyncIterable<Response>,
  ): Promise<void> {
    checkParsed(stream.request);
    for await (const message of handler(stream.request, call)) {
      if (call.vanished) return;
      if (!stream.write(message)) await drained(stream, call.gone);
    }
    if (this.#stopping && !call.vanished) throw draining();
  }

  #failure(error: unknown, method: string, call: Call): StatusObject {
    const abandoned = call.vanished && error instanceof Error && error.name === "AbortError";
    if (!abandoned) return this.statusOf(error, method);
    return { code: status.CANCELLED, details: "the caller has gone", metadata: new Metadata() };
  }
}

export function draining(): Refusal {
  return new Refusal("DRAINING", "this broker is stopping: call again, or another one", { retryAfter: 0 });
}

/** Settles when the caller has read enough for more to be written, or has gone. */
async function drained(stream: ServerWritableStream<unknown, unknown>, gone: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const settle = () => {
      stream.off("drain", settle);
      gone.removeEventListener("abort", settle);
      resolve();
    };
    if (gone.aborted) return resolve();
    stream.once("drain", settle);
    gone.addEventListener("abort", settle);
  });
}
