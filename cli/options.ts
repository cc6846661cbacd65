// Options that commands share, and what their values may be.

import { type Command, InvalidArgumentError, Option } from 'commander';

export { example } from '../agent/commands/example.ts';

export const wholeNumber =
  (least: number, most: number, what: string) =>
  (text: string): number => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < least || n > most)
      throw new InvalidArgumentError(`${what} a whole number from ${least} to ${most}`);
    return n;
  };

export const dirOption = (): Option =>
  new Option('--dir <dir>', 'state folder of the Selkie of this machine (default ".selkie")');

export const jsonOption = (): Option => new Option('--json', 'as JSON');

const reasonOption = (): Option => new Option('--reason <text>', 'for the record');

export const idempotencyOption = (): Option =>
  new Option(
    '--idempotency-key <key>',
    'sent again with the same, it is the same order; by default a new one',
  ).argParser((text: string) => {
    if (!/^[\x21-\x7e]{1,128}$/.test(text))
      throw new InvalidArgumentError('1 to 128 printable characters without spaces');
    return text;
  });

/** A command that reads. */
export const reading = (command: Command): Command => command.addOption(dirOption()).addOption(jsonOption());

/** A command that orders something. */
export const ordering = (command: Command): Command =>
  reading(command).addOption(reasonOption()).addOption(idempotencyOption());
