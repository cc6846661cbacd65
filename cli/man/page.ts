// Manual pages (man(7)) from a tree of commands: each with its description, options and examples. The prose around them
// stands in docs/man/*.in. Works for any commander program; pure.
import type { Command, Option } from 'commander';
import { examplesOf } from '../../agent/commands/example.ts';
import { ownOptions, walk } from '../tree.ts';

/** As groff reads it: a backslash, a hyphen that is a minus sign, and what begins a request. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll('…', '...')
    .replace(/^(['.])/, '\\&$1');

const sentence = (text: string): string => {
  // A name, such as rsa2048, stays as it is written.
  const begun = /^[a-z]+\d/.test(text) ? text : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
};

/** `--days <n>` as `--days` in bold and `n` in italics. */
const flagsOf = ({ flags }: Option): string =>
  flags
    .split(/(<[^>]+>|\[[^\]]+\])/)
    .filter((part) => part !== '')
    .map((part) =>
      /^[<[]/.test(part) ? `\\fI${escaped(part.replaceAll(/[<>]/g, ''))}\\fR` : `\\fB${escaped(part)}\\fR`,
    )
    .join('');

const optionLines = (option: Option): readonly string[] => {
  const { argChoices, defaultValue, description } = option;
  const hasDefault =
    defaultValue !== undefined &&
    defaultValue !== false &&
    !(Array.isArray(defaultValue) && defaultValue.length === 0);
  const extra = [
    ...(argChoices === undefined ? [] : [`One of ${argChoices.join(', ')}.`]),
    ...(hasDefault && defaultValue !== true ? [`Default: ${defaultValue}.`] : []),
  ];
  return ['.TP', flagsOf(option), ...[sentence(description), ...extra].map(escaped)];
};

const usageOf = (command: Command, path: readonly string[]): string =>
  [
    `\\fB${escaped(path.join(' '))}\\fR`,
    ...(ownOptions(command).length > 1 ? ['[\\fIoptions\\fR]'] : []),
    ...command.registeredArguments.map((one) =>
      one.required ? `\\fI${escaped(one.name())}\\fR` : `[\\fI${escaped(one.name())}\\fR]`,
    ),
  ].join(' ');

const exampleLines = (command: Command): readonly string[] => {
  const lines = examplesOf(command);
  return lines.length === 0 ? [] : ['.PP', '.nf', '.RS 4', ...lines.map(escaped), '.RE', '.fi'];
};

const commandLines = (command: Command, path: readonly string[]): readonly string[] => {
  const options = ownOptions(command).filter(({ long }) => long !== '--help' && long !== '--version');
  return [
    `.SS ${escaped(path.slice(1).join(' '))}`,
    usageOf(command, path),
    '.PP',
    escaped(sentence(command.description())),
    ...options.flatMap(optionLines),
    ...exampleLines(command),
  ];
};

/** Those that do something: what only holds others says nothing that they do not. */
const commandsText = (program: Command): string =>
  walk(program)
    .filter(({ command, path }) => path.length > 1 && command.commands.length === 0)
    .flatMap(({ command, path }) => commandLines(command, path))
    .join('\n');

const optionsText = (program: Command): string => ownOptions(program).flatMap(optionLines).join('\n');

const examplesText = (program: Command): string => exampleLines(program).join('\n');

/** @param frame the prose, with @COMMANDS@, @OPTIONS@, @EXAMPLES@ and @VERSION@ on lines of their own or within one */
export const manualPage = (frame: string, program: Command): string =>
  frame
    .replaceAll('@VERSION@', program.version() ?? '')
    .replace('@COMMANDS@', () => commandsText(program))
    .replace('@OPTIONS@', () => optionsText(program))
    .replace('@EXAMPLES@', () => examplesText(program));
