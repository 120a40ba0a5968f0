// A broker of a later version in front of the real one: everything it says to workers has fields, messages and enum
// values that today's contract does not know. Workers of today have to get along with it.

import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { type CancelReason, Lease, WorkResponse } from "@drover/proto/v1";
import {
  Client,
  credentials,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from "@grpc/grpc-js";

const same = (bytes: Buffer) => bytes;
const work: MethodDefinition<Buffer, Buffer> = {
  path: "/drover.v1.WorkerService/Work",
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

const unknownNumber = 15_000;
const bytesField = 2;

export class LaterBroker {
  private constructor(
    readonly address: string,
    private readonly server: Server,
    private readonly client: Client,
  ) {}

  /** In front of the broker at `address`, for workers' sessions only. */
  static async inFrontOf(address: string): Promise<LaterBroker> {
    const client = new Client(address, credentials.createInsecure());
    const server = new Server();
    server.addService({ work }, { work: (call: ServerDuplexStream<Buffer, Buffer>) => relay(call, client) });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    return new LaterBroker(`127.0.0.1:${port}`, server, client);
  }

  close(): void {
    this.server.forceShutdown();
    this.client.close();
  }
}

function relay(near: ServerDuplexStream<Buffer, Buffer>, client: Client): void {
  const far = client.makeBidiStreamRequest(work.path, same, same);
  near.on("data", (bytes: Buffer) => far.write(bytes));
  near.on("end", () => far.end());
  near.on("cancelled", () => far.cancel());
  far.on("data", (bytes: Buffer) => {
    near.write(ofLaterVersion(bytes));
    // A kind of message that nobody knows yet.
    near.write(unknownField());
  });
  far.on("end", () => near.end());
  far.on("error", (error) => near.destroy(error));
}

function ofLaterVersion(bytes: Buffer): Buffer {
  const { message } = WorkResponse.decode(bytes);
  if (message?.$case === "leases") {
    const leases = new BinaryWriter();
    for (const lease of message.value.leases)
      leases.uint32(tag(1)).bytes(Buffer.concat([Lease.encode(lease).finish(), unknownField()]));
    const whole = new BinaryWriter().uint32(tag(2)).bytes(Buffer.concat([leases.finish(), unknownField()]));
    return Buffer.from(whole.finish());
  }
  if (message?.$case === "cancel") {
    for (const cancelled of message.value.leases) cancelled.reason = 99 as CancelReason;
    return Buffer.concat([WorkResponse.encode({ message }).finish(), unknownField()]);
  }
  return Buffer.concat([bytes, unknownField()]);
}

function unknownField(): Buffer {
  return Buffer.from(new BinaryWriter().uint32(tag(unknownNumber)).string("of a later version").finish());
}

const tag = (number: number) => (number << 3) | bytesField;
