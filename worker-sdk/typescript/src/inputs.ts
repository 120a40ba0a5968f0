// What the members of a flow came to that a job depends on. They travel with its lease as long as they are small together;
// beyond that they are read in pages, when the handler asks for them.

import { Ring } from "@drover/proto/sdk/addresses";
import { decode } from "@drover/proto/sdk/payload";
import type { FlowServiceClient, Input, InputsResponse, Lease } from "@drover/proto/v1";
import { JobState, FailureReason as WireFailureReason } from "@drover/proto/v1/job";
import { type ChannelCredentials, type Metadata, type ServiceError, status } from "@grpc/grpc-js";

export interface FlowInput {
  readonly jobId: string;
  /** FAILED or CANCELLED only where the flow goes on all the same. */
  readonly state: "SUCCEEDED" | "FAILED" | "CANCELLED";
  /** A JSON value, or bytes of another content type; undefined unless SUCCEEDED. */
  readonly result: unknown;
  /** Once FAILED: reason (ERROR, PERMANENT ...), type and message of its error. */
  readonly failure:
    | { readonly reason: string; readonly type: string; readonly message: string; readonly stack: string }
    | undefined;
}

const PAGE_TIMEOUT = 10_000;
/** Tries of a page, each at the next broker, and the longest wait between two, in ms. */
const TRIES = 8;
const LONGEST_WAIT = 1_000;
const FIRST_WAIT = 50;

export class Inputs {
  readonly #ring: Ring;
  readonly #credentials: ChannelCredentials;
  readonly #metadata: () => Metadata;
  #client: FlowServiceClient | undefined;

  constructor(addresses: readonly string[], credentials: ChannelCredentials, metadata: () => Metadata) {
    this.#ring = new Ring(addresses);
    this.#credentials = credentials;
    this.#metadata = metadata;
  }

  /** In the order in which the flow named them; none for a job that depends on nothing. @throws ServiceError */
  async of({ jobId, inputs, inputCount }: Lease): Promise<readonly FlowInput[]> {
    if (inputs.length >= inputCount) return inputs.map(inputOf);
    const found: FlowInput[] = [];
    let firstInput = 0;
    do {
      const page = await this.#page(jobId, firstInput);
      found.push(...page.inputs.map(inputOf));
      firstInput = page.nextInput;
    } while (firstInput > 0);
    return found;
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  async #page(jobId: string, firstInput: number): Promise<InputsResponse> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#ask(jobId, firstInput);
      } catch (error) {
        const { code } = error as ServiceError;
        const passing = code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED;
        if (!passing || tries === TRIES) throw error;
        this.close();
        this.#ring.next();
        const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** tries);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  async #ask(jobId: string, firstInput: number): Promise<InputsResponse> {
    // Few workers ever ask: their start does not wait for what they ask with.
    const { FlowServiceClient } = await import("@drover/proto/v1/flow_service");
    this.#client ??= new FlowServiceClient(this.#ring.current, this.#credentials);
    const client = this.#client;
    return new Promise((resolve, reject) => {
      const request = { jobId, firstInput, maxInputs: 0 };
      const options = { deadline: Date.now() + PAGE_TIMEOUT };
      client.inputs(request, this.#metadata(), options, (error, page) =>
        error === null ? resolve(page) : reject(error),
      );
    });
  }
}

function inputOf({ jobId, state, result, failure }: Input): FlowInput {
  const succeeded = state === JobState.JOB_STATE_SUCCEEDED;
  return {
    jobId,
    state: succeeded ? "SUCCEEDED" : state === JobState.JOB_STATE_FAILED ? "FAILED" : "CANCELLED",
    result: succeeded ? decode(result) : undefined,
    failure: failure && {
      reason: WireFailureReason[failure.reason]?.slice("FAILURE_REASON_".length) ?? "UNSPECIFIED",
      type: failure.type,
      message: failure.message,
      stack: failure.stack,
    },
  };
}
