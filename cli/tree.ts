// A tree of commands, walked: what completion and manual pages are made from. Works for any commander program.
import type { Command, Option } from 'commander';

export interface Node {
  readonly command: Command;
  /** From the program's name on: `selkie host list`. */
  readonly path: readonly string[];
}

/** Those that help shows, without `help` itself. */
export const subcommands = (command: Command): readonly Command[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');

/** The command and all below it, each before those below it. */
export const walk = (command: Command, above: readonly string[] = []): readonly Node[] => {
  const path = [...above, command.name()];
  return [{ command, path }, ...subcommands(command).flatMap((each) => walk(each, path))];
};

/** Of the command itself, `--help` included, without those that a program gives to all its commands. */
export const ownOptions = (command: Command): readonly Option[] =>
  command.createHelp().visibleOptions(command);
