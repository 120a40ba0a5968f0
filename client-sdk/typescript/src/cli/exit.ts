// How a command ends: a code for scripts, one line for people, never a stack trace for what a user can mend.

import {
  CallError,
  DeadlineExceededError,
  DroverError,
  InvalidArgumentError,
  ResultTimeoutError,
  UnavailableError,
} from "../errors.js";

export const exits = {
  done: 0,
  failed: 1,
  usage: 2,
  noBroker: 3,
  timeout: 4,
  interrupted: 130,
} as const;

export const exitHelp = `Exit codes:
  0    done
  1    refused or failed: the job failed or was cancelled, there is no such job, queue or schedule, ...
  2    wrong usage: an unknown flag, a value that makes no sense, an argument that the broker refused
  3    no broker answered at the address
  4    not done within the time that was given; the job goes on
  130  interrupted`;

/** Ends a command with a code and one line. */
export class Exit extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
    this.name = "Exit";
  }
}

/** Wrong usage, found by a command itself. */
export function usage(message: string): Exit {
  return new Exit(exits.usage, message);
}

/** What an error means for whoever called: `address` is where the broker was looked for. */
export function exitOf(error: unknown, address: string): Exit {
  if (error instanceof Exit) return error;
  if (error instanceof ResultTimeoutError) return new Exit(exits.timeout, error.message);
  if (error instanceof InvalidArgumentError) return new Exit(exits.usage, error.message);
  if (error instanceof RangeError) return new Exit(exits.usage, error.message);
  // A broker says why it refuses; where nobody answered there is only the transport's word for it.
  const unheard = error instanceof UnavailableError && error.reason === "UNAVAILABLE";
  if (unheard || error instanceof DeadlineExceededError) {
    return new Exit(exits.noBroker, `no broker answers at ${address} (${firstLine(error.message)})`);
  }
  if (error instanceof CallError) return new Exit(exits.failed, `${error.message} [${error.reason}]`);
  if (error instanceof DroverError) return new Exit(exits.failed, error.message);
  throw error;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
