// Shell completion, from the tree of commands itself: `drover __complete <words>` says what may come next, and a few
// lines of shell ask it.

import type { Command } from "commander";
import { Argument, Option } from "commander";
import type { Io } from "./io.js";

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

const scripts: Readonly<Record<Shell, string>> = {
  bash: `_drover() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(drover __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _drover drover`,
  zsh: `#compdef drover
_drover() {
  local -a found
  found=("\${(@f)$(drover __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found
}
compdef _drover drover`,
  fish: `complete -c drover -f -a '(drover __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'`,
};

/** `whole`: makes the tree of all commands, which `program` need not be. */
export function addCompletion(program: Command, io: Io, whole: () => Promise<Command>): void {
  program
    .command("completion")
    .description("Print a script that teaches your shell to complete drover's commands and flags.")
    .addArgument(new Argument("<shell>").choices(shells))
    .addHelpText(
      "after",
      `
Examples:
  $ source <(drover completion bash)          # in ~/.bashrc
  $ source <(drover completion zsh)           # in ~/.zshrc, after compinit
  $ drover completion fish > ~/.config/fish/completions/drover.fish`,
    )
    .action((shell: Shell) => {
      io.out.write(`${scripts[shell]}\n`);
    });

  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .action(async (words: string[]) => {
      for (const word of candidates(await whole(), words)) io.out.write(`${word}\n`);
    });
}

/** What may stand where the last of the words stands. */
export function candidates(program: Command, words: readonly string[]): string[] {
  const before = words.slice(0, -1);
  const begun = words.at(-1) ?? "";
  let command = program;
  let wanting: Option | undefined;
  for (const word of before) {
    const option = wanting === undefined ? optionOf(command, word) : undefined;
    if (wanting !== undefined) wanting = undefined;
    else if (option !== undefined) wanting = option.required ? option : undefined;
    else command = command.commands.find((each) => each.name() === word) ?? command;
  }
  const found =
    wanting !== undefined
      ? (wanting.argChoices ?? [])
      : begun.startsWith("-")
        ? optionsOf(command).flatMap(({ long }) => (long ? [long] : []))
        : [
            ...subcommands(command),
            ...command.registeredArguments.flatMap((argument: Argument) => argument.argChoices ?? []),
          ];
  return found.filter((word) => word.startsWith(begun)).sort();
}

function subcommands(command: Command): string[] {
  return command.commands.map((each) => each.name()).filter((name) => !name.startsWith("__"));
}

function optionsOf(command: Command): Option[] {
  const help = new Option("-h, --help");
  return [...command.options, ...(command.parent === null ? [] : optionsOf(command.parent)), help];
}

function optionOf(command: Command, word: string): Option | undefined {
  return optionsOf(command).find(({ short, long }) => word === short || word === long);
}
