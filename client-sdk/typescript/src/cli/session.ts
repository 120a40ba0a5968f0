// What every command begins with: the options they share, a client made of them, and a view of the answer.

import { readFileSync } from "node:fs";
import type { TlsFiles } from "@drover/proto/sdk/access";
import { DEFAULT_ADDRESS } from "@drover/proto/sdk/addresses";
import { type Command, Option } from "commander";
import type { Client } from "../client.js";
import { usage } from "./exit.js";
import type { Io } from "./io.js";
import { toDuration } from "./parse.js";
import { type Format, View } from "./view.js";

interface Shared {
  readonly address: string;
  readonly namespace?: string;
  readonly output: Format;
  readonly timeout: number;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export interface Session {
  readonly client: Client;
  readonly view: View;
  readonly io: Io;
  /** Of each call, ms. */
  readonly timeout: number;
}

export function addSharedOptions(program: Command): void {
  program
    .addOption(
      new Option("-a, --address <host:port>", "broker, or several with commas between")
        .env("DROVER_ADDRESS")
        .default(DEFAULT_ADDRESS),
    )
    .addOption(new Option("-n, --namespace <name>", "default: the broker's").env("DROVER_NAMESPACE"))
    .addOption(
      new Option("-o, --output <format>", "for people or for programs")
        .choices(["table", "json"])
        .default("table"),
    )
    .addOption(
      new Option("--timeout <duration>", "of each call, retries included")
        .argParser(toDuration)
        .default(10_000, "10s"),
    )
    .addOption(
      new Option("--tls-ca <file>", "authority of the broker's certificate; turns TLS on").env(
        "DROVER_TLS_CA",
      ),
    )
    .addOption(new Option("--tls-cert <file>", "certificate to show to it").env("DROVER_TLS_CERT"))
    .addOption(new Option("--tls-key <file>", "key of that certificate").env("DROVER_TLS_KEY"));
}

/** Runs a command's work with a client, and closes that whatever happens. */
export async function withSession(
  io: Io,
  command: Command,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const shared = command.optsWithGlobals<Shared>();
  // Loading it takes longer than all else: who asks for help, or is told what is wrong, does not wait for it.
  const { Client } = await import("../client.js");
  const client = new Client({
    addresses: shared.address.split(",").map((address) => address.trim()),
    timeout: shared.timeout,
    ...(shared.namespace !== undefined && { namespace: shared.namespace }),
    tls: tlsOf(shared),
  });
  try {
    await work({ client, view: new View(io, shared.output), io, timeout: shared.timeout });
  } finally {
    client.close();
  }
}

function tlsOf({ tlsCa: ca, tlsCert: cert, tlsKey: key }: Shared): TlsFiles | false {
  if ((cert === undefined) !== (key === undefined)) throw usage("--tls-cert and --tls-key go together");
  const files = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
  // Read here once, for the words of what cannot be read.
  for (const file of Object.values(files)) readFile(file);
  return Object.keys(files).length === 0 ? false : files;
}

/** A file, or standard input for `-`. */
export async function readAll(io: Io, file: string): Promise<Buffer> {
  if (file !== "-") return readFile(file);
  const chunks: (string | Uint8Array)[] = await io.in.toArray();
  return Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
}

export function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw usage(`${file} cannot be read: ${(error as Error).message}`);
  }
}
