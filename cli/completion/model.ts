// What a shell has to know to complete a line: the commands, and for each its options and arguments, with what completes
// their values. Taken from the tree of commands; the shells' scripts are made from it.
import type { Command, Option } from 'commander';
import { ownOptions, subcommands, walk } from '../tree.ts';

/** What is asked of the running Selkie, files and folders of this machine, or a word of one's own. */
export type Kind = 'domains' | 'selectors' | 'hosts' | 'subjects' | 'zones' | 'files' | 'folders' | 'nothing';

export interface Value {
  readonly kind: Kind;
  /** Given: these words, and no others. */
  readonly choices?: readonly string[];
}

export interface CompletedOption {
  /** `-h` and `--help`, as many as it has. */
  readonly flags: readonly string[];
  readonly says: string;
  /** Absent: it takes none. */
  readonly value?: Value;
}

export interface CompletedCommand {
  /** Below the program: `['host', 'list']`; empty for the program itself. */
  readonly path: readonly string[];
  readonly says: string;
  readonly options: readonly CompletedOption[];
  readonly subcommands: readonly { readonly name: string; readonly says: string }[];
  readonly arguments: readonly Value[];
}

/** By the name of an argument, or of an option's value. */
const kinds: Readonly<Record<string, Kind>> = {
  domain: 'domains',
  selector: 'selectors',
  host: 'hosts',
  subject: 'subjects',
  zone: 'zones',
  file: 'files',
  dir: 'folders',
  folder: 'folders',
};

const completedValue = (name: string, choices: readonly string[] | undefined): Value => ({
  kind: kinds[name] ?? 'nothing',
  ...(choices === undefined ? {} : { choices }),
});

/** Up to its first clause: what stands beside it in a list. */
const short = (text: string): string => text.split(/[;:(]/)[0]?.trim() ?? '';

const completedOption = (option: Option): CompletedOption => {
  const value = /[<[]([^>\]]+?)(\.\.\.)?[>\]]/.exec(option.flags)?.[1];
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
    says: short(option.description),
    ...(value === undefined ? {} : { value: completedValue(value, option.argChoices) }),
  };
};

/** With the program's own options at every command, where they may stand too. */
export const completedCommands = (program: Command): readonly CompletedCommand[] => {
  const everywhere = ownOptions(program).filter(({ long }) => long !== '--help' && long !== '--version');
  return walk(program).map(({ command, path }) => ({
    path: path.slice(1),
    says: short(command.description()),
    options: [...ownOptions(command), ...(command === program ? [] : everywhere)].map(completedOption),
    subcommands: subcommands(command).map((each) => ({ name: each.name(), says: short(each.description()) })),
    arguments: command.registeredArguments.map((one) => completedValue(one.name(), one.argChoices)),
  }));
};

/** The options whose value is the next word: what stands behind them is no command and no argument. */
export const withValue = (commands: readonly CompletedCommand[]): readonly string[] => [
  ...new Set(
    commands.flatMap(({ options }) =>
      options.flatMap(({ flags, value }) => (value === undefined ? [] : flags)),
    ),
  ),
];

/** For a POSIX shell, and for fish. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Options that say which Selkie is meant: a shell hands them on when it asks for names. */
export const placeOptions: readonly string[] = [
  '--dir',
  '--stage',
  '--stack',
  '--api',
  '--profile',
  '--region',
];
