// One unary call, with a deadline and the errors of this package; tried again at another broker where that is safe.

import { type MethodDefinition, type ServiceError, status } from "@grpc/grpc-js";
import type { Brokers } from "./brokers.js";
import { fromServiceError } from "./call-errors.js";
import type { CallError } from "./errors.js";
import { isBrokerTrouble, retryWait, told } from "./retry.js";

/** A unary method as the generated service names it. */
export type Method<Q, A> = Pick<MethodDefinition<Q, A>, "path" | "requestSerialize" | "responseDeserialize">;

export interface CallOptions {
  /** Until an answer, retries included, in ms. */
  readonly timeout?: number;
}

export interface Attempt<A> {
  readonly answer: Promise<A>;
  cancel(): void;
}

/** One try. Its error says whether the broker is to blame, in which case the next call goes to another one. */
export function attempt<Q, A>(
  brokers: Brokers,
  method: Method<Q, A>,
  request: Q,
  timeout: number,
): Attempt<A> {
  const connection = brokers.current;
  const deadline = Date.now() + timeout;
  let giveUp: (() => void) | undefined;
  let cancelled = false;
  const answer = new Promise<A>((resolve, reject) => {
    const done = (error: ServiceError | null, value?: A) => {
      if (error === null) return resolve(value as A);
      const callError = fromServiceError(error);
      if (!cancelled && isBrokerTrouble(callError)) brokers.failed(connection);
      reject(callError);
    };
    const alone = () => {
      const { path, requestSerialize, responseDeserialize } = method;
      const call = connection.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        brokers.metadata,
        { deadline },
        done,
      );
      giveUp = () => call.cancel();
    };
    const { small } = connection;
    const shared = small?.requestOf(method, request);
    if (small === undefined || shared === undefined) return alone();
    giveUp = small.call(shared, timeout, (error, value) => {
      // A broker of an earlier version, or a proxy that lets no such stream through.
      if (error?.code === status.UNIMPLEMENTED && !cancelled) alone();
      else done(error, value as A);
    });
  });
  return {
    answer,
    cancel: () => {
      cancelled = true;
      giveUp?.();
    },
  };
}

const SHORTEST_TRY = 1_000;

/** What one try may take of the time that is left: half of it, so that a broker that hangs leaves time for another. */
export function tryTimeout(left: number): number {
  return Math.min(left, Math.max(SHORTEST_TRY, left / 2));
}

export class Caller {
  constructor(
    readonly brokers: Brokers,
    /** Default of the timeout, in ms. */
    readonly timeout: number,
  ) {}

  /** Tries until there is an answer or the time is over. @throws CallError, of the last try that tells why. */
  async call<Q, A>(
    method: Method<Q, A>,
    request: Q,
    { timeout = this.timeout }: CallOptions = {},
  ): Promise<A> {
    const end = performance.now() + timeout;
    let before: CallError | undefined;
    for (let tries = 1; ; tries++) {
      try {
        return await attempt(this.brokers, method, request, tryTimeout(end - performance.now())).answer;
      } catch (error) {
        const failed = error as CallError;
        const wait = retryWait(failed, tries, Math.random);
        if (wait === undefined || performance.now() + wait >= end) throw told(failed, before);
        before = told(failed, before);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  /** For what must not happen twice: one try. @throws CallError */
  once<Q, A>(method: Method<Q, A>, request: Q, { timeout = this.timeout }: CallOptions = {}): Promise<A> {
    return attempt(this.brokers, method, request, timeout).answer;
  }
}
