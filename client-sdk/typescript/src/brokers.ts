// The connections to the brokers. All brokers are alike: calls go to one of them until it fails, then to the next.

import { Ring } from "@drover/proto/sdk/addresses";
import { type ChannelCredentials, Client, type Metadata } from "@grpc/grpc-js";
import { SmallCalls } from "./small-calls.js";

export interface Connection {
  readonly address: string;
  readonly client: Client;
  /** Undefined: each call is to have metadata of its own. */
  readonly small: SmallCalls | undefined;
}

export class Brokers {
  readonly #ring: Ring;
  readonly #credentials: ChannelCredentials;
  readonly #open = new Map<string, Connection>();
  readonly #metadata: () => Metadata;

  /** `shared`: calls may share what `metadata` says. */
  constructor(
    addresses: readonly string[],
    credentials: ChannelCredentials,
    metadata: () => Metadata,
    readonly shared: boolean,
  ) {
    this.#ring = new Ring(addresses);
    this.#credentials = credentials;
    this.#metadata = metadata;
  }

  /** Of a call that is about to be made. */
  get metadata(): Metadata {
    return this.#metadata();
  }

  get current(): Connection {
    const address = this.#ring.current;
    let open = this.#open.get(address);
    if (open === undefined) {
      const client = new Client(address, this.#credentials, CHANNEL_OPTIONS);
      open = { address, client, small: this.shared ? new SmallCalls(client, this.#metadata) : undefined };
      this.#open.set(address, open);
    }
    return open;
  }

  /** The next call goes to another broker, unless one has been chosen since. */
  failed(connection: Connection): void {
    if (this.#ring.current === connection.address) this.#ring.next();
  }

  close(): void {
    for (const { client } of this.#open.values()) client.close();
    this.#open.clear();
  }
}

const CHANNEL_OPTIONS = {
  // The default is to come back to a broker that was away only after up to two minutes.
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.min_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 2_000,
  // A broker that vanished without closing its connections is noticed by calls that wait long.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  // HTTP/2's own 64 KB would have a large answer wait for both event loops, again and again; and many results may come in
  // one answer.
  "grpc-node.flow_control_window": 1024 * 1024,
  "grpc.max_receive_message_length": -1,
  // A proxy for web traffic would also be asked for 127.0.0.1.
  "grpc.enable_http_proxy": process.env.grpc_proxy ? 1 : 0,
};
