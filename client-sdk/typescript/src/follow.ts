// Following something by a stream of its own. The stream may break as often as it likes: it is opened again, and tells
// what is new.

import { setTimeout as elapse } from "node:timers/promises";
import { type ClientReadableStream, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Brokers, Connection } from "./brokers.js";
import { type Method, tryTimeout } from "./call.js";
import { fromServiceError } from "./call-errors.js";
import { type CallError, DeadlineExceededError } from "./errors.js";
import { isBrokerTrouble, retryWait } from "./retry.js";

// Streams too have a deadline, or one that hangs would hang for ever.
const STREAM = 10 * 60_000;
/** A broker begins a stream with what is so now: it has so long for that, in ms. */
const FIRST_ANSWER = 10_000;
const PAUSE = 50;
/** Default of FollowOptions.timeout, in ms, whatever the client's: a watch is to outlive a broker's restart. */
const TIMEOUT = 30_000;

export interface FollowRules<A, T> {
  readonly of: (answer: A) => T | undefined;
  readonly ended: (now: T) => boolean;
  /** A stream that was opened again begins with what the one before may have told. */
  readonly tellsMore: (now: T, last: T) => boolean;
}

export interface FollowOptions {
  /** How long it goes on while no broker answers, in ms: 30 s by default. Once one has answered, there is no limit to its
   *  silence: nothing may happen for days. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** What is followed, now and after each change, the last time when it has ended.
 *  @throws CallError, the signal's reason */
export async function* follow<Q, A, T>(
  brokers: Brokers,
  method: Method<Q, A>,
  request: Q,
  rules: FollowRules<A, T>,
  { timeout = TIMEOUT, signal }: FollowOptions,
): AsyncGenerator<T, void> {
  let last: T | undefined;
  let tries = 0;
  let giveUpAt = performance.now() + timeout;
  for (;;) {
    signal?.throwIfAborted();
    const connection = brokers.current;
    const stream = open(connection, method, request, brokers.metadata);
    // Cancelling reports an error after the loop below has stopped listening.
    stream.on("error", () => {});
    const cancel = () => stream.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    const patience = Math.min(FIRST_ANSWER, tryTimeout(Math.max(0, giveUpAt - performance.now())));
    let silent: CallError | undefined;
    const silence = setTimeout(() => {
      silent = noAnswer(patience);
      stream.cancel();
    }, patience);
    let failure: CallError | undefined;
    try {
      for await (const answer of stream) {
        clearTimeout(silence);
        giveUpAt = Number.POSITIVE_INFINITY;
        const now = rules.of(answer as A);
        if (now === undefined) continue;
        tries = 0;
        if (last === undefined || rules.tellsMore(now, last)) yield now;
        if (rules.ended(now)) return;
        last = now;
      }
    } catch (error) {
      signal?.throwIfAborted();
      failure = silent ?? fromServiceError(error as ServiceError);
      const old = failure.code === status.DEADLINE_EXCEEDED && silent === undefined;
      if (isBrokerTrouble(failure) && !old) brokers.failed(connection);
    } finally {
      clearTimeout(silence);
      signal?.removeEventListener("abort", cancel);
      stream.cancel();
    }
    // An answer has been there: the time counts from the loss of its stream.
    if (giveUpAt === Number.POSITIVE_INFINITY) giveUpAt = performance.now() + timeout;
    const wait = failure === undefined ? PAUSE : waitAfter(failure, ++tries);
    if (performance.now() + wait >= giveUpAt) throw failure ?? noAnswer(timeout);
    // An end by the signal is told above.
    await elapse(wait, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}

function open<Q, A>(
  { client }: Connection,
  { path, requestSerialize, responseDeserialize }: Method<Q, A>,
  request: Q,
  metadata: Metadata,
): ClientReadableStream<A> {
  const options = { deadline: Date.now() + STREAM };
  return client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    metadata,
    options,
  );
}

function waitAfter(error: CallError, tries: number): number {
  const wait = retryWait(error, tries, Math.random);
  if (wait === undefined) throw error;
  return wait;
}

function noAnswer(after: number): DeadlineExceededError {
  const details = { code: status.DEADLINE_EXCEEDED, reason: "DEADLINE_EXCEEDED" };
  return new DeadlineExceededError(`no answer within ${Math.round(after)} ms`, details);
}
