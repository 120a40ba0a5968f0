// How a broker is spoken to: plain or over TLS, and with what in the metadata of each call.

import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials, Metadata } from "@grpc/grpc-js";

/** Paths of files in PEM. Without `ca` Node's own list of authorities counts; `cert` and `key` are shown to a broker that
 *  asks for them. */
export interface TlsFiles {
  readonly ca?: string | URL;
  readonly cert?: string | URL;
  readonly key?: string | URL;
}

/** What each call carries, for example a token. A function is asked anew for each call and each session; it must not
 *  block. */
export type CallMetadata = Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>);

export interface AccessOptions {
  /** Default: without TLS. */
  readonly tls?: boolean | TlsFiles;
  readonly metadata?: CallMetadata;
  /** The broker's own by default. */
  readonly namespace?: string;
  /** Instead of `tls`: whatever grpc-js can make. */
  readonly credentials?: ChannelCredentials;
}

/** @throws RangeError for one of cert and key without the other; the file system's error for a file that is not there */
export function channelOf({ tls = false, credentials: own }: AccessOptions): ChannelCredentials {
  if (own !== undefined) return own;
  if (tls === false) return credentials.createInsecure();
  const { ca, cert, key } = tls === true ? {} : tls;
  if ((cert === undefined) !== (key === undefined))
    throw new RangeError("tls: cert and key are given together or not at all");
  return credentials.createSsl(read(ca), read(key), read(cert));
}

/** Of one call, just now. */
export function metadataOf({ metadata, namespace }: AccessOptions): Metadata {
  const made = new Metadata();
  if (namespace !== undefined) made.set("drover-namespace", namespace);
  const said = typeof metadata === "function" ? metadata() : metadata;
  for (const [name, value] of Object.entries(said ?? {})) made.set(name, value);
  return made;
}

function read(file: string | URL | undefined): Buffer | null {
  return file === undefined ? null : readFileSync(file);
}
