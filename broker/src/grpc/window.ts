// How much a caller may send before the broker has read it. HTTP/2 says 64 KB unless told otherwise: less than one batch of
// outcomes or submits, each of whose 64 KB then waited for both sides' event loops to come round.

import type { Http2Server } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/** Bytes, of each call and of each connection. As much as other servers of gRPC give. */
const window = 1024 * 1024;

/** To be called once the server is bound. grpc-js has an option for clients only [grpc/grpc-node#3058]: until servers have
 *  it, what it would set is set here. Where it cannot be, all works as before, but slower. */
export function widen(server: Server): void {
  // biome-ignore lint/complexity/useLiteralKeys: only so may a private member be read
  const http2Servers: ReadonlyMap<Http2Server, unknown> | undefined = server["http2Servers"];
  for (const http2 of http2Servers?.keys() ?? []) {
    http2.on("session", (session) => {
      session.settings({ initialWindowSize: window });
      session.setLocalWindowSize(window);
    });
  }
}
