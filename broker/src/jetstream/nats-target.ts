// Where NATS is and who the broker is there, from what an operator writes to what the client library takes.

import { readFile } from "node:fs/promises";
import { type ConnectionOptions, credsAuthenticator, type TlsOptions } from "nats";
import { messageOf, StartupError } from "./startup-error.js";

/** Where nats-server is and who we are there. */
export interface NatsTarget {
  /** One URL or several with commas: `nats://host:4222`, `tls://host`, `nats://user:password@host`, `nats://token@host`. */
  url: string;
  /** Path of a creds file (JWT and seed). */
  creds?: string | undefined;
  user?: string | undefined;
  password?: string | undefined;
  token?: string | undefined;
  /** Paths of PEM files; {} = TLS with the system's authorities. */
  tls?: { ca?: string | undefined; cert?: string | undefined; key?: string | undefined } | undefined;
}

/** What the client library gets to know of it, and the URL as it may be shown. @throws StartupError */
export async function addressOptions(
  target: NatsTarget,
): Promise<{ url: string; address: ConnectionOptions }> {
  const parsed = target.url
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(parseUrl);
  const first = parsed[0];
  if (first === undefined) throw new StartupError("the NATS URL is empty");
  const url = parsed.map(({ shown }) => shown).join(",");
  const address: ConnectionOptions = { servers: parsed.map(({ server }) => server) };
  const user = target.user ?? first.user;
  const password = target.password ?? first.password;
  const token = target.token ?? first.token;
  if (target.creds !== undefined) {
    address.authenticator = credsAuthenticator(await readPem(target.creds, "creds file"));
  } else if (user !== undefined) {
    address.user = user;
    if (password !== undefined) address.pass = password;
  } else if (token !== undefined) {
    address.token = token;
  }
  const tls = await tlsOptions(
    target.tls,
    parsed.some((part) => part.tls),
  );
  if (tls !== undefined) address.tls = tls;
  return { url, address };
}

/** Paths, not contents: the client library reads them at each connection, so that certificates can be renewed. */
async function tlsOptions(files: NatsTarget["tls"], wanted: boolean): Promise<TlsOptions | undefined> {
  if (files === undefined) return wanted ? {} : undefined;
  const tls: TlsOptions = {};
  if (files.ca !== undefined) tls.caFile = await readable(files.ca, "TLS authority");
  if (files.cert !== undefined) tls.certFile = await readable(files.cert, "TLS certificate");
  if (files.key !== undefined) tls.keyFile = await readable(files.key, "TLS key");
  return tls;
}

async function readable(path: string, what: string): Promise<string> {
  await readPem(path, what);
  return path;
}

async function readPem(path: string, what: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new StartupError(`the ${what} for NATS cannot be read: ${messageOf(error)}`);
  }
}

interface ParsedUrl {
  server: string;
  /** Without the secrets. */
  shown: string;
  tls: boolean;
  user?: string;
  password?: string;
  token?: string;
}

/** The client library does not read who we are from a URL, and would show the password in its errors. */
function parseUrl(text: string): ParsedUrl {
  const full = /^[a-z]+:\/\//i.test(text) ? text : `nats://${text}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw new StartupError(`not a NATS URL: ${full.replace(/\/\/.*@/, "//***@")}`);
  }
  if (url.protocol !== "nats:" && url.protocol !== "tls:") {
    throw new StartupError(`not a NATS URL: ${url.protocol}//${url.host} (nats:// or tls:// is needed)`);
  }
  const server = url.host;
  const parsed: ParsedUrl = { server, shown: `${url.protocol}//${server}`, tls: url.protocol === "tls:" };
  const name = decodeURIComponent(url.username);
  if (url.password !== "") return { ...parsed, user: name, password: decodeURIComponent(url.password) };
  return name === "" ? parsed : { ...parsed, token: name };
}
