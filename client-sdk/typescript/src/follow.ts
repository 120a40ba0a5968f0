// Following something by a stream of its own. The stream may break as often as it likes: it is opened again, and tells
// what is new.

import { type ClientReadableStream, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Brokers, Connection } from "./brokers.js";
import type { Method } from "./call.js";
import { fromServiceError } from "./call-errors.js";
import type { CallError } from "./errors.js";
import { isBrokerTrouble, retryWait } from "./retry.js";

// Streams too have a deadline, or one that hangs would hang for ever.
const STREAM = 10 * 60_000;
const PAUSE = 50;

export interface FollowRules<A, T> {
  readonly of: (answer: A) => T | undefined;
  readonly ended: (now: T) => boolean;
  /** A stream that was opened again begins with what the one before may have told. */
  readonly tellsMore: (now: T, last: T) => boolean;
}

/** What is followed, now and after each change, the last time when it has ended.
 *  @throws CallError, the signal's reason */
export async function* follow<Q, A, T>(
  brokers: Brokers,
  method: Method<Q, A>,
  request: Q,
  rules: FollowRules<A, T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  let last: T | undefined;
  let tries = 0;
  for (;;) {
    signal?.throwIfAborted();
    const connection = brokers.current;
    const stream = open(connection, method, request, brokers.metadata);
    // Cancelling reports an error after the loop below has stopped listening.
    stream.on("error", () => {});
    const cancel = () => stream.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    let wait = PAUSE;
    try {
      for await (const answer of stream) {
        const now = rules.of(answer as A);
        if (now === undefined) continue;
        tries = 0;
        if (last === undefined || rules.tellsMore(now, last)) yield now;
        if (rules.ended(now)) return;
        last = now;
      }
    } catch (error) {
      signal?.throwIfAborted();
      const callError = fromServiceError(error as ServiceError);
      if (isBrokerTrouble(callError) && callError.code !== status.DEADLINE_EXCEEDED)
        brokers.failed(connection);
      wait = waitAfter(callError, ++tries);
    } finally {
      signal?.removeEventListener("abort", cancel);
      stream.cancel();
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
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
