// The tree of commands. Each group has a file of its own; all of them speak gRPC through the client and nothing else.

import { Command } from "commander";
import { VERSION } from "../version.js";
import { exitHelp } from "./exit.js";
import type { Io } from "./io.js";
import { addSharedOptions } from "./session.js";

type Add = (program: Command, io: Io) => void;

/** Each group with the commands that it adds, and where it is: a command line loads what it names. */
const groups: readonly { adds: readonly string[]; load: () => Promise<Add> }[] = [
  { adds: ["submit", "run"], load: async () => (await import("./submit-commands.js")).addSubmit },
  {
    adds: ["status", "explain", "watch", "list"],
    load: async () => (await import("./job-looks.js")).addJobLooks,
  },
  { adds: ["cancel", "redrive", "move"], load: async () => (await import("./job-ends.js")).addJobEnds },
  { adds: ["queue"], load: async () => (await import("./queue-commands.js")).addQueues },
  { adds: ["task"], load: async () => (await import("./limit-commands.js")).addTasks },
  { adds: ["route"], load: async () => (await import("./route-commands.js")).addRoutes },
  { adds: ["schedule"], load: async () => (await import("./schedule-commands.js")).addSchedules },
  { adds: ["flow"], load: async () => (await import("./flow-commands.js")).addFlows },
  { adds: ["inspect"], load: async () => (await import("./inspect-commands.js")).addInspect },
  { adds: ["top"], load: async () => (await import("./top.js")).addTop },
  { adds: ["dev"], load: async () => (await import("./dev.js")).addDev },
  {
    adds: ["completion", "__complete"],
    load: async () => {
      const { addCompletion } = await import("./completion.js");
      return (program, io) => addCompletion(program, io, () => makeProgram(io));
    },
  },
];

/** The whole tree; or, of a command line that names one of its commands, the part that this one is in. */
export async function makeProgram(io: Io, args: readonly string[] = []): Promise<Command> {
  const program = new Command("drover")
    .description("Submits jobs to a Drover broker, looks after them, and shows what goes on.")
    .version(VERSION, "-V, --version")
    .helpOption("-h, --help", "help for a command")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      getOutHelpWidth: () => io.out.columns || 100,
      getErrHelpWidth: () => io.err.columns || 100,
    });
  addSharedOptions(program);
  const named = commandIn(program, args);
  const wanted = groups.find(({ adds }) => named !== undefined && adds.includes(named));
  for (const { load } of wanted === undefined ? groups : [wanted]) (await load())(program, io);
  sayUsageAfterErrors(program);
  program.addHelpText(
    "after",
    `
Examples:
  $ drover run reports.build '{"month": "2026-11"}'
  $ drover list --state failed --task billing.charge
  $ drover -o json status billing.charge~invoice-7 | jq .failure
  $ drover top

${exitHelp}`,
  );
  return program;
}

/** Under an error stands how the command that it is about is written. */
function sayUsageAfterErrors(command: Command): void {
  const usage = command.createHelp().commandUsage(command);
  command.showHelpAfterError(`usage: ${usage}\n(more by --help)`);
  for (const each of command.commands) sayUsageAfterErrors(each);
}

/** The first word that is neither a flag nor what a flag takes; none where help for all of them is asked for. */
function commandIn(program: Command, args: readonly string[]): string | undefined {
  for (let at = 0; at < args.length; at++) {
    const word = args[at] as string;
    if (word === "-h" || word === "--help") return undefined;
    if (!word.startsWith("-")) return word;
    const flag = program.options.find(({ short, long }) => word === short || word === long);
    if (flag?.required === true) at++;
  }
  return undefined;
}
