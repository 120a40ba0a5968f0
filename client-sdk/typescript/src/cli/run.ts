// One call of the command: arguments in, an exit code out.

import { CommanderError } from "commander";
import { Exit, exitOf, exits } from "./exit.js";
import type { Io } from "./io.js";
import { makeProgram } from "./program.js";
import { oneLine } from "./text.js";

/** The exit code. Throws only what is a bug. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const program = await makeProgram(io, args);
  try {
    if (args.length === 0) {
      program.outputHelp();
      return exits.usage;
    }
    await program.parseAsync(args, { from: "user" });
    return exits.done;
  } catch (error) {
    // What commander ends with has been said by it: help and version are no failures, all else is wrong usage.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exits.done : exits.usage;
    // What was under way when it was interrupted may fail in any way.
    if (io.interrupted.aborted && !(error instanceof Exit)) return exits.interrupted;
    const exit = exitOf(error, program.opts<{ address: string }>().address);
    if (exit.message !== "") io.err.write(`drover: ${oneLine(exit.message)}\n`);
    return exit.code;
  }
}
