// Says to a broker that runs go on. Loaded by the thread that keeps vigil only once it has something to say.

import { channelOf } from "@drover/proto/sdk/access";
import { toDuration } from "@drover/proto/sdk/time";
import { type ExtendRequest, WorkerServiceClient } from "@drover/proto/v1/worker_service";
import { Metadata } from "@grpc/grpc-js";
import { CHANNEL_OPTIONS } from "./session.js";
import type { Watch } from "./watch.js";

/** The contract's limit. */
const EXTENDED_AT_ONCE = 1_000;
/** For an answer, at least, in ms. */
const SHORTEST_CALL = 1_000;

export class Voucher {
  readonly #watch: Watch;
  readonly #metadata = new Metadata();
  /** Which of the addresses: the session's broker, until it fails. */
  #at = 0;
  #client: WorkerServiceClient | undefined;

  constructor(watch: Watch) {
    this.#watch = watch;
    for (const [name, value] of Object.entries(watch.metadata)) this.#metadata.set(name, value);
  }

  /** For as long as a session may be silent. Never rejects: after a call that failed the next one goes to the next
   *  broker. */
  async vouch(tokens: readonly string[]): Promise<void> {
    const duration = toDuration(this.#watch.silence);
    for (let from = 0; from < tokens.length; from += EXTENDED_AT_ONCE) {
      const some = tokens.slice(from, from + EXTENDED_AT_ONCE);
      await this.#extend({ leases: some.map((token) => ({ token, duration, progress: undefined })) });
    }
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #extend(request: ExtendRequest): Promise<void> {
    const { addresses, silence } = this.#watch;
    const address = addresses[this.#at % addresses.length] as string;
    this.#client ??= new WorkerServiceClient(address, channelOf(this.#watch), CHANNEL_OPTIONS);
    const client = this.#client;
    const deadline = Date.now() + Math.max(SHORTEST_CALL, silence / 4);
    return new Promise((resolve) => {
      client.extend(request, this.#metadata, { deadline }, (error) => {
        if (error !== null) {
          this.#at++;
          this.close();
        }
        resolve();
      });
    });
  }
}
