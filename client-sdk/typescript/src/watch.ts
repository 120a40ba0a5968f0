// Following one job. The stream may break as often as it likes: it is opened again, and tells what is new.

import { type Job, JobServiceService, type WatchResponse } from "@drover/proto/v1";
import { type ClientReadableStream, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Brokers, Connection } from "./brokers.js";
import { type CallError, fromServiceError } from "./errors.js";
import { hasEnded } from "./job.js";
import { isBrokerTrouble, retryWait } from "./retry.js";

// Streams too have a deadline, or one that hangs would hang for ever.
const STREAM = 10 * 60_000;
const PAUSE = 50;

/** The job now and after each change, the last time when it has ended. @throws CallError, the signal's reason */
export async function* watchJob(
  brokers: Brokers,
  id: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Job, void> {
  let last: Job | undefined;
  let tries = 0;
  for (;;) {
    signal?.throwIfAborted();
    const connection = brokers.current;
    const stream = open(connection, id, brokers.metadata);
    // Cancelling reports an error after the loop below has stopped listening.
    stream.on("error", () => {});
    const cancel = () => stream.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    let wait = PAUSE;
    try {
      for await (const { job } of stream) {
        if (job === undefined) continue;
        tries = 0;
        if (last === undefined || tellsMore(job, last)) yield job;
        if (hasEnded(job)) return;
        last = job;
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

function open({ client }: Connection, id: string, metadata: Metadata): ClientReadableStream<WatchResponse> {
  const { path, requestSerialize, responseDeserialize } = JobServiceService.watch;
  const options = { deadline: Date.now() + STREAM };
  return client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    { id },
    metadata,
    options,
  );
}

function waitAfter(error: CallError, tries: number): number {
  const wait = retryWait(error, tries, Math.random);
  if (wait === undefined) throw error;
  return wait;
}

/** A stream that was opened again begins with what the one before may have told. */
function tellsMore(job: Job, last: Job): boolean {
  return (
    job.revision !== last.revision ||
    job.state !== last.state ||
    job.attempt !== last.attempt ||
    job.cancelRequested !== last.cancelRequested ||
    job.progress?.reportedAt?.seconds !== last.progress?.reportedAt?.seconds ||
    job.progress?.reportedAt?.nanos !== last.progress?.reportedAt?.nanos
  );
}
