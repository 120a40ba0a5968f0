// Payloads as they are written on a command line.

import { parseJson } from "@drover/proto/sdk/json-text";
import { RawPayload } from "@drover/proto/sdk/payload";
import { usage } from "./exit.js";
import type { Io } from "./io.js";
import { readAll } from "./session.js";

/** JSON, `@FILE` or `-` for standard input; bytes of another kind where a content type is named. */
export async function payloadOf(
  io: Io,
  payload: string | undefined,
  contentType: string | undefined,
): Promise<unknown> {
  if (payload === undefined)
    return contentType === undefined ? null : new RawPayload(Buffer.alloc(0), contentType);
  const file = payload === "-" ? "-" : payload.startsWith("@") ? payload.slice(1) : undefined;
  const bytes = file === undefined ? Buffer.from(payload) : await readAll(io, file);
  return contentType === undefined
    ? parsed(bytes.toString(), "the payload")
    : new RawPayload(bytes, contentType);
}

/** JSON, or a usage error that says what is wrong with it. */
export function parsed(text: string, what: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    const hint = 'quote it for the shell, as in \'{"name": "Ada"}\', or pass bytes with --content-type';
    throw usage(`${what} is not JSON (${(error as Error).message}): ${hint}`);
  }
}
