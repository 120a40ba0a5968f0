// One Work stream, from attach to its end. It answers pings and watches over silence by itself; everything else goes to
// whoever opened it.

import { toMillis } from "@drover/proto/sdk/time";
import {
  type Attach,
  type Attached,
  WorkerServiceClient,
  type WorkRequest,
  type WorkResponse,
} from "@drover/proto/v1/worker_service";
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  type Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { SessionError, sessionError } from "./session-error.js";

export interface SessionEvents {
  /** Called before any other message is, so that what follows finds its leases by their new names. */
  readonly attached: (session: Session, attached: Attached) => void;
  /** Leases, settled outcomes, cancellations. */
  readonly message: (session: Session, message: Incoming) => void;
}

export type Incoming = Extract<
  NonNullable<WorkResponse["message"]>,
  { $case: "leases" | "settled" | "cancel" }
>;
export type Outgoing = NonNullable<WorkRequest["message"]>;

export interface SessionOptions {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Of a session that is about to begin. */
  readonly metadata: () => Metadata;
  /** Time for connecting and attaching, in ms. */
  readonly attachTimeout: number;
}

export const DEFAULT_SILENCE = 15_000;
const SILENCE_CHECK = 1_000;
const PONG: Outgoing = { $case: "pong", value: {} };

export class Session {
  readonly address: string;
  /** The broker's answer to the attach. @throws SessionError */
  readonly attached: Promise<Attached>;
  /** Resolves, never rejects, once the stream is over: with its error, or undefined when the broker simply ended it. */
  readonly closed: Promise<SessionError | undefined>;
  /** Resolves when the broker says that it stops. */
  readonly drained: Promise<void>;
  readonly #client: WorkerServiceClient;
  readonly #stream: ClientDuplexStream<WorkRequest, WorkResponse>;
  readonly #events: SessionEvents;
  #resolveAttached!: (attached: Attached) => void;
  #rejectAttached!: (error: SessionError) => void;
  #resolveClosed!: (error: SessionError | undefined) => void;
  #resolveDrained!: () => void;
  #timer: NodeJS.Timeout;
  #silence = DEFAULT_SILENCE;
  #lastHeard = performance.now();
  #attachedAt: number | undefined;
  #draining = false;
  #over = false;

  constructor(options: SessionOptions, attach: Attach, events: SessionEvents) {
    this.address = options.address;
    this.#events = events;
    this.attached = new Promise((resolve, reject) => {
      this.#resolveAttached = resolve;
      this.#rejectAttached = reject;
    });
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.drained = new Promise((resolve) => {
      this.#resolveDrained = resolve;
    });
    // Whoever opened the session may have stopped listening.
    this.attached.catch(() => {});
    this.#timer = setTimeout(() => this.#fail("no answer to the attach"), options.attachTimeout);
    this.#client = new WorkerServiceClient(options.address, options.credentials, CHANNEL_OPTIONS);
    this.#stream = this.#client.work(options.metadata());
    this.#stream.on("data", (response: WorkResponse) => this.#receive(response));
    this.#stream.on("error", (error: ServiceError) => this.#finish(sessionError(error)));
    this.#stream.on("status", () => this.#finish(undefined));
    this.send({ $case: "attach", value: attach });
  }

  /** How long it has been attached, in ms. */
  get lived(): number {
    return this.#attachedAt === undefined ? 0 : performance.now() - this.#attachedAt;
  }

  /** Its broker stops. */
  get isDraining(): boolean {
    return this.#draining;
  }

  send(message: Outgoing): void {
    if (!this.#over) this.#stream.write({ message });
  }

  /** Says that nothing more comes, and waits for the broker to end the stream: at most `patience` ms. */
  async end(patience: number): Promise<void> {
    if (this.#over) return;
    this.#stream.end();
    const timer = setTimeout(() => this.close(), patience);
    await this.closed;
    clearTimeout(timer);
  }

  /** Ends the stream at once. */
  close(): void {
    this.#fail("closed by the worker", status.CANCELLED);
  }

  #receive({ message }: WorkResponse): void {
    this.#lastHeard = performance.now();
    if (message === undefined || this.#over) return;
    switch (message.$case) {
      case "ping":
        return this.send(PONG);
      case "attached":
        return this.#becomeAttached(message.value);
      case "drain":
        this.#draining = true;
        return this.#resolveDrained();
      default:
        return this.#events.message(this, message);
    }
  }

  #becomeAttached(attached: Attached): void {
    if (this.#attachedAt !== undefined) return;
    this.#attachedAt = performance.now();
    this.#silence = toMillis(attached.sessionTimeout) || DEFAULT_SILENCE;
    clearTimeout(this.#timer);
    this.#timer = setInterval(() => this.#checkSilence(), Math.min(SILENCE_CHECK, this.#silence / 3));
    this.#events.attached(this, attached);
    this.#resolveAttached(attached);
  }

  #checkSilence(): void {
    if (!this.#isSilent()) return;
    // A handler may have kept the event loop busy for that long: what has arrived meanwhile is read first.
    setImmediate(() => {
      if (this.#isSilent())
        this.#fail(`nothing heard from the broker for ${Math.round(this.#silence / 1000)} s`);
    });
  }

  #isSilent(): boolean {
    return performance.now() - this.#lastHeard > this.#silence;
  }

  #fail(message: string, code: status = status.UNAVAILABLE): void {
    if (this.#over) return;
    this.#finish(new SessionError(message, code));
    this.#stream.cancel();
  }

  #finish(error: SessionError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#client.close();
    this.#rejectAttached(error ?? new SessionError("the broker ended the stream", status.UNAVAILABLE));
    this.#resolveClosed(error);
  }
}

export const CHANNEL_OPTIONS = {
  // A session that comes back needs a connection of its own, not the broken one: behind one address may be several
  // brokers.
  "grpc.use_local_subchannel_pool": 1,
  // The broker decides how large a batch of leases is; of HTTP/2's own 64 KB only some 130 would be under way.
  "grpc-node.flow_control_window": 1024 * 1024,
  "grpc.max_receive_message_length": -1,
  // A proxy for web traffic would also be asked for 127.0.0.1.
  "grpc.enable_http_proxy": process.env.grpc_proxy ? 1 : 0,
};
