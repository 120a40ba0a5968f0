// The tree of commands. Each group has a file of its own; all of them speak gRPC through the client and nothing else.

import { Command } from "commander";
import { VERSION } from "../version.js";
import { addCompletion } from "./completion.js";
import { addDev } from "./dev.js";
import { exitHelp } from "./exit.js";
import { addFlows } from "./flow-commands.js";
import { addInspect } from "./inspect-commands.js";
import type { Io } from "./io.js";
import { addJobEnds } from "./job-ends.js";
import { addJobLooks } from "./job-looks.js";
import { addTasks } from "./limit-commands.js";
import { addQueues } from "./queue-commands.js";
import { addRoutes } from "./route-commands.js";
import { addSchedules } from "./schedule-commands.js";
import { addSharedOptions } from "./session.js";
import { addSubmit } from "./submit-commands.js";
import { addTop } from "./top.js";

export function makeProgram(io: Io): Command {
  const program = new Command("drover")
    .description("Submits jobs to a Drover broker, looks after them, and shows what goes on.")
    .version(VERSION, "-V, --version")
    .helpOption("-h, --help", "help for a command")
    .showSuggestionAfterError()
    .showHelpAfterError("(see --help)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      getOutHelpWidth: () => io.out.columns ?? 100,
      getErrHelpWidth: () => io.err.columns ?? 100,
    });
  addSharedOptions(program);
  addSubmit(program, io);
  addJobLooks(program, io);
  addJobEnds(program, io);
  addQueues(program, io);
  addTasks(program, io);
  addRoutes(program, io);
  addSchedules(program, io);
  addFlows(program, io);
  addInspect(program, io);
  addTop(program, io);
  addDev(program, io);
  addCompletion(program, io);
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
