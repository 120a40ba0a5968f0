// The one answer of a call and its status leave in one write. grpc-js says the status only once the message is written:
// two writes for every call, with a turn of the event loop between them, and a client acts on the status alone.

import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

class OneWrite extends ServerInterceptingCall {
  /** What cannot be sent ends the call with a status of its own, after which grpc-js drops this one. */
  override sendMessage(message: unknown, sent: () => void): void {
    super.sendMessage(message, () => undefined);
    sent();
  }
}

/** Not for streams: there the callback is what tells how much the client has read. */
export const inOneWrite: ServerInterceptor = (method, call) =>
  method.responseStream ? new ServerInterceptingCall(call) : new OneWrite(call);
