// What travels as a job's payload or result. Everything is JSON unless it says otherwise: bytes inside a JSON value
// become base64, dates RFC 3339 and bigints integers, so that a worker in another language reads the same thing.

import type { Payload } from "@drover/proto/v1";
import { jsonText, parseJson } from "./json-text.js";

export const JSON_TYPE = "application/json";
export const BYTES_TYPE = "application/octet-stream";

/** Bytes with a media type of their own, which pass through untouched. */
export class RawPayload {
  constructor(
    readonly data: Uint8Array,
    readonly contentType: string = BYTES_TYPE,
  ) {}
}

/** The value cannot become a payload, or a payload cannot be read. */
export class PayloadError extends Error {
  override readonly name = "PayloadError";
}

const NULL = Buffer.from("null");

/** The value as it travels. A Uint8Array on its own is `application/octet-stream`; anything else is JSON, and
 *  undefined is null. @throws PayloadError for what JSON cannot hold (a cycle). */
export function encode(value: unknown): Payload {
  if (value === undefined || value === null) return { data: NULL, contentType: "" };
  if (value instanceof RawPayload) return { data: value.data, contentType: value.contentType };
  if (value instanceof Uint8Array) return { data: value, contentType: BYTES_TYPE };
  return { data: encodeJson(value), contentType: "" };
}

/** @throws PayloadError for what JSON cannot hold (a cycle). */
export function encodeJson(value: unknown): Buffer {
  let text: string | undefined;
  try {
    text = jsonText(value);
    if (holdsBytes(value)) text = jsonText(value, bytesAsBase64);
  } catch (error) {
    throw new PayloadError(`not a JSON value: ${(error as Error).message}`, { cause: error });
  }
  // A function or a symbol has no JSON; what has none is null, as it is inside an array.
  return text === undefined ? NULL : Buffer.from(text);
}

/** A JSON value, or the bytes of any other content type. Nothing at all is null. @throws PayloadError */
export function decode(payload: Payload | undefined): unknown {
  if (payload === undefined) return null;
  if (!isJson(payload.contentType)) return payload.data;
  if (payload.data.length === 0) return null;
  try {
    return parseJson(text(payload.data));
  } catch (error) {
    throw new PayloadError(`the payload is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

export function isJson(contentType: string): boolean {
  if (contentType === "") return true;
  const mediaType = contentType.split(";", 1)[0] ?? "";
  return mediaType.trim().toLowerCase() === JSON_TYPE;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** A replacer makes JSON.stringify several times slower, so it is used only where there are bytes to replace. The value
 *  has been through JSON.stringify: it has no cycle, except behind a toJSON. */
function holdsBytes(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Uint8Array) return true;
  if (Array.isArray(value)) return value.some(holdsBytes);
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return false;
  for (const name in value) {
    if (holdsBytes((value as Record<string, unknown>)[name])) return true;
  }
  return false;
}

function bytesAsBase64(this: unknown, name: string, value: unknown): unknown {
  // Buffer has a toJSON of its own that has run by now: look at what stood there before.
  const original = (this as Record<string, unknown>)[name];
  if (!(original instanceof Uint8Array)) return value;
  return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString("base64");
}
