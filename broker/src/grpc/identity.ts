// Who calls, and for which namespace: settled once per call, before any handler runs. Authentication will go here too;
// handlers never look at metadata.

import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import { quote } from "../core/check.js";
import { Refusal } from "../core/errors.js";
import { statusOfRefusal } from "./status.js";

export interface Caller {
  /** `address:port` of the connection. */
  peer: string;
  /** What the caller says it is called (metadata `drover-caller`), for people; empty = unsaid. */
  name: string;
  namespace: string;
}

const callers = new WeakMap<Metadata, Caller>();
const longestName = 128;

/** The caller that `identify` found for a call with this metadata. */
export function callerOf(metadata: Metadata): Caller {
  const caller = callers.get(metadata);
  if (caller === undefined) throw new Error("a call passed the identity interceptor by");
  return caller;
}

/** Lets calls through that name this namespace, or none; others get NAMESPACE_NOT_FOUND. Health and reflection are the
 *  server's, not a namespace's. */
export function identify(namespace: string): ServerInterceptor {
  return (method, call) => {
    if (!method.path.startsWith("/drover.")) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            const wanted = first(metadata, "drover-namespace") || namespace;
            if (wanted !== namespace) return refuse(call, wanted);
            const name = first(metadata, "drover-caller").slice(0, longestName);
            callers.set(metadata, { peer: call.getPeer(), name, namespace });
            pass(metadata);
          },
        }),
    });
  };
}

function first(metadata: Metadata, key: string): string {
  const value = metadata.get(key)[0];
  return typeof value === "string" ? value : "";
}

function refuse(call: ServerInterceptingCallInterface, namespace: string): void {
  const message = `this broker does not serve the namespace ${quote(namespace)}: call another one, or leave drover-namespace out`;
  call.sendStatus(statusOfRefusal(new Refusal("NAMESPACE_NOT_FOUND", message)));
}
