// A caller who has nothing but the .proto files: no SDK, no generated code. What it can do, every language can.

import { fileURLToPath } from "node:url";
import { BadRequest, ErrorInfo, RetryInfo, Status } from "@drover/proto/rpc";
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";

const protos = fileURLToPath(new URL("../../proto", import.meta.url));
const services = ["job", "worker", "queue", "flow", "schedule", "inspect"].map(
  (name) => `drover/v1/${name}_service.proto`,
);
const contract = loadSync(services, {
  includeDirs: [protos],
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

export type Message = { [field: string]: unknown };
type Method = MethodDefinition<Message, Message>;

/** What a refused call tells. */
export interface Refused {
  code: string;
  message: string;
  reason: string;
  domain: string;
  /** Of BadRequest. */
  fields: string[];
  /** Of RetryInfo, in ms; undefined when there is none. */
  retryAfter: number | undefined;
}

/** Every method of the contract, as `JobService/Submit`, with whether it streams. */
export const methods = Object.entries(contract).flatMap(([name, service]) =>
  isService(service)
    ? Object.entries(service).map(([method, { requestStream, responseStream }]) => ({
        name: `${name.replace("drover.v1.", "")}/${method}`,
        requestStream,
        responseStream,
      }))
    : [],
);

export class Stranger {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      // Tests that kill brokers want a new connection, not an old one's back-off.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_reconnect_backoff_ms": 500,
      "grpc.max_receive_message_length": -1,
    });
  }

  /** A unary call. @throws ServiceError */
  call(method: string, request: Message = {}, { metadata = {}, deadline = 30_000 } = {}): Promise<Message> {
    const { path, requestSerialize, responseDeserialize } = find(method);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        Metadata.fromHttp2Headers(metadata),
        { deadline: Date.now() + deadline },
        (error, response) => (error === null ? resolve(response ?? {}) : reject(error)),
      );
    });
  }

  /** A unary call of these bytes, whatever they are. @throws ServiceError */
  send(method: string, bytes: Buffer): Promise<Buffer> {
    const same = (value: Buffer) => value;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(find(method).path, same, same, bytes, (error, response) =>
        error === null ? resolve(response ?? Buffer.alloc(0)) : reject(error),
      );
    });
  }

  /** What a call is refused with, whether one message answers it or a stream. @throws Error when it is not */
  async refused(method: string, request: Message, metadata: Record<string, string> = {}): Promise<Refused> {
    const { responseStream } = find(method);
    const answered = responseStream ? this.#first(method, request) : this.call(method, request, { metadata });
    return answered.then((answer) => {
      throw new Error(`${method} took it: ${JSON.stringify(answer)}`);
    }, refusalOf);
  }

  /** The first message of a stream. @throws ServiceError */
  #first(method: string, request: Message): Promise<Message> {
    return new Promise((resolve, reject) => {
      this.stream(method, request).on("error", reject).on("data", resolve);
    });
  }

  /** A call that is answered by a stream. */
  stream(method: string, request: Message): ClientReadableStream<Message> {
    const { path, requestSerialize, responseDeserialize } = find(method);
    return this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
  }

  work(): WorkCall {
    const { path, requestSerialize, responseDeserialize } = find("WorkerService/Work");
    return new WorkCall(
      this.#client.makeBidiStreamRequest(
        path,
        (message: Message | Buffer) => (Buffer.isBuffer(message) ? message : requestSerialize(message)),
        responseDeserialize,
      ),
    );
  }

  /** A stream of small calls. */
  calls(): ClientDuplexStream<Message, Message> {
    const { path, requestSerialize, responseDeserialize } = find("JobService/Call");
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  }

  close(): void {
    this.#client.close();
  }
}

/** A Work stream, read message by message. */
export class WorkCall {
  readonly #said: Message[] = [];
  #wake: () => void = () => undefined;
  /** How the stream ended; pending while it has not. */
  readonly ended: Promise<Refused>;

  constructor(readonly stream: ClientDuplexStream<Message | Buffer, Message>) {
    stream.on("data", (message: Message) => {
      this.#said.push(message);
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      stream.on("error", (error: ServiceError) => resolve(refusalOf(error)));
      stream.on("status", ({ code, details }) => {
        if (code === status.OK) resolve({ ...nothingSaid, code: "OK", message: details });
      });
    });
  }

  /** A worker that runs one task, attached. */
  attach(fields: Message = {}): this {
    return this.say({
      attach: {
        worker: "stranger:1",
        instance: `i${Math.random().toString(36).slice(2)}`,
        tasks: [{ task: "t" }],
        credit: { jobs: 10 },
        ...fields,
      },
    });
  }

  /** A message, or the bytes of what may be none. */
  say(message: Message | Buffer): this {
    this.stream.write(message);
    return this;
  }

  /** The next message of this kind; others before it are dropped. @throws Error when it does not come in time */
  async hear(kind: string, within = 30_000): Promise<Message> {
    const deadline = Date.now() + within;
    for (;;) {
      const at = this.#said.findIndex(({ message }) => message === kind);
      if (at >= 0) return (this.#said.splice(0, at + 1).at(-1) as Message)[kind] as Message;
      if (Date.now() > deadline) throw new Error(`the broker did not say ${kind} within ${within} ms`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 100);
      });
    }
  }
}

const nothingSaid: Refused = {
  code: "",
  message: "",
  reason: "",
  domain: "",
  fields: [],
  retryAfter: undefined,
};

/** What a failed call tells, with the details of google.rpc.Status that came beside it. */
export function refusalOf(error: ServiceError): Refused {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const details = Buffer.isBuffer(bytes) ? Status.decode(bytes).details : [];
  const find = (name: string) =>
    details.find(({ typeUrl }) => typeUrl.endsWith(`/google.rpc.${name}`))?.value;
  const [info, bad, retry] = [find("ErrorInfo"), find("BadRequest"), find("RetryInfo")];
  const { reason, domain } = info === undefined ? nothingSaid : ErrorInfo.decode(info);
  const delay = retry && RetryInfo.decode(retry).retryDelay;
  return {
    code: status[error.code] ?? String(error.code),
    message: error.details,
    reason,
    domain,
    fields: bad === undefined ? [] : BadRequest.decode(bad).fieldViolations.map(({ field }) => field),
    retryAfter: delay && delay.seconds * 1_000 + delay.nanos / 1e6,
  };
}

function find(name: string): Method {
  const [service = "", method = ""] = name.split("/");
  const definition = contract[`drover.v1.${service}`];
  const found = definition !== undefined && isService(definition) ? definition[method] : undefined;
  if (found === undefined) throw new Error(`the contract has no ${name}`);
  return found as Method;
}

function isService(definition: object): definition is ServiceDefinition {
  return !("format" in definition);
}
