// What the worker and the thread that keeps vigil agree on.

import type { TlsFiles } from "@drover/proto/sdk/access";

/** What the thread has to know. */
export interface Watch {
  /** The session's broker first. */
  readonly addresses: readonly string[];
  readonly tls: boolean | TlsFiles;
  readonly metadata: Readonly<Record<string, string>>;
  /** How long a session may be silent, in ms. */
  readonly silence: number;
}

/** Of a session's silence: how long the beat may stop before something is said, and how often it is looked at. */
export const shares = { patience: 1 / 5, look: 1 / 20 } as const;
