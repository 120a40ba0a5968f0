// All routes of the namespace, one message.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import type { Routes, StoredRoutes } from "../app/queue-ports.js";
import { type SharedCodec, SharedMessage } from "./shared-message.js";
import { storage } from "./storage-proto.js";
import type { Subjects } from "./subjects.js";

const codec: SharedCodec<StoredRoutes> = {
  decode: (data) => storage.Routes.decode(data ?? new Uint8Array(0)),
  encode: ({ routes, changedAt }) => storage.Routes.encode({ routes: [...routes], changedAt }).finish(),
};

export class RouteStore implements Routes {
  readonly #message: SharedMessage<StoredRoutes>;

  constructor(nc: NatsConnection, jsm: JetStreamManager, subjects: Subjects) {
    this.#message = new SharedMessage(nc, jsm, subjects.stream(0), subjects.routes(), codec);
  }

  async read(): Promise<StoredRoutes> {
    return (await this.#message.read()) ?? codec.decode(undefined);
  }

  update(change: (current: StoredRoutes) => StoredRoutes): Promise<StoredRoutes> {
    return this.#message.update(change);
  }
}
