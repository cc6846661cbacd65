// Examples of commands: shown below a command's help, and in its manual page.
import type { Command } from 'commander';

const known = new WeakMap<Command, readonly string[]>();

/** Shown below a command's help. */
export const example = (command: Command, ...lines: readonly string[]): Command => {
  known.set(command, lines);
  const title = lines.length === 1 ? 'Example' : 'Examples';
  return command.addHelpText('after', `\n${title}:\n${lines.map((line) => `  ${line}`).join('\n')}`);
};

export const examplesOf = (command: Command): readonly string[] => known.get(command) ?? [];
