// What a command reads from and writes to. Passed in, so that tests run commands without a process.

import type { Readable } from "node:stream";

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface Io {
  readonly out: Output;
  readonly err: Output;
  readonly in: Readable & { readonly isTTY?: boolean | undefined };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C, or by who ends processes; the reason is the signal's name. */
  readonly interrupted: AbortSignal;
}
